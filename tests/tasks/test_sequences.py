"""Windows that rows share against the history of each row on its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwell.records import Example
from upwell.stages.dataset.history import with_history
from upwell.tables import Dataset, schema, to_table
from upwell.tasks import _sequences

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
INDEX = {f"i{number}": number for number in range(9)}
LENGTH, TARGETS = 7, 4
Events = list[tuple[int, int | None, float, int]]
events = st.lists(
    st.tuples(
        st.integers(0, 10), st.sampled_from([None, 1, -1]), st.sampled_from([0.0, 1.0]),
        st.integers(0, 5),
    ),
    max_size=30,
)  # fmt: skip


def example(
    user: int, number: int, event: tuple[int, int | None, float, int], at: datetime
) -> Example:
    item, sign, weight, _ = event
    key = f"u{user}-{number}"
    return Example(key, f"u{user}", "recommend", "", f"i{item}", sign, weight, 1.0, None, "", at,
                   (key,), (float(number), 1.0))  # fmt: skip


def dataset(users: list[Events], share: float) -> Dataset:
    """Each user's events an hour or more apart; the first share of them to train on."""
    parts: tuple[list[Example], list[Example]] = ([], [])
    for user, own in enumerate(users):
        at = BEGIN
        for number, event in enumerate(own):
            at += timedelta(hours=event[3])
            parts[number >= share * len(own)].append(example(user, number, event, at))
    train, validation = (to_table(Example, part) for part in parts)
    return Dataset(train, validation, schema(Example).empty_table(), pa.table({}))


@given(st.lists(events, max_size=4), st.sampled_from([0.0, 0.4, 1.0]), st.sampled_from([5, 1000]))
def test_each_row_is_asked_after_exactly_its_own_history(
    users: list[Events], share: float, longest: int
) -> None:
    data = with_history(dataset(users, share), longest)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_sequences, "TARGETS", TARGETS)
        for rows in (data.train, data.validation):
            batch = _sequences.to_learn(rows, INDEX, LENGTH, 2)
            found = [
                (batch["items"][user, :place].tolist(), batch["tokens"][user, :place, 1].tolist())
                for user, place in zip(batch["user"].tolist(), batch["place"].tolist(), strict=True)
            ]
            past = rows.select(["history", "history_sign"]).to_pylist()
            for (items, signs), row in zip(found, past, strict=True):
                known = [INDEX.get(item, len(INDEX)) for item in row["history"]]
                shown = len(items)
                assert min(len(known), LENGTH - TARGETS + 1) <= shown <= LENGTH
                if longest > 30:
                    assert items == known[len(known) - shown :]
                    assert signs == row["history_sign"][len(known) - shown :]
                else:
                    assert items[-min(shown, len(known)) :] == known[-min(shown, len(known)) :]


@given(st.lists(events, max_size=3))
def test_columns_of_a_batch_say_what_the_rows_say(users: list[Events]) -> None:
    rows = with_history(dataset(users, 1.0), 100).train
    batch = _sequences.to_learn(rows, INDEX, LENGTH, 2)
    told = rows.to_pylist()
    assert batch["wanted"].tolist() == [
        n for n, row in enumerate(told) if row["weight"] > 0 and row["target"] in INDEX
    ]
    assert batch["signed"].tolist() == [row["sign"] is not None for row in told]
    assert batch["features"].tolist() == [row["features"] for row in told]
    expected = [INDEX.get(row["target"]) for row in told]
    found = batch["target"].tolist()
    assert [one for one, other in zip(found, expected, strict=True) if other is not None] == [
        one for one in expected if one is not None
    ]
    assert all(0 <= one < len(INDEX) for one in found)


@given(st.lists(events, min_size=1, max_size=3))
def test_an_answer_is_asked_after_all_of_the_history(users: list[Events]) -> None:
    rows = with_history(dataset(users, 1.0), 100).train
    batch = _sequences.to_answer(rows, INDEX, LENGTH, 2, 10.0, 0.1)
    bounds = [*batch["offsets"].tolist(), len(batch["seen"])]
    for number, row in enumerate(rows.to_pylist()):
        known = [INDEX.get(item, len(INDEX)) for item in row["history"]]
        place = int(batch["place"][number])
        assert batch["items"][number, :place].tolist() == known[-LENGTH:]
        assert batch["seen"][bounds[number] : bounds[number + 1]].tolist() == known
        ages = np.arange(len(known))[::-1]
        expected = (np.exp(-ages / 10.0) + 0.1) * (np.array(row["history_sign"]) >= 0)
        given_to = batch["recency"][bounds[number] : bounds[number + 1]].numpy()
        assert np.allclose(given_to, expected, atol=1e-6)


def test_gaps_are_in_hours_and_places_count_from_the_first_event() -> None:
    own: Events = [(0, 1, 1.0, 0), (1, None, 1.0, 2), (2, -1, 1.0, 5)]
    rows = with_history(dataset([own], 1.0), 100).train
    tokens = _sequences.to_learn(rows, INDEX, LENGTH, 2)["tokens"][0].numpy()
    assert np.allclose(tokens[:, 0], np.log1p([0, 2]) / 3)
    assert tokens[:, 1:3].tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert np.allclose(tokens[:, 3], np.log1p([0, 1]) / 4)


def test_lists_and_views_are_read_alike() -> None:
    values = [["a", "b"], [], ["c"]]
    plain = pa.chunked_array([pa.array(values, pa.large_list(pa.string()))])
    whole = plain.combine_chunks()
    views = pa.LargeListViewArray.from_arrays(
        whole.offsets[:-1], pa.array([2, 0, 1], pa.int64()), whole.values
    )
    viewed = pa.chunked_array([views])
    for column in (plain, viewed, plain.slice(1), viewed.slice(1)):
        found = _sequences.lists(column)
        read = [
            found.values[start:end].to_pylist()
            for start, end in zip(found.starts.tolist(), found.ends.tolist(), strict=True)
        ]
        assert read == column.to_pylist()

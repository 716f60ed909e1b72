from __future__ import annotations

from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from upwell.errors import StageError
from upwell.records import Example
from upwell.settings import SplitSettings
from upwell.stages.dataset.split import assign, cuts, frozen_span
from upwell.tables import to_table

START = datetime(2024, 1, 1, tzinfo=UTC)
Part = list[tuple[str, datetime, float]]
ROWS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 5), st.sampled_from([1.0, 1.0, 0.0])),
    min_size=20,
    max_size=60,
)


def day(n: float) -> datetime:
    return START + timedelta(days=n)


def made(con: duckdb.DuckDBPyConnection, rows: list[tuple[float, int, float]]) -> pa.Table:
    examples = [
        Example(
            f"web/{n}",
            f"u{user}",
            "recommend",
            "",
            f"i{n}",
            None,
            weight,
            1.0,
            None,
            "",
            day(at),
            (),
        )
        for n, (at, user, weight) in enumerate(rows)
    ]
    table = to_table(Example, examples)
    return table.append_column("seq", pa.array(range(len(rows)), pa.int64()))


def parts_of(
    con: duckdb.DuckDBPyConnection,
    rows: list[tuple[float, int, float]],
    chosen: SplitSettings,
    as_of: datetime | None = None,
) -> dict[str, Part]:
    examples = con.from_arrow(made(con, rows))
    span = frozen_span(examples, chosen, as_of)
    parts = assign(con, examples, chosen, cuts(examples, chosen, span, as_of))
    return {
        name: [
            (row["id"], row["at"].replace(tzinfo=UTC), row["weight"])
            for row in part.project('id, epoch_us("at")::BIGINT AS us, weight, "at"')
            .to_arrow_table()
            .to_pylist()
        ]
        for name, part in parts.items()
    }


def each_day(days: int) -> list[tuple[float, int, float]]:
    return [(float(n), n % 3, 1.0) for n in range(days)]


def test_the_shares_of_time(con: duckdb.DuckDBPyConnection) -> None:
    parts = parts_of(con, each_day(100), SplitSettings(test_share=0.1, validation_share=0.1))
    judged = [row for row in parts["test"] if row[2]]
    assert [len(judged), len(parts["validation"])] == [11, 9]
    assert min(at for _, at, _ in judged) == day(89)
    assert max(at for _, at, _ in judged) == day(99)
    assert min(at for _, at, _ in parts["validation"]) == day(80)
    assert len(parts["train"]) == 80


def test_a_replayed_turn_is_judged_on_the_same_rows(con: duckdb.DuckDBPyConnection) -> None:
    chosen = SplitSettings(frozen_from=day(80))
    turns = [parts_of(con, each_day(100), chosen, day(as_of)) for as_of in (30, 50, 80)]
    assert turns[0]["test"] == turns[1]["test"] == turns[2]["test"]
    for as_of, parts in zip((30, 50, 80), turns, strict=True):
        learned = [*parts["train"], *parts["validation"]]
        assert max(at for _, at, _ in learned) == day(as_of - 1)
    weights = {at: weight for _, at, weight in turns[0]["test"]}
    assert {weights[day(n)] for n in range(80)} == {0.0}
    assert {weights[day(n)] for n in range(80, 100)} == {1.0}


def test_what_comes_after_the_frozen_part_is_learned(con: duckdb.DuckDBPyConnection) -> None:
    chosen = SplitSettings(frozen_from=day(40), frozen_until=day(50))
    parts = parts_of(con, each_day(100), chosen)
    learned = {at for _, at, _ in [*parts["train"], *parts["validation"]]}
    judged = {at for _, at, weight in parts["test"] if weight}
    assert judged == {day(n) for n in range(40, 50)}
    assert learned == {day(n) for n in [*range(40), *range(50, 100)]}


@given(ROWS, st.one_of(st.none(), st.integers(1, 30)))
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
def test_no_later_row_is_in_an_earlier_part(
    con: duckdb.DuckDBPyConnection, rows: list[tuple[float, int, float]], as_of: int | None
) -> None:
    chosen = SplitSettings(frozen_from=day(25), test_share=0.2, validation_share=0.3)
    try:
        parts = parts_of(con, rows, chosen, None if as_of is None else day(as_of))
    except StageError:
        reject()
    in_order(rows, as_of, parts)


def in_order(
    rows: list[tuple[float, int, float]], as_of: int | None, parts: dict[str, Part]
) -> None:
    judged = [row for row in parts["test"] if row[2]]
    last = {name: max(at for _, at, _ in parts[name]) for name in ("train", "validation")}
    assert last["train"] < min(at for _, at, _ in parts["validation"])
    assert last["validation"] < min(day(25), day(99 if as_of is None else as_of))
    assert min(at for _, at, _ in judged) >= day(25)
    learned = {key for key, _, _ in [*parts["train"], *parts["validation"]]}
    assert not learned & {key for key, _, _ in judged}
    by_id = {f"web/{n}": row for n, row in enumerate(rows)}
    users = {by_id[key][1] for key, _, _ in parts["test"] if by_id[key][0] >= 25}
    context = {key for key, row in by_id.items() if row[0] < 25 and row[1] in users}
    assert context == {key for key, at, _ in parts["test"] if at < day(25)}


def test_parts_are_in_order(con: duckdb.DuckDBPyConnection) -> None:
    rows = [(0.0, 1, 1.0), (0.0, 0, 1.0), (0.0, 1, 1.0), (1.0, 0, 1.0), (2.0, 0, 1.0)]
    parts = parts_of(con, rows, SplitSettings(frozen_from=day(2), validation_share=0.2))
    assert [key for key, _, _ in parts["train"]] == ["web/1", "web/0", "web/2"]


def test_users_are_in_one_part_only(con: duckdb.DuckDBPyConnection) -> None:
    rows = [(float(n % 10), n // 10, 1.0) for n in range(2000)]
    found = [
        parts_of(con, rows, SplitSettings(disjoint="users", seed=seed), day(9))
        for seed in (0, 0, 1)
    ]
    assert found[0] == found[1]
    assert found[0]["test"] != found[2]["test"]
    owner = {f"web/{n}": row[1] for n, row in enumerate(rows)}
    users = [
        {owner[key] for key, _, _ in found[0][name]} for name in ("train", "validation", "test")
    ]
    assert users[0] | users[1] | users[2] == set(range(200))
    assert sum(map(len, users)) == 200
    assert 8 <= len(users[2]) <= 35
    assert max(at for _, at, _ in found[0]["train"]) == day(8)


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        ([], SplitSettings()),
        ([(0.0, 0, 1.0)], SplitSettings()),
        (each_day(10), SplitSettings(frozen_from=day(20))),
        (each_day(10), SplitSettings(frozen_from=day(0))),
        ([(0.0, 0, 1.0), (9.0, 0, 0.0)], SplitSettings(frozen_from=day(5))),
        ([(1.0, 0, 1.0), (9.0, 0, 1.0)], SplitSettings(frozen_from=day(5))),
    ],
)
def test_an_empty_part_is_an_error_that_teaches(
    con: duckdb.DuckDBPyConnection, rows: list[tuple[float, int, float]], chosen: SplitSettings
) -> None:
    with pytest.raises(StageError, match=r"dataset\.empty_split") as caught:
        parts_of(con, rows, chosen)
    assert all(caught.value.explain("zh"))

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import process_time

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from upwell.records import Example
from upwell.stages.dataset.history import with_history
from upwell.tables import TIME, Dataset, schema, to_table

START = datetime(2024, 1, 1, tzinfo=UTC)
ITEMS = pa.table({"item": ["a"], "text": ["A"]})
ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.sampled_from([None, 1, -1])), max_size=25
)
Rows = list[tuple[int, int, int | None]]


def part(name: str, rows: Rows) -> pa.Table:
    """Rows in order of user and time, as every part is."""
    examples = [
        Example(
            f"{name}/{n}", f"u{user}", "recommend", "", f"{name}-{n}", sign, 1.0, 1.0, None, "",
            START + timedelta(days=at), (),
        )
        for n, (user, at, sign) in enumerate(sorted(rows, key=lambda row: row[:2]))
    ]  # fmt: skip
    return to_table(Example, examples)


def naive(
    parts: list[pa.Table], longest: int
) -> list[list[tuple[list[str], list[int], list[int]]]]:
    rows = [
        (place, n, row) for place, one in enumerate(parts) for n, row in enumerate(one.to_pylist())
    ]
    rows.sort(key=lambda entry: entry[2]["at"])
    past: dict[str, list[tuple[str, int, int]]] = {}
    found: list[list[tuple[list[str], list[int], list[int]]]] = [
        [([], [], [])] * len(p) for p in parts
    ]
    for place, n, row in rows:
        known = past.setdefault(row["user"], [])
        last = known[-longest:]
        found[place][n] = ([k[0] for k in last], [k[1] for k in last], [k[2] for k in last])
        known.append((row["target"], row["sign"] or 0, int(row["at"].timestamp() * 1e6)))
    return found


def histories(rows: pa.Table) -> list[tuple[list[str], list[int], list[int]]]:
    names = ("history", "history_sign", "history_at")
    return list(zip(*(rows[name].to_pylist() for name in names), strict=True))


@given(ROWS, ROWS, ROWS, st.integers(1, 4))
@settings(deadline=None, max_examples=60)
def test_histories_are_the_rows_before(one: Rows, two: Rows, three: Rows, longest: int) -> None:
    train, validation, test = part("train", one), part("validation", two), part("test", three)
    found = with_history(Dataset(train, validation, test, ITEMS), longest)
    learned = naive([train, validation], longest)
    assert histories(found.train) == learned[0]
    assert histories(found.validation) == learned[1]
    assert histories(found.test) == naive([test], longest)[0]
    assert found.items is ITEMS


def test_histories_are_views_of_one_column() -> None:
    train, validation, test = (part(name, [(0, n, 1) for n in range(50)]) for name in "abc")
    data = Dataset(train, validation, test, ITEMS)
    found = with_history(data, 50)
    views = [table["history"].chunk(0) for table in (found.train, found.validation)]
    assert [len(view.values) for view in views] == [100, 100]
    assert views[0].values.buffers()[1].address == views[1].values.buffers()[1].address


def test_a_million_rows_take_seconds() -> None:
    rng, rows = np.random.default_rng(0), 1_000_000
    users = np.sort(rng.integers(0, rows // 100, rows))
    columns = {field.name: pa.nulls(rows, field.type) for field in schema(Example)} | {
        "user": pa.array(users).cast(pa.string()),
        "target": pa.array(rng.integers(0, 5000, rows)).cast(pa.string()),
        "at": pa.array(np.arange(rows), TIME),
    }
    table = pa.table(columns)
    began = process_time()
    found = with_history(Dataset(table, table.slice(0, 0), table.slice(0, 0), ITEMS), 50)
    assert process_time() - began < 10
    assert len(found.train["history"][rows - 1]) == 50

"""What a correction teaches stands in the row of its right answer, and nowhere else."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from upwell.records import Example
from upwell.stages.dataset.corrections import taught
from upwell.tables import to_table

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def rows(con: DuckDBPyConnection, *said: tuple[str, int, str]) -> DuckDBPyRelation:
    made = [
        Example(key, "ann", "t", "text", target, 1, 1.0, 1.0, None, "", NOON, (key,))
        for key, _, target in said
    ]
    numbers = pa.array([seq for _, seq, _ in said], pa.int64())
    return con.from_arrow(to_table(Example, made).append_column("seq", numbers))


def both(shown: str, right: str) -> str:
    return f"{shown} to {right}"


def targets(con: DuckDBPyConnection, *said: tuple[str, int, str]) -> dict[str, str]:
    before = rows(con, *said)
    found = taught(con, before, both)
    assert found.columns == before.columns
    table = found.to_arrow_table()
    assert table.num_rows == len(said)
    return dict(zip(table["id"].to_pylist(), table["target"].to_pylist(), strict=True))


def test_the_right_answer_is_taught_in_view_of_what_was_shown(con: DuckDBPyConnection) -> None:
    found = targets(
        con,
        ("web/1", 1, "a"),
        ("web/1#correction", 1, "b"),
        ("web/2", 2, "c"),
        ("web/2#correction", 2, "b"),
        ("web/3", 3, "b"),
    )
    assert found == {
        "web/1": "a", "web/1#correction": "a to b", "web/2": "c", "web/2#correction": "c to b",
        "web/3": "b",
    }  # fmt: skip


def test_a_correction_of_nothing_shown_teaches_the_right_answer(con: DuckDBPyConnection) -> None:
    assert targets(con, ("web/1#correction", 1, "b")) == {"web/1#correction": "b"}


def test_an_event_that_is_named_like_a_correction_is_none(con: DuckDBPyConnection) -> None:
    said = [("web/1", 1, "a"), ("web/1#correction", 2, "b")]
    assert targets(con, *said) == {"web/1": "a", "web/1#correction": "b"}


def test_nothing_in_nothing_out(con: DuckDBPyConnection) -> None:
    none = rows(con, ("web/1", 1, "a")).filter("seq < 0")
    assert taught(con, none, both).fetchall() == []

"""Signals as rows, written by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from duckdb import ConstantExpression, DuckDBPyConnection, DuckDBPyRelation

from upwell.records import Example
from upwell.stages.clean import trust
from upwell.tables import schema

BEGIN = datetime(2024, 1, 1, 12, 0, 7, tzinfo=UTC)
Said = tuple[str, int, str, float]
"""User, sign, input, and seconds since ``BEGIN``."""
Hear = Callable[[Iterable[Said]], DuckDBPyRelation]
MakeRows = Callable[[Iterable[Said]], DuckDBPyRelation]


def example(number: int, said: Said) -> dict[str, object]:
    user, sign, asked, seconds = said
    key = f"web/{number}"
    return {
        "id": key, "user": user, "task": "t", "input": asked, "target": "a", "sign": sign,
        "weight": 1.0, "reliability": 1.0, "propensity": None, "group": "",
        "at": BEGIN + timedelta(seconds=seconds), "sources": [key], "features": [], "seq": number,
    }  # fmt: skip


@pytest.fixture
def make_rows(con: DuckDBPyConnection) -> MakeRows:
    """Example rows with ``seq``: number n is event ``web/n``."""
    shape = schema(Example).append(pa.field("seq", pa.int64()))

    def make(said: Iterable[Said]) -> DuckDBPyRelation:
        rows = [example(number, one) for number, one in enumerate(said)]
        return con.from_arrow(pa.Table.from_pylist(rows, schema=shape))

    return make


@pytest.fixture
def hear(con: DuckDBPyConnection, make_rows: MakeRows) -> Hear:
    """The same as signals that nobody is judged by."""
    return lambda said: trust.heard(con, make_rows(said), ConstantExpression(False), None)

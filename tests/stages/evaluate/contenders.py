"""Contenders with whatever answers a test needs them to have given."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from upwell.records import Example
from upwell.stages.evaluate.marks import Judged
from upwell.tables import schema


def rows(users: Sequence[str], targets: Sequence[str]) -> pa.Table:
    """A row for each user and target, with the columns that comparisons look at."""
    n = len(users)
    columns = {"id": [f"e{place}" for place in range(n)], "user": users, "target": targets}
    kinds = pa.schema([schema(Example).field(name) for name in columns])
    return pa.table({name: list(what) for name, what in columns.items()}, schema=kinds)


def said(
    given: pa.Table,
    outputs: Sequence[Sequence[str]],
    scores: Sequence[Sequence[float]] | None = None,
    name: str = "m-1",
) -> Judged:
    """A contender with these answers; it earns 1 where its first answer is right."""
    chances = [[1.0] * len(one) for one in outputs] if scores is None else scores
    answers = pa.table(
        {
            "output": pa.array(list(outputs), pa.list_(pa.string())),
            "score": pa.array(list(chances), pa.list_(pa.float64())),
        }
    )
    pairs = zip(outputs, given["target"].to_pylist(), strict=True)
    right = [float(list(one[:1]) == [target]) for one, target in pairs]
    return Judged(name, given, answers, pa.table({"accuracy": pa.array(right, pa.float64())}))

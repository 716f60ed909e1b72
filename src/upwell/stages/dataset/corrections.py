"""What a correction teaches: the right answer in view of what was shown.

A correction has two rows: what was shown, under the id of its event, and what would have been
right, under that id with ``#correction``. Where a task says how the two together are learned from,
the second row's target becomes that. Give it the train part alone: what a model is judged by, or
chosen by, is the right answer itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pyarrow as pa
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from upwell.tables import CORRECTED

Corrected: TypeAlias = Callable[[str, str], str]
"""From the answer shown and the right one to the target that is learned."""

_PAIRS = """
SELECT DISTINCT shown.target AS shown, put.target AS "right"
FROM rows AS put JOIN rows AS shown
    ON put.seq = shown.seq AND put.id = shown.id || '{corrected}'
"""
_TAUGHT = """
SELECT rows.* REPLACE (coalesce(learned.target, rows.target) AS target)
FROM rows LEFT JOIN rows AS shown
    ON rows.seq = shown.seq AND rows.id = shown.id || '{corrected}'
    LEFT JOIN learned ON learned.shown = shown.target AND learned."right" = rows.target
"""


def taught(
    con: DuckDBPyConnection, rows: DuckDBPyRelation, corrected: Corrected
) -> DuckDBPyRelation:
    """``rows`` (Example columns, ``seq``), in any order, with the targets of corrections so made.

    A correction whose shown answer is not among the rows keeps its target.
    """
    pairs = con.query(_PAIRS.format(corrected=CORRECTED)).to_arrow_table()
    told = zip(pairs["shown"].to_pylist(), pairs["right"].to_pylist(), strict=True)
    targets = pa.array([corrected(shown, right) for shown, right in told], pa.string())
    learned = con.from_arrow(pairs.append_column("target", targets))
    return _joined(con, rows, learned)


def _joined(
    con: DuckDBPyConnection, rows: DuckDBPyRelation, learned: DuckDBPyRelation
) -> DuckDBPyRelation:
    return con.query(_TAUGHT.format(corrected=CORRECTED))

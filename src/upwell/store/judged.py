"""What models answered on frozen tests, kept so that no model is judged twice."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet as pq

from upwell.store.files import publish, staging

_ANSWERS = ("output", "score")


def remember(path: Path, answers: pa.Table, marks: pa.Table) -> None:
    """Keep answers (columns ``output``, ``score``) and marks of the same rows at ``path``."""
    joined = {name: table[name] for table in (answers, marks) for name in table.column_names}
    path.parent.mkdir(parents=True, exist_ok=True)
    with staging(path.parent) as temporary:
        pq.write_table(pa.table(joined), temporary / "judged.parquet", compression="zstd")
        publish(temporary / "judged.parquet", path)


def recall(path: Path) -> tuple[pa.Table, pa.Table]:
    """Answers and marks that ``remember`` kept."""
    found = pq.read_table(path)
    return found.select(_ANSWERS), found.drop(_ANSWERS)

"""What models answered on frozen tests, kept so that no model is judged twice."""

from __future__ import annotations

from collections.abc import Collection
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


def forget_answers(folder: Path, tests: Collection[str]) -> int:
    """Remove all answers to these tests (beginnings of their hashes); returns how many files.

    What a version answered to somebody's rows tells of them; it can be asked again.
    """
    gone = [path for path in folder.glob("*.parquet") if path.name.split("-")[1] in tests]
    for path in gone:
        path.unlink()
    return len(gone)

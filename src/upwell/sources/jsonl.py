"""JSON lines: one object a line, UTF-8.

Keys are columns: ``upwell import clicks.jsonl --map user=uid --map at=timestamp``.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from upwell.errors import SourceError
from upwell.sources._columns import ROWS, Part, Plan, events, plan
from upwell.sources._files import Progress, located, opened, stem, told

_TOY = """\
{"id":"1","source":"web","user":"u1","kind":"click","at":"2026-01-01T09:00:00Z","item":"i1"}
{"id":"2","source":"web","user":"u1","kind":"dwell","at":"2026-01-01T09:01:00Z","item":"i1","value":31.5}
{"id":"3","source":"web","user":"u2","kind":"thumbs","at":"2026-01-02T09:00:00Z","value":-1,"payload":{"why":"old"}}
"""
_SAMPLE = 1000
"""Lines whose keys are taken for the file's columns."""


def toy(folder: Path) -> tuple[str, int]:
    """Three events of two users."""
    path = folder / "toy.jsonl"
    path.write_text(_TOY, encoding="utf-8")
    return str(path), 3


def read(location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Columns of an event, possibly of other types: intake validates.

    A line that is no JSON object is handed over as a row without a kind, which intake keeps as a
    bad row. Raises SourceError when the file is missing, holds no JSON lines, is cut off, or lacks
    a column in its first thousand lines.
    """
    for file in located(location, ".jsonl", ".ndjson"):
        names = _names(file)
        chosen = plan(str(file), stem(file, location), names, mapping)
        yield from events(_parts(file, chosen), chosen)


def _names(file: Path) -> list[str]:
    """Keys of the first lines, in order. Raises SourceError when the first is no object."""
    with told(file, Progress()), opened(file) as stream:
        rows = [_row(line) for line in islice(_lines(io.BufferedReader(stream)), _SAMPLE)]
    if not rows:
        raise SourceError("source.empty", file=str(file))
    if rows[0] is None:
        raise SourceError("source.not_json_lines", file=str(file))
    return list(dict.fromkeys(key for row in rows if row for key in row))


def _parts(file: Path, chosen: Plan) -> Iterator[Part]:
    progress, last = Progress(), b""
    with told(file, progress), opened(file) as stream:
        lines = _lines(io.BufferedReader(stream))
        while block := list(islice(lines, ROWS)):
            yield _part(block, chosen, progress)
            last = block[-1]
    if not last.endswith(b"\n") and _row(last) is None:
        row, kept = f"{progress.rows:,}", f"{progress.rows - 1:,}"
        raise SourceError("source.truncated", file=str(file), row=row, kept=kept)


def _part(block: list[bytes], chosen: Plan, progress: Progress) -> Part:
    rows, numbers, broken = [], [], []
    for number, line in enumerate(block, progress.rows + 1):
        row = _row(line)
        if row is not None:
            rows.append(row)
            numbers.append(number)
        elif line.endswith(b"\n"):
            broken.append((number, line.decode("utf-8", errors="replace").rstrip("\r\n")))
    progress.rows += len(block)
    columns = {name: _column([row.get(name) for row in rows]) for name in chosen.needed}
    return Part(pa.RecordBatch.from_pydict(columns), numbers, tuple(broken))


def _column(values: list[Any]) -> pa.Array:
    """One type for all values; where they have none in common (or nest), their JSON."""
    if not any(isinstance(value, dict | list) for value in values):
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            pass  # Numbers beside text, say: intake reads either from text.
    return pa.array([_text(value) for value in values], pa.string())


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _lines(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Lines that hold something; a byte-order mark is no part of the first."""
    for place, line in enumerate(stream):
        text = line.removeprefix(b"\xef\xbb\xbf") if place == 0 else line
        if text.strip():
            yield text

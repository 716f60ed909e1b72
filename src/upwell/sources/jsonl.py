"""JSON lines: one object a line, UTF-8.

Keys are columns: ``upwell import clicks.jsonl --map user=uid --map at=timestamp``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

import pyarrow as pa

from upwell.errors import SourceError
from upwell.sources._columns import ROWS, Part, Plan, column_of, events, plan
from upwell.sources._documents import is_text
from upwell.sources._files import Progress, located, opened, stem, told
from upwell.sources._flaws import BAD_TEXT, NO_OBJECT
from upwell.sources._lines import SAMPLE, filled, object_of

_TOY = """\
{"id":"1","source":"web","user":"u1","kind":"click","at":"2026-01-01T09:00:00Z","item":"i1"}
{"id":"2","source":"web","user":"u1","kind":"dwell","at":"2026-01-01T09:01:00Z","item":"i1","value":31.5}
{"id":"3","source":"web","user":"u2","kind":"thumbs","at":"2026-01-02T09:00:00Z","value":-1,"payload":{"why":"old"}}
"""


def toy(folder: Path) -> tuple[str, int]:
    """Three events of two users."""
    path = folder / "toy.jsonl"
    path.write_text(_TOY, encoding="utf-8")
    return str(path), 3


def read(location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Columns of an event, possibly of other types: intake validates.

    A line that is no JSON object is handed over as a row without a kind and with its reason, which
    intake keeps as a bad row. Raises SourceError when the file is missing, holds no JSON lines, is
    cut off, or lacks a column in its first thousand lines.
    """
    for file in located(location, ".jsonl", ".ndjson"):
        names = _names(file)
        chosen = plan(str(file), stem(file, location), names, mapping)
        yield from events(_parts(file, chosen), chosen)


def _names(file: Path) -> list[str]:
    """Keys of the first lines, in order. Raises SourceError when the first is no object."""
    with told(file, Progress()), opened(file) as stream:
        rows = [object_of(line) for line in islice(filled(io.BufferedReader(stream)), SAMPLE)]
    if not rows:
        raise SourceError("source.empty", file=str(file))
    if rows[0] is None:
        raise SourceError("source.not_json_lines", file=str(file))
    return list(dict.fromkeys(key for row in rows if row for key in row))


def _parts(file: Path, chosen: Plan) -> Iterator[Part]:
    progress, last = Progress(), b""
    with told(file, progress), opened(file) as stream:
        lines = filled(io.BufferedReader(stream))
        while block := list(islice(lines, ROWS)):
            yield _part(block, chosen, progress)
            last = block[-1]
    if not last.endswith(b"\n") and object_of(last) is None:
        row, kept = f"{progress.rows:,}", f"{progress.rows - 1:,}"
        raise SourceError("source.truncated", file=str(file), row=row, kept=kept)


def _part(block: list[bytes], chosen: Plan, progress: Progress) -> Part:
    rows, numbers, broken = [], [], []
    for number, line in enumerate(block, progress.rows + 1):
        found = object_of(line)
        # By an escape or this byte alone half a surrogate pair comes; most lines have neither.
        is_sound = not (b"\\u" in line or b"\xed" in line) or is_text(found)
        if found is not None and is_sound:
            rows.append(found)
            numbers.append(number)
        elif found is not None or line.endswith(b"\n"):
            broken.append((number, line.decode("utf-8", errors="replace").rstrip("\r\n")))
    progress.rows += len(block)
    columns = {name: column_of([one.get(name) for one in rows]) for name in chosen.needed}
    batch = pa.RecordBatch.from_pydict(columns)
    return Part(batch, numbers, tuple(broken), (NO_OBJECT, BAD_TEXT))

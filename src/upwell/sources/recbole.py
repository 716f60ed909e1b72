"""RecBole's atomic files: ``.inter`` (what users did), ``.item`` and ``.user`` (facts).

Tab-separated with a typed header such as ``user_id:token	item_id:token	rating:float``. A folder
is read facts first. Without a mapping, ``user_id``, ``item_id``, ``rating`` and ``timestamp``
are user, item, value and time; an interaction with a rating is a ``rating``, else a ``click``.
Facts have no time and are known from the beginning; their columns become the payload.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from upwell.records import EARLIEST
from upwell.sources._columns import Part, events, fit, plan
from upwell.sources._delimited import header, parts
from upwell.sources._files import located, stem

_COLUMNS = {"user": "user_id", "item": "item_id", "value": "rating", "at": "timestamp"}
_FACTS = {".item": "item", ".user": "user"}
_TOY = {
    "toy.item": "item_id:token\tsource:token\ttitle:token_seq\ni1\tweb\tToy Story\ni2\tweb\tHeat\n",
    "toy.user": "user_id:token\tsource:token\tage:float\nu1\tweb\t24\n",
    "toy.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\tsource:token\n"
    "u1\ti1\t4\t881250949\tweb\nu1\ti2\t1.5\t881250999\tweb\n",
}


def toy(folder: Path) -> tuple[str, int]:
    """Two items, one user, two ratings."""
    for name, text in _TOY.items():
        (folder / name).write_text(text, encoding="utf-8")
    return str(folder), 5


def read(location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Columns of an event, possibly of other types: intake validates.

    Raises SourceError when a file is missing, damaged or cut off, or lacks a column.
    """
    files = located(location, ".inter", ".item", ".user")
    headers = {file: header(file, "utf-8", "\t")[0] for file in files}
    everywhere = {name for typed in headers.values() for name in _plain(typed)}
    for file in sorted(files, key=lambda path: (path.suffix == ".inter", path)):
        names = _plain(headers[file])
        # What only another file of the folder has is not asked of this one.
        asked = {
            field: column
            for field, column in mapping.items()
            if column in names or column not in everywhere
        }
        first = f"{stem(file, location)}{file.suffix}"
        chosen = plan(str(file), first, names, _mapping(file, names, asked))
        yield from events(_named(file, headers[file]), chosen)


def _plain(typed: list[str]) -> list[str]:
    """Names of columns without their types."""
    return [name.rpartition(":")[0] or name for name in typed]


def _mapping(file: Path, names: list[str], asked: Mapping[str, str]) -> Mapping[str, str]:
    """What was asked for over what is usual; what makes a fact a fact is not for choosing."""
    usual = {field: column for field, column in _COLUMNS.items() if column in names}
    if file.suffix in _FACTS:
        usual.pop("value", None)
        fixed = {"kind": f"={_FACTS[file.suffix]}", "at": f"={EARLIEST.isoformat()}"}
        return {**usual, "payload": "*", **asked, **fixed}
    if "kind" not in names:
        usual["kind"] = "=rating" if "rating" in names else "=click"
    return {**usual, **asked}


def _named(file: Path, typed: list[str]) -> Iterator[Part]:
    """Parts with plain column names and numbers where the header says so."""
    names = _plain(typed)
    for part in parts(file, typed, "\t", "utf-8", quoted=False):
        columns = dict(zip(names, part.batch.columns, strict=True))
        for name, kind in zip(names, typed, strict=True):
            if kind.endswith(":float"):
                columns[name] = fit(columns[name], pa.float64())
        yield replace(part, batch=pa.RecordBatch.from_pydict(columns))

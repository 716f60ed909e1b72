"""Rows that bring events of their own, beside columns that a mapping may name.

A source gives each event as a dict: what it makes stands under the names of ``OWN``, whatever else
the file says of the row under its own name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from upwell.errors import SourceError
from upwell.records import EARLIEST
from upwell.sources._columns import Part, column_of, events, plan
from upwell.sources._documents import Entry, storable, unread
from upwell.sources._lines import SAMPLE

Numbered: TypeAlias = "Iterable[tuple[int, Entry]]"
"""Events with the number of their row in the file; a text is a row that could not be read."""
OWN = {
    field: f"upwell:{field}"
    for field in ("id", "source", "user", "kind", "at", "prediction", "value", "payload")
}
"""Where the dict of an event holds what its source made, by field."""
WRONG = (
    ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError,
)  # fmt: skip
"""What reading a document raises that is not of the shape it should have."""
_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Said:
    """A reply to an input: right as it stands (``sign`` None), liked (1) or disliked (−1)."""

    input: object
    target: str
    sign: int | None = None
    part: str = ""


def batches(
    file: Path, first: str, rows: Numbered, mapping: Mapping[str, str]
) -> Iterator[pa.RecordBatch]:
    """Events as batches, ``mapping`` over what the source made.

    ``payload`` of a mapping is added to what the payload holds. Raises SourceError
    ``source.unknown_column`` for a column that none of the first thousand rows has.
    """
    stream = iter(rows)
    sample = list(islice(stream, SAMPLE))
    names = dict.fromkeys(key for _, row in sample if isinstance(row, dict) for key in row)
    named = {field: column for field, column in mapping.items() if field != "id"}
    chosen = plan(str(file), first, list(dict.fromkeys((*names, *OWN.values()))), {**OWN, **named})
    more = chosen.gathered or ((named["payload"],) if "payload" in named else ())
    columns = {**chosen.columns, "payload": OWN["payload"]}
    chosen = replace(chosen, columns=columns, gathered=(), inside={})
    yield from events(_parts(chain(sample, stream), chosen.needed, more), chosen)


def opinions(
    source: str,
    entries: Iterable[Entry],
    says: Callable[[Mapping[str, Any]], Iterable[Said]],
    mapping: Mapping[str, str],
) -> Iterator[tuple[int, Entry]]:
    """What each entry ``says``, as labels, and as thumbs where it is an opinion.

    An entry of which nothing can be said, for ``says`` raises, comes as its text. A label is
    nobody's. An opinion is of a user, told by its input unless ``mapping`` says whose it is. The
    same said twice has the same id, unless ``mapping`` names one.
    """
    for number, entry in enumerate(entries, 1):
        if isinstance(entry, str):
            yield number, entry
            continue
        try:
            found = list(says(entry))
        except WRONG:
            yield number, unread(entry)
            continue
        for one in found:
            yield number, _opinion(source, entry, one, mapping)


def _opinion(
    source: str, record: Mapping[str, Any], said: Said, mapping: Mapping[str, str]
) -> dict[str, Any]:
    named = record.get(mapping.get("id", ""))
    whose = [record.get(mapping.get(field, "")) for field in ("user", "at", "item")]
    name = digest([said.input, said.target, said.sign, *whose])
    return {
        **record,
        OWN["id"]: name if named is None else f"{named}{said.part}",
        OWN["source"]: source,
        OWN["user"]: None if said.sign is None else f"input:{digest(said.input)}",
        OWN["kind"]: "label" if said.sign is None else "thumbs",
        OWN["at"]: EARLIEST.isoformat(),
        OWN["value"]: None if said.sign is None else float(said.sign),
        OWN["payload"]: {"input": said.input, "target": said.target},
    }


def digest(value: object) -> str:
    """A name for a value of JSON; equal values have equal names."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _parts(rows: Numbered, needed: Sequence[str], more: Sequence[str]) -> Iterator[Part]:
    for block in _blocks((number, storable(row)) for number, row in rows):
        whole = [(number, row) for number, row in block if isinstance(row, dict)]
        broken = tuple((number, row) for number, row in block if isinstance(row, str))
        for _, row in whole:
            extra = {name: row[name] for name in more if row.get(name) is not None}
            row[OWN["payload"]] = {**_without_own(extra), **row[OWN["payload"]]}
        columns = {name: column_of([row.get(name) for _, row in whole]) for name in needed}
        batch = pa.RecordBatch.from_pydict(columns)
        yield Part(batch, [number for number, _ in whole], broken)


def _without_own(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in extra.items() if name not in OWN.values()}


def _blocks(rows: Numbered) -> Iterator[list[tuple[int, Entry]]]:
    """Rows some at a time; those before a place that cannot be read come before the error."""
    held: list[tuple[int, Entry]] = []
    try:
        for one in rows:
            held.append(one)
            if len(held) == _AT_ONCE:
                yield held
                held = []
    except SourceError:
        yield held
        raise
    yield held

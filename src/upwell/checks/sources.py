"""What every source promises."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import compute as pc

from upwell.checks._require import require, require_schema
from upwell.errors import SourceError
from upwell.ports import Source
from upwell.records import Event
from upwell.tables import event_keys, schema, to_records
from upwell.words import LANGUAGES


def batches_are_events(source: Source, folder: Path) -> None:
    """Every batch has the Event schema."""
    location, _ = source.toy(folder)
    for batch in source.read(location, {}):
        require(isinstance(batch, pa.RecordBatch), type(batch).__name__)
        require_schema(batch.schema, schema(Event))


def every_event_of_the_toy_arrives(source: Source, folder: Path) -> None:
    """The toy yields as many events as it promises, and at least one."""
    location, wanted = source.toy(folder)
    found = _read(source, location).num_rows
    require(0 < found == wanted, f"{found} ≠ {wanted}")


def events_are_valid(source: Source, folder: Path) -> None:
    """Every event of the toy is a valid record, and no (source, id) comes twice."""
    location, _ = source.toy(folder)
    events = _read(source, location)
    require(len(to_records(Event, events)) == events.num_rows, events.num_rows)
    require(len(pc.unique(event_keys(events))) == events.num_rows, "(source, id) × 2")


def reading_twice_gives_the_same(source: Source, folder: Path) -> None:
    """The same data give the same events with the same ids, so that an import can be repeated."""
    location, _ = source.toy(folder)
    require(_read(source, location).equals(_read(source, location)), "1 ≠ 2")


def missing_data_are_named(source: Source, folder: Path) -> None:
    """A location where nothing lies raises SourceError, which has its words in every language."""
    source.toy(folder)
    require(_refuses(source, str(folder / "nowhere" / "nothing"), {}), "no SourceError")


def unknown_columns_are_named(source: Source, folder: Path) -> None:
    """A mapping to a column that the data do not have raises SourceError."""
    location, _ = source.toy(folder)
    require(_refuses(source, location, {"user": "no such column"}), "no SourceError")


def _read(source: Source, location: str) -> pa.Table:
    """All events; whether a column may be null is left to each batch, for intake judges rows."""
    tables = [pa.Table.from_batches([batch]) for batch in source.read(location, {})]
    empty = schema(Event).empty_table()
    return pa.concat_tables(tables, promote_options="permissive") if tables else empty


def _refuses(source: Source, location: str, mapping: dict[str, str]) -> bool:
    try:
        list(source.read(location, mapping))
    except SourceError as error:
        return all(all(error.explain(lang)) for lang in LANGUAGES)
    return False

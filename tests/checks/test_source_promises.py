"""The promises of sources hold for an honest source, and each catches the bug it is there for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from upwell.checks import Promise, promises, sources
from upwell.errors import PluginError, SourceError
from upwell.ports import Source
from upwell.records import Event
from upwell.tables import schema, to_table

START = datetime(2026, 1, 1, tzinfo=UTC)


class Lines:
    """One JSON object a line, with the columns ``who`` and ``day``."""

    def toy(self, folder: Path) -> tuple[str, int]:
        rows = [{"who": f"u{day}", "day": day} for day in range(5)]
        path = folder / "toy.jsonl"
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        return str(path), len(rows)

    def read(self, location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        path = Path(location)
        if not path.is_file():
            raise SourceError("settings.no_project", folder=location, file=path.name)
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        user = mapping.get("user", "who")
        if user not in rows[0]:
            raise SourceError("settings.no_project", folder=location, file=user)
        events = [
            Event(f"e{row['day']}", "toy", row[user], "click", START + timedelta(row["day"]))
            for row in rows
        ]
        yield from to_table(Event, events).to_batches(max_chunksize=2)


class Renamed(Lines):
    def read(self, location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        names = ["key", *schema(Event).names[1:]]
        return (batch.rename_columns(names) for batch in super().read(location, mapping))


class Short(Lines):
    def toy(self, folder: Path) -> tuple[str, int]:
        location, count = super().toy(folder)
        return location, count + 1


class Doubled(Lines):
    def read(self, location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        for batch in super().read(location, mapping):
            yield batch
            yield batch


class Counting(Lines):
    calls = 0

    def read(self, location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        self.calls += 1
        ids = pa.array([f"{self.calls}-{row}" for row in range(2)])
        for batch in super().read(location, mapping):
            yield batch.set_column(0, batch.schema.field("id"), ids.slice(0, batch.num_rows))


class Silent(Lines):
    def read(self, location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        return super().read(location, {}) if Path(location).is_file() else iter(())


@pytest.mark.parametrize("promise", promises("sources"))
def test_an_honest_source_keeps_every_promise(promise: Promise, tmp_path: Path) -> None:
    promise(Lines(), tmp_path)


@pytest.mark.parametrize(
    ("promise", "source"),
    [
        (sources.batches_are_events, Renamed()),
        (sources.every_event_of_the_toy_arrives, Short()),
        (sources.events_are_valid, Doubled()),
        (sources.reading_twice_gives_the_same, Counting()),
        (sources.missing_data_are_named, Silent()),
        (sources.unknown_columns_are_named, Silent()),
    ],
)
def test_a_promise_catches_its_bug(
    promise: Callable[[Source, Path], None], source: Source, tmp_path: Path
) -> None:
    with pytest.raises(PluginError) as caught:
        promise(source, tmp_path)
    assert caught.value.code == "check.broken"

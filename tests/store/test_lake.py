from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import compute as pc

from upwell.errors import StoreError
from upwell.records import Event, Prediction
from upwell.store import lake as lake_module
from upwell.store.journal import Journal
from upwell.store.lake import Lake, connect
from upwell.tables import schema, to_table

Make = Callable[..., pa.Table]


class KilledError(Exception):
    """Stands for a kill."""


def hide(rows: pa.Table) -> pa.Table:
    place = rows.schema.get_field_index("user")
    hidden = pc.binary_join_element_wise("hidden", rows["user"], "-")
    return rows.set_column(place, rows.schema.field(place), hidden)


@pytest.fixture
def lake(journal: Journal, tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake", journal)


def ids(
    lake: Lake, tmp_path: Path, until: int | None = None, as_of: datetime | None = None
) -> list[str]:
    con = connect(tmp_path / "spill")
    found = lake.events(con, until, as_of).order("seq").to_arrow_table()
    return [str(name) for name in found["id"].to_pylist()]


def test_each_row_is_drained_once_and_protected(
    lake: Lake, journal: Journal, make_events: Make, now: datetime, tmp_path: Path
) -> None:
    assert lake.drain(hide) == 0
    journal.append_events(make_events(0, 30), now)
    assert (lake.drain(hide, batch=8), lake.drain(hide)) == (30, 0)
    journal.append_events(make_events(20, 35), now)
    assert lake.drain(hide) == 5
    found = lake.events(connect(tmp_path / "spill")).order("seq").to_arrow_table()
    assert found["id"].to_pylist() == [f"e{number}" for number in range(35)]
    assert found.schema.field("at").type == schema(Event).field("at").type
    assert set(found["user"].to_pylist()) == {f"hidden-u{number}" for number in range(7)}
    assert lake.watermark() == found["seq"].to_pylist()[-1]


def test_readers_can_be_held_to_the_past(
    lake: Lake, journal: Journal, make_events: Make, now: datetime, tmp_path: Path
) -> None:
    assert ids(lake, tmp_path) == []
    journal.append_events(make_events(0, 20), now)
    lake.drain(hide, batch=5)
    seqs = journal.events_after(0, 99)["seq"].to_pylist()
    assert ids(lake, tmp_path, until=seqs[11]) == [f"e{number}" for number in range(12)]
    before = now + timedelta(seconds=3)
    assert ids(lake, tmp_path, as_of=before) == ["e0", "e1", "e2"]
    assert ids(lake, tmp_path, until=seqs[1], as_of=before) == ["e0", "e1"]


@pytest.mark.parametrize("place", ["publish", "sha256_of", "_write"])
@pytest.mark.parametrize("after", [False, True])
def test_a_killed_drain_loses_and_repeats_nothing(
    lake: Lake,
    journal: Journal,
    make_events: Make,
    now: datetime,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    after: bool,
) -> None:
    journal.append_events(make_events(0, 10), now)
    lake.drain(hide)
    journal.append_events(make_events(10, 25), now)
    real = getattr(lake_module, place)

    def dies(*given: object) -> None:
        if after:
            real(*given)
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(lake_module, place, dies)
        with pytest.raises(KilledError):
            lake.drain(hide)
    assert ids(lake, tmp_path) == [f"e{number}" for number in range(10)]
    journal.append_events(make_events(25, 30), now)
    assert lake.drain(hide) == 20
    assert ids(lake, tmp_path) == [f"e{number}" for number in range(30)]
    assert len(list((tmp_path / "lake" / "events").iterdir())) == 2


def test_a_drain_killed_within_its_commit_is_as_if_never_begun(
    lake: Lake,
    journal: Journal,
    make_events: Make,
    now: datetime,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal.append_events(make_events(0, 10), now)

    def dies(*_: object) -> dict[str, object]:
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(lake_module, "_manifest", dies)
        with pytest.raises(KilledError):
            lake.drain(hide)
    assert (lake.watermark(), ids(lake, tmp_path)) == (0, [])
    assert lake.drain(hide) == 10
    assert len(ids(lake, tmp_path)) == 10


def test_drains_beside_each_other_and_beside_writers_keep_every_row_once(
    lake: Lake, journal: Journal, make_events: Make, now: datetime, tmp_path: Path
) -> None:
    def write() -> None:
        for start in range(0, 200, 10):
            journal.append_events(make_events(start, start + 10), now)

    def drain() -> None:
        for _ in range(10):
            Lake(tmp_path / "lake", journal).drain(hide, batch=30)

    workers = [threading.Thread(target=work) for work in (write, drain, drain)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    lake.drain(hide)
    assert ids(lake, tmp_path) == [f"e{number}" for number in range(200)]


def test_a_full_disk_stops_a_drain_without_loss(
    lake: Lake,
    journal: Journal,
    make_events: Make,
    now: datetime,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal.append_events(make_events(0, 10), now)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(lake_module, "publish", full)
        with pytest.raises(StoreError) as raised:
            lake.drain(hide)
    assert raised.value.code == "store.disk_full"
    assert list((tmp_path / "lake").glob(".tmp-*")) == []
    assert lake.drain(hide) == 10


def test_predictions_are_drained_too(
    lake: Lake, journal: Journal, now: datetime, tmp_path: Path
) -> None:
    shown = Prediction("p", "u", "recommend", "m", now, "", ["a"], 1.0)
    journal.append_predictions(to_table(Prediction, [shown]))
    assert lake.drain(hide) == 1
    found = lake.predictions(connect(tmp_path / "spill")).to_arrow_table()
    assert (found["id"].to_pylist(), found["user"].to_pylist()) == (["p"], ["hidden-u"])
    assert lake.watermark("predictions") == 1


def test_leftovers_of_a_kill_are_swept(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "lake" / ".tmp-x").mkdir(parents=True)
    assert (lake.sweep(), lake.sweep()) == (1, 0)


def test_files_are_private(
    lake: Lake, journal: Journal, make_events: Make, now: datetime, tmp_path: Path
) -> None:
    journal.append_events(make_events(0, 3), now)
    lake.drain(hide)
    (file,) = (tmp_path / "lake" / "events").iterdir()
    assert (file.parent.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)

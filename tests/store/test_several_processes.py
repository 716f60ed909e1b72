"""Several processes on one journal and one lake: nothing is lost, nothing is there twice."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet as pq
from tests.store.conftest import event

from upwell.records import Event
from upwell.store.journal import Journal
from upwell.store.lake import Lake, connect
from upwell.tables import to_table

NOW = datetime(2024, 5, 1, tzinfo=UTC)
PROCESSES = multiprocessing.get_context("spawn")
WORKERS, ROUNDS, SIZE = 2, 15, 10


def unchanged(rows: pa.Table) -> pa.Table:
    return rows


def work(url: str, home: str, name: str, told: Connection) -> None:
    """Post events of one's own and those that everybody posts, and drain all the while."""
    journal = Journal.open(url, Path(home))
    lake = Lake(Path(home) / "lake", journal)
    told.send("ready")
    told.recv()
    accepted = duplicates = 0
    for start in range(0, ROUNDS * SIZE, SIZE):
        numbers = range(start, start + SIZE)
        mine = [event(f"{name}-{number}", number) for number in numbers]
        shared = [event(f"shared-{number}", number) for number in numbers]
        receipt = journal.append_events(to_table(Event, mine + shared), NOW)
        assert not receipt.refused
        accepted, duplicates = accepted + receipt.accepted, duplicates + receipt.duplicates
        lake.drain(unchanged, batch=37)
    told.send((accepted, duplicates))


def test_each_row_is_kept_and_drained_once(journal: Journal, database: str, tmp_path: Path) -> None:
    ends = []
    for number in range(WORKERS):
        here, there = PROCESSES.Pipe()
        given = (database, str(tmp_path), f"w{number}", there)
        process = PROCESSES.Process(target=work, args=given)
        process.start()
        there.close()
        ends.append((here, process))
    for here, _ in ends:
        assert here.recv() == "ready"
    for here, _ in ends:
        here.send("go")
    told = [here.recv() for here, _ in ends]
    for _, process in ends:
        process.join()
    lake = Lake(tmp_path / "lake", journal)
    lake.drain(unchanged)
    each = ROUNDS * SIZE
    assert sum(accepted for accepted, _ in told) == each * (WORKERS + 1)
    assert sum(duplicates for _, duplicates in told) == each * (WORKERS - 1)
    wanted = [f"{name}-{number}" for name in ("shared", "w0", "w1") for number in range(each)]
    stored = journal.events_after(0, 10_000)["id"].to_pylist()
    assert Counter(stored) == Counter(wanted)
    with connect(tmp_path / "spill") as con:
        rows = lake.events(con).order("seq").to_arrow_table()
    assert rows["id"].to_pylist() == stored
    assert pq.read_table(tmp_path / "lake" / "events").num_rows == len(stored)

"""The simulated disk beneath the soak benches loses what it should, and the journal nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench.soaking.cuts import cut_power
from bench.soaking.disk import SECTOR, Disk, Write
from bench.soaking.faults import plant
from bench.soaking.vfs import URL, mounted

from upwell.service import Upwell
from upwell.store.project import create_project, open_project

OLD, NEW = bytes(4 * SECTOR), b"n" * (4 * SECTOR)
EVENT = {"id": "1", "user": "u", "kind": "click", "at": "2026-05-01T10:00:00Z"}


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    (tmp_path / "db").write_bytes(OLD)
    return Disk(tmp_path, ("db",))


def left(disk: Disk, kept: float, times: int = 200) -> list[dict[str, bytes]]:
    chance = np.random.default_rng(0)
    return [disk.left(chance, kept) for _ in range(times)]


def test_what_was_synced_is_left_and_of_the_rest_any_sectors(disk: Disk) -> None:
    disk.write("db", 0, NEW)
    assert left(disk, 0.0)[0] == {"db": OLD}
    found = {one["db"] for one in left(disk, 1.0)}
    assert {OLD, NEW} < found | {OLD}
    for content in found:
        sectors = [content[n : n + SECTOR] for n in range(0, len(content), SECTOR)]
        assert set(sectors) <= {OLD[:SECTOR], NEW[:SECTOR]}
    disk.sync("db", with_folder=False)
    assert {one["db"] for one in left(disk, 0.0)} == {NEW}


def test_later_writes_may_arrive_before_earlier_ones(disk: Disk) -> None:
    disk.write("db", 0, b"a")
    disk.write("db", 0, b"b")
    assert {one["db"][:1] for one in left(disk, 1.0)} >= {b"a", b"b"}
    disk.write("db", 0, None)
    assert {len(one["db"]) for one in left(disk, 1.0)} == {0, 1}
    assert len(OLD) in {len(one["db"]) for one in left(disk, 0.5)}


def test_a_name_is_sure_once_its_folder_is_synced(disk: Disk) -> None:
    disk.open("db-wal")
    disk.write("db-wal", 3, b"x")
    disk.sync("db-wal", with_folder=False)
    assert "db-wal" not in left(disk, 0.0)[0]
    disk.sync("db-wal", with_folder=True)
    assert left(disk, 0.0)[0]["db-wal"] == b"\0\0\0x"
    disk.delete("db-wal", with_folder=False)
    assert "db-wal" in left(disk, 0.0)[0]
    disk.delete("db-wal", with_folder=True)
    assert "db-wal" not in left(disk, 0.0)[0]


def test_what_a_failed_sync_should_have_kept_no_later_one_keeps(disk: Disk) -> None:
    disk.write("db", 0, NEW)
    disk.forget("db")
    disk.sync("db", with_folder=True)
    assert left(disk, 1.0)[0] == {"db": OLD}


def test_sectors_are_those_of_the_disk_not_of_the_write() -> None:
    parts = list(Write(SECTOR - 1, b"abc").sectors())
    assert parts == [Write(SECTOR - 1, b"a"), Write(SECTOR, b"bc")]


def test_the_driver_answers_as_the_usual_one_does(tmp_path: Path) -> None:
    told = []
    for name, chosen in (("usual", {}), ("soaked", {"data": {"journal": URL}})):
        home = create_project(tmp_path / name, "shop", chosen)
        with mounted(Disk(home / "data", ())):
            project = open_project(home)
            upwell = Upwell(project)
            events = [[EVENT], [EVENT, {**EVENT, "id": "2"}], [{**EVENT, "user": "other"}]]
            receipts = [upwell.capture(rows) for rows in events]
            counted = [(r.accepted, r.duplicates, r.refused_at) for r in receipts]
            told.append((counted, project.journal.counts()))
            project.journal.close()
    assert told[0] == told[1]


def test_power_cuts_lose_nothing_but_where_the_journal_promises_less(tmp_path: Path) -> None:
    seen = cut_power(tmp_path, 12, seed=1)
    assert seen.acknowledged > 0
    assert (seen.lost, seen.damaged, seen.twice) == (0, 0, 0)
    weak = cut_power(tmp_path, 12, seed=1, weaken=True)
    assert weak.losing > 0


def test_a_full_or_failing_disk_is_told_and_passes(tmp_path: Path) -> None:
    seen = plant(tmp_path, (1, 60, 125, 200), seed=1)
    assert seen.faults == 8
    assert seen.opening >= 4
    assert set(seen.refused) == {503, 507}
    assert not +seen.wrong

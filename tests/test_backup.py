"""A backup is the whole project, and nothing of who was forgotten since."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree
from typing import Any
from zipfile import ZipFile

import pytest
from sqlalchemy import select

from upwell import loop
from upwell.errors import StoreError
from upwell.interfaces.cli.main import run
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.store.backups import OWNED, PLAIN
from upwell.store.database import reading
from upwell.store.project import Project
from upwell.wiring import alone
from upwell.wiring.backup import backup, restore
from upwell.wiring.erasing import erase, forget
from upwell.wiring.purge import tainted

DAY_ONE = datetime(2024, 1, 1, tzinfo=UTC)
NOW = DAY_ONE + timedelta(days=122)
ANN = "cnry-ann@shop.example"
Printed = pytest.CaptureFixture[str]


@pytest.fixture
def project(shop: Callable[..., Upwell], tmp_path: Path) -> Project:
    """A shop after a turn, in which Ann rated things."""
    upwell = shop(tmp_path / "shop")
    upwell.consent([ANN], PURPOSES, since=DAY_ONE)
    items = sorted(set(upwell.project.journal.events_after(0, 10**6)["item"].to_pylist()))[1:6]
    rows: list[dict[str, object]] = [
        {"id": f"ann-{n}", "user": ANN, "kind": "thumbs", "value": 1, "item": item,
         "at": DAY_ONE + timedelta(days=50, minutes=n)}
        for n, item in enumerate(items)
    ]  # fmt: skip
    upwell.capture(rows, now=NOW)
    loop.turn(upwell.project, now=NOW)
    return upwell.project


def keys(project: Project) -> Path:
    return project.folder / "data" / "keys"


def held(project: Project) -> dict[str, Any]:
    """Every row of the tables that a backup keeps."""
    with reading(project.journal.engine) as connection:
        return {
            table.name: connection.execute(select(table).order_by(*table.primary_key)).fetchall()
            for table in (*PLAIN, *OWNED)
        }


def test_what_comes_back_is_what_was(project: Project, tmp_path: Path) -> None:
    backup(project, tmp_path / "one.zip", NOW)
    made = restore(tmp_path / "one.zip", keys(project), tmp_path / "again")
    assert held(made.project) == held(project)
    assert made.forgotten == 0
    version = project.ledger.version("recommend-0")
    assert made.project.models.verified(version.path, version.digest)
    loop.turn(made.project, now=NOW + timedelta(hours=1), seed=1)
    loop.turn(project, now=NOW + timedelta(hours=1), seed=1)
    one, other = (each.ledger.version("recommend-1") for each in (made.project, project))
    assert (one.snapshot, one.digest) == (other.snapshot, other.digest)


def test_a_backup_tells_nothing_of_users_without_the_keys(project: Project, tmp_path: Path) -> None:
    backup(project, tmp_path / "one.zip", NOW)
    with ZipFile(tmp_path / "one.zip") as archive:
        assert not [name for name in archive.namelist() if b"cnry" in archive.read(name)]
        assert not [name for name in archive.namelist() if "keys" in name and ".key" in name]


def test_who_is_forgotten_does_not_come_back(project: Project, tmp_path: Path) -> None:
    backup(project, tmp_path / "before.zip", NOW)
    forget(project, ANN, id="one", now=NOW)
    with alone(project, NOW):
        erase(project, NOW)
    made = restore(tmp_path / "before.zip", keys(project), tmp_path / "again")
    assert made.forgotten == 1
    assert ANN not in str(held(made.project))
    assert tainted(made.project) == {"recommend-0": 5}
    late: dict[str, object] = {"id": "ann-1", "user": ANN, "kind": "click", "at": DAY_ONE}
    told = Upwell(made.project).capture([late], now=NOW)
    assert [bad.code for bad in told.refused] == ["event.erased"]
    loop.turn(made.project, now=NOW + timedelta(hours=1))
    assert made.project.ledger.champion("recommend") is not None
    assert not (tmp_path / "again" / "data" / "models" / "recommend-0").exists()


def test_what_is_no_backup_is_refused(project: Project, tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"no")
    backup(project, tmp_path / "one.zip", NOW)
    other = copytree(keys(project), tmp_path / "keys")
    (other / "project.key").write_bytes(bytes(32))
    for file, key, to, code in (
        ("no.zip", keys(project), "a", "backup.unreadable"),
        ("one.zip", keys(project), "shop", "project.exists"),
        ("one.zip", other, "b", "backup.other_keys"),
    ):
        with pytest.raises(StoreError) as refused:
            restore(tmp_path / file, key, tmp_path / to)
        assert refused.value.code == code


def test_a_name_that_leads_elsewhere_is_refused(project: Project, tmp_path: Path) -> None:
    backup(project, tmp_path / "one.zip", NOW)
    with ZipFile(tmp_path / "one.zip", "a") as archive:
        archive.writestr("models/recommend-0/../../../evil", "x")
    with pytest.raises(StoreError) as refused:
        restore(tmp_path / "one.zip", keys(project), tmp_path / "again")
    assert refused.value.code == "backup.unreadable"
    assert not list(tmp_path.rglob("evil"))


def test_the_commands(project: Project, tmp_path: Path, capsys: Printed) -> None:
    place = ("-p", str(project.folder), "--json")
    assert run(["backup", str(tmp_path / "one.zip"), *place]) == 0
    told = json.loads(capsys.readouterr().out)
    assert run(["backup", str(tmp_path / "one.zip"), *place]) == 2
    capsys.readouterr()
    again = ["--keys", told["keys"], "--to", str(tmp_path / "again"), "--json"]
    assert run(["restore", str(tmp_path / "one.zip"), *again]) == 0
    assert json.loads(capsys.readouterr().out)["users"] == told["users"]

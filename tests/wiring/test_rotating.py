"""Pseudonyms are rotated: nobody is recognised by the old key, and nothing else has changed."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from tests.postgres import Server
from tests.wiring.rotated import (
    ANN,
    BOB,
    CID,
    KEY,
    LATER,
    NOW,
    Shop,
    content,
    happened,
    rotated,
    shop_in,
    stored,
    users,
)

from upwell import loop
from upwell.errors import StoreError
from upwell.interfaces.cli.main import run
from upwell.service import Upwell
from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.store import renaming
from upwell.store.erasures import Erasures
from upwell.store.exclusions import Exclusions
from upwell.store.project import Project, open_project
from upwell.store.receipts import is_genuine
from upwell.store.tombstones import Tombstones
from upwell.store.veil import Change, Veil
from upwell.wiring import begin
from upwell.wiring.backup import backup, restore
from upwell.wiring.erasing import finish_begun, forget, signed_receipt, signer
from upwell.wiring.judging import trial_of
from upwell.wiring.purge import purge

Printed = pytest.CaptureFixture[str]


def test_who_has_the_old_key_recognises_nobody(folder: Path) -> None:
    project = open_project(folder)
    everybody = users(project)
    old = [Pseudonyms(KEY).of(user) for user in everybody]
    digests = [Tombstones(KEY).of_user(ANN), Tombstones(KEY).of_event("", f"{ANN}-1")]
    tellers = [name.encode() for name in old] + digests
    assert any(name in text for text in stored(folder) for name in tellers)
    project.lease.release()
    done = rotated(folder)
    assert done.rows["lake"] > 0
    assert done.rows["snapshots"] > 0
    assert done.rows["records"] > 2
    assert not [name for text in stored(folder) for name in tellers if name in text]


def test_a_turn_learns_from_the_same_rows(folder: Path, tmp_path: Path) -> None:
    other = copytree(folder, tmp_path / "other")
    before = content(open_project(folder), "recommend-0")
    rotated(other)
    one, two = open_project(folder), open_project(other)
    assert content(two, "recommend-0") == before
    for project in (one, two):
        loop.turn(project, now=LATER, seed=1)
    assert content(one, "recommend-1") == content(two, "recommend-1")


def test_parts_that_a_hash_tells_stay(shop: Shop, tmp_path: Path) -> None:
    split, gate = {"disjoint": "users"}, {"resamples": 100, "tests": 2, "test_minimum": 2}
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        project = shop(folder, split=split, gate=gate).project
        loop.turn(project, now=NOW)
        project.lease.release()
        del project
    rotated(folders[1])
    one, two = map(open_project, folders)
    for project in (one, two):
        loop.turn(project, now=LATER, seed=1)
    assert content(one, "recommend-1") == content(two, "recommend-1")
    opened = [trial_of(each, each.ledger.turns("recommend")[-1]) for each in (one, two)]
    assert opened[0].part.endswith("of2")
    assert opened[0].opened.num_rows < opened[0].data.test.num_rows
    name = Change(two.veil, Veil()).name
    judged = [set(each.opened["user"].to_pylist()) for each in opened]
    assert judged[0] == {name(user) for user in judged[1]}


def test_a_model_goes_on_to_know_its_users(shop: Shop, tmp_path: Path) -> None:
    project = shop(tmp_path / "shop", "rating", tune={"epochs": 1}).project
    loop.turn(project, now=NOW)
    old, items = project.ledger.versions("rating")[0], project.journal.events_after(0, 10**6)
    somebody = next(user for user in users(project) if Pseudonyms(KEY).of(user) in taught(project))
    asked, told = str(items["item"].to_pylist()[0]), ["answer", "probability"]
    before = Upwell(project).predict(somebody, asked, now=LATER).select(told)
    project.lease.release()
    rotated(tmp_path / "shop")
    project = open_project(tmp_path / "shop")
    assert project.ledger.versions("rating")[0].digest != old.digest
    assert Pseudonyms(KEY, over=project.veil.over).of(somebody) in taught(project)
    assert Upwell(project).predict(somebody, asked, now=LATER).select(told) == before
    names = [Pseudonyms(KEY).of(user).encode() for user in users(project)]
    assert not [name for text in stored(project.folder) for name in names if name in text]


def taught(project: Project) -> list[str]:
    """Whom the first rater knows."""
    version = project.ledger.versions("rating")[0]
    config = project.models.verified(version.path, version.digest) / "config.json"
    known: list[str] = json.loads(config.read_text(encoding="utf-8"))["users"]
    return known


def test_promises_to_users_are_kept(folder: Path) -> None:
    before = open_project(folder)
    receipt = signed_receipt(before, found(before, "ann-one"))
    before.lease.release()
    rotated(folder)
    project = open_project(folder)
    upwell = Upwell(project)
    late = upwell.capture([happened(ANN, 1, "i1"), happened(ANN, 99, "i1")], now=NOW)
    assert [bad.code for bad in late.refused] == ["event.erased", "event.erased"]
    assert forget(project, ANN, id="again", now=LATER).id == "ann-one"
    assert is_genuine(receipt, signer(project))
    assert not purge(project, "user", BOB, "again", LATER).is_new
    bob = Pseudonyms(KEY, over=project.veil.over).of(BOB)
    assert Exclusions(project.journal).names("user") == [bob]
    made = forget(project, CID, id="cid-one", now=LATER)
    assert finish_begun(project, LATER)
    assert is_genuine(signed_receipt(project, found(project, made.id)), signer(project))
    assert found(project, made.id).counts["lake"] == 6
    loop.turn(project, now=LATER, seed=1)
    project.journal.close()
    assert not [True for text in stored(folder) if CID.encode() in text]


def found(project: Project, id: str) -> Any:
    return Erasures(project.journal).find(id)


def test_an_unfinished_turn_has_ended(folder: Path) -> None:
    project = open_project(folder)
    left = begin(project, None, 1, LATER)
    project.lease.release()
    rotated(folder)
    project = open_project(folder)
    assert project.ledger.unfinished_turn("recommend") is None
    loop.turn(project, now=LATER, seed=1)
    assert project.ledger.stage_result(left.id, "release") is None


def test_what_fails_before_the_commit_has_not_begun(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("store.disk_full")

    with monkeypatch.context() as patched:
        patched.setattr(renaming, "write_snapshots", full)
        with pytest.raises(StoreError, match="disk_full"):
            rotated(folder)
    assert not (folder / "data" / "rotation").exists()
    assert open_project(folder).veil.fingerprint == ""
    assert not rotated(folder).resumed


def test_on_postgresql_too(
    shop: Shop, tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPWELL_DATA__JOURNAL", postgres.emptied())
    folder = shop_in(tmp_path / "shop", shop)
    project = open_project(folder)
    before = content(project, "recommend-0")
    project.journal.close()
    project.lease.release()
    assert rotated(folder).rows["records"] > 2
    project = open_project(folder)
    assert content(project, "recommend-0") == before
    late = Upwell(project).capture([happened(ANN, 1, "i1")], now=NOW)
    assert [bad.code for bad in late.refused] == ["event.erased"]
    assert not purge(project, "user", BOB, "again", LATER).is_new
    loop.turn(project, now=LATER, seed=1)
    project.journal.close()


def test_nobody_else_may_have_it_open(folder: Path, printed_errors: Printed) -> None:
    other = open_project(folder)
    assert run(["keys", "rotate-pseudonyms", "-p", str(folder)]) == 2
    assert "upwell serve" in printed_errors.readouterr().err
    other.lease.release()
    alone = open_project(folder, rotating=True)
    alone.lease.take_alone()
    with pytest.raises(StoreError, match=r"key\.rotating"):
        open_project(folder)


@pytest.fixture
def printed_errors(capsys: Printed) -> Printed:
    return capsys


def test_backups_of_any_time_can_be_restored(folder: Path, tmp_path: Path) -> None:
    for n in range(3):
        project = open_project(folder)
        backup(project, tmp_path / f"{n}.zip", NOW)
        project.lease.release()
        del project
        rotated(folder)
    project = open_project(folder)
    forget(project, CID, id="cid-one", now=LATER)
    assert finish_begun(project, LATER)
    for n in range(3):
        again = restore(tmp_path / f"{n}.zip", project.keys, tmp_path / f"again-{n}")
        assert again.forgotten == 1
        assert again.project.journal.counts()["events"] == project.journal.counts()["events"]
        for user in (ANN, CID):
            late = Upwell(again.project).capture([happened(user, 1, "i1")], now=LATER)
            assert [bad.code for bad in late.refused] == ["event.erased"]
        assert not purge(again.project, "user", BOB, "again", LATER).is_new
        assert Erasures(again.project.journal).reached()
    lost = copytree(project.keys, tmp_path / "keys")
    for former in lost.glob("names-*.key"):
        former.unlink()
    restore(tmp_path / "0.zip", lost, tmp_path / "first")
    with pytest.raises(StoreError, match=r"backup\.other_keys"):
        restore(tmp_path / "1.zip", lost, tmp_path / "second")


@pytest.mark.parametrize(("lang", "word"), [("en", "Nothing was changed"), ("zh", "未做任何更改")])
def test_the_command(folder: Path, capsys: Printed, lang: str, word: str) -> None:
    ask = ["keys", "rotate-pseudonyms", "-p", str(folder)]
    names = [Pseudonyms(KEY).of(CID)]
    assert run([*ask, "--dry-run", "--lang", lang]) == 0
    assert word in capsys.readouterr().out
    assert run([*ask, "--dry-run", "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    for _ in range(2):
        assert run([*ask, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told == {"rows": planned["rows"], "dry_run": False, "resumed": False}
        project = open_project(folder)
        names.append(Pseudonyms(KEY, over=project.veil.over).of(CID))
        kept = json.loads(project.journal.fact(f"rotated {project.veil.fingerprint}", "{}"))
        assert kept["lake"] == planned["rows"]["lake"]
        project.lease.release()
    assert len(set(names)) == 3
    assert run(["keys", "rotate-pseudonyms", "shop", "-p", str(folder)]) == 2

"""A user asks to be forgotten: nothing of them is left, and models learn as if they never were."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree
from typing import Any
from zipfile import ZipFile

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from upwell import loop
from upwell.errors import StageError
from upwell.interfaces.cli.main import run
from upwell.interfaces.portrait import portrait, write
from upwell.records import PURPOSES, Consent
from upwell.service import Upwell
from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.store.erasures import Erasures
from upwell.store.held import held
from upwell.store.lake import Lake
from upwell.store.project import Project, create_project, open_project
from upwell.store.receipts import is_genuine
from upwell.store.removal import of_users
from upwell.store.snapshots import Snapshots
from upwell.tables import to_table
from upwell.wiring import alone, drain, erasing
from upwell.wiring.erasing import erase, finish_begun, forget, receipt, signed_receipt, signer
from upwell.wiring.purge import tainted

DAY_ONE = datetime(2024, 1, 1, tzinfo=UTC)
NOW = DAY_ONE + timedelta(days=122)
LATER = NOW + timedelta(hours=1)
ANN = "canary-ann@shop.example"
Printed = pytest.CaptureFixture[str]
Shop = Callable[..., Upwell]


@pytest.fixture(scope="module")
def both(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two shops, the second of which Ann never entered; both had a turn."""
    folder = tmp_path_factory.mktemp("forget")
    for name in ("with", "without"):
        upwell = shop(folder / name)
        if name == "with":
            _enter(upwell)
        loop.turn(upwell.project, now=NOW)
    return folder / "with", folder / "without"


def _enter(upwell: Upwell) -> None:
    """What Ann does: events, a consent, a bad row."""
    upwell.consent([ANN], PURPOSES, since=DAY_ONE)
    items = sorted(set(upwell.project.journal.events_after(0, 10**6)["item"].to_pylist()))
    at = DAY_ONE + timedelta(days=50)
    happened: list[dict[str, object]] = [
        {"id": f"ann-{n}", "user": ANN, "kind": "thumbs", "value": 1, "item": item,
         "at": at + timedelta(minutes=n), "payload": {"comment": f"{ANN} likes it"}}
        for n, item in enumerate(items[1:9])
    ]  # fmt: skip
    assert upwell.capture(happened, now=NOW).accepted == 8
    assert upwell.capture([{**happened[0], "value": "much"}], now=NOW).refused_at == (0,)


@pytest.fixture
def entered(both: tuple[Path, Path], tmp_path: Path) -> Project:
    """The shop that Ann entered, for a test of its own."""
    return open_project(copytree(both[0], tmp_path / "shop"))


@pytest.fixture
def never(both: tuple[Path, Path], tmp_path: Path) -> Project:
    """The shop that Ann never entered, for a test of its own."""
    return open_project(copytree(both[1], tmp_path / "never"))


def forgotten(project: Project) -> None:
    forget(project, ANN, id="one", now=NOW)
    with alone(project, NOW):
        erase(project, NOW)


def found(project: Project, *texts: str) -> list[str]:
    """Files below the project that hold one of the texts."""
    files = sorted(path for path in project.folder.rglob("*") if path.is_file())
    wanted = [text.encode(code) for text in texts for code in ("utf-8", "utf-16-le")]
    return [path.name for path in files if any(one in path.read_bytes() for one in wanted)]


def test_nothing_is_left_but_the_receipt(entered: Project) -> None:
    hidden = Pseudonyms(entered.key).of(ANN)
    assert found(entered, ANN)
    forgotten(entered)
    assert found(entered, "canary-ann", "ann-1") == []
    parquet = [str(path) for path in entered.folder.rglob("*.parquet")]
    assert hidden not in str([_cells(path) for path in parquet])
    told = receipt(entered, Erasures(entered.journal).all()[0])
    assert told["removed"] == {
        "events": 8, "predictions": 0, "consents": 1, "bad_rows": 1, "lake": 8, "snapshots": 8,
    }  # fmt: skip
    assert told["models"] == [{"version": "recommend-0", "rows": 8, "serves": True}]
    assert told["state"] == "erased"


def _cells(path: str) -> object:
    return pq.read_table(path).to_pylist()


def test_the_next_turn_learns_as_if_they_never_were(entered: Project, never: Project) -> None:
    forgotten(entered)
    assert list(tainted(entered)) == ["recommend-0"]
    loop.turn(entered, now=LATER)
    mine, other = entered.ledger.version("recommend-1"), never.ledger.version("recommend-0")
    assert mine.parent is None
    assert mine.snapshot == other.snapshot
    assert mine.digest == other.digest
    champion = entered.ledger.champion("recommend")
    assert champion is not None
    assert champion.id == "recommend-1"
    assert Erasures(entered.journal).all()[0].state == "done"
    assert not (entered.folder / "data" / "models" / "recommend-0").exists()


def test_a_late_retry_is_refused_and_what_happens_later_is_new(entered: Project) -> None:
    upwell = Upwell(entered)
    forgotten(entered)
    old: dict[str, object] = {"user": ANN, "kind": "click", "item": "i1", "at": DAY_ONE}
    retry = {**old, "id": "ann-1", "at": NOW + timedelta(days=1)}
    told = upwell.capture([{**old, "id": "never-sent"}, retry], now=LATER)
    assert (told.accepted, told.refused_at) == (0, (0, 1))
    assert {bad.code for bad in told.refused} == {"event.erased"}
    assert found(entered, "canary-ann", "never-sent") == []
    assert entered.journal.add_consents(_consent("late", DAY_ONE)) == 0
    fresh = {**old, "id": "new", "at": NOW + timedelta(days=1)}
    bob = {**fresh, "id": "ann-1", "user": "bob"}
    told = upwell.capture([fresh, bob, {**bob, "id": "bob-1"}], now=NOW + timedelta(days=2))
    assert (told.accepted, told.refused_at) == (2, (1,))
    assert entered.journal.add_consents(_consent("new", NOW + timedelta(days=1))) == 1


def _consent(id: str, since: datetime) -> pa.Table:
    return to_table(Consent, [Consent(id, ANN, PURPOSES, since)])


def test_who_was_never_here_is_unknown_and_who_was_forgotten_has_the_same_receipt(
    entered: Project,
) -> None:
    with pytest.raises(StageError) as refused:
        forget(entered, "nobody", id="one", now=NOW)
    assert refused.value.code == "erase.unknown"
    forgotten(entered)
    assert forget(entered, ANN, id="two", now=LATER).id == "one"
    assert len(Erasures(entered.journal).all()) == 1


@pytest.mark.parametrize("step", ["lake", "doubts", "snapshots", "empty", "mark_erased"])
def test_killed_anywhere_it_goes_on(
    entered: Project, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    places: dict[str, tuple[object, str]] = {
        "lake": (Lake, "_rewrite"), "doubts": (erasing, "forget_doubts"),
        "snapshots": (Snapshots, "_remove"), "empty": (Erasures, "empty"),
        "mark_erased": (Erasures, "mark_erased"),
    }  # fmt: skip
    with monkeypatch.context() as patched:
        patched.setattr(*places[step], killed)
        with pytest.raises(KeyboardInterrupt):
            forgotten(entered)
    with alone(entered, LATER):
        erase(entered, LATER)
    assert found(entered, "canary-ann", "ann-1") == []
    told = receipt(entered, Erasures(entered.journal).all()[0])
    assert told["models"] == [{"version": "recommend-0", "rows": 8, "serves": True}]
    assert entered.snapshots.holding(of_users([Pseudonyms(entered.key).of(ANN)])) == {}
    loop.turn(entered, now=LATER)
    assert Erasures(entered.journal).all()[0].state == "done"


def test_while_a_turn_runs_the_rest_waits_for_its_end(entered: Project) -> None:
    with alone(entered, NOW):
        made = forget(entered, ANN, id="one", now=NOW)
        assert made.state == "begun"
        assert not finish_begun(entered, NOW)
    assert finish_begun(entered, NOW)
    assert Erasures(entered.journal).all()[0].state == "erased"


def test_what_is_drained_meanwhile_does_not_bring_them_back(
    entered: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    more: dict[str, object] = {
        "id": "ann-new", "user": ANN, "kind": "click", "item": "i1", "at": NOW,
    }  # fmt: skip
    assert Upwell(entered).capture([more], now=NOW).accepted == 1
    commit: Callable[..., None] = Lake._commit

    def later(*arguments: object) -> None:
        monkeypatch.undo()
        forget(entered, ANN, id="one", now=NOW)
        with alone(entered, NOW):
            erase(entered, NOW)
        commit(*arguments)

    monkeypatch.setattr(Lake, "_commit", later)
    drain(entered)
    assert entered.lake.remove(of_users([Pseudonyms(entered.key).of(ANN)])) == {}


def test_a_receipt_can_be_checked_and_not_changed(entered: Project) -> None:
    forgotten(entered)
    signed = json.loads(json.dumps(signed_receipt(entered, Erasures(entered.journal).all()[0])))
    assert is_genuine(signed, signer(entered))
    changed = {**signed, "receipt": {**signed["receipt"], "removed": {}}}
    assert not is_genuine(changed, signer(entered))
    assert not is_genuine({}, signer(entered))


def test_the_commands(entered: Project, tmp_path: Path, capsys: Printed) -> None:
    place = ("-p", str(entered.folder), "--json")

    def said(*arguments: str, code: int = 0) -> dict[str, Any]:
        assert run([*arguments, *place]) == code
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told

    packed = tmp_path / "ann.zip"
    assert said("export", "--user", ANN, "--out", str(packed))["events"] == 8
    assert said("export", "--user", ANN, "--out", str(packed), code=2)["error"]
    told = said("forget", ANN)
    assert told["receipt"]["state"] == "erased"
    saved = tmp_path / "receipt.json"
    saved.write_text(json.dumps(told))
    assert said("forget", "--verify", str(saved))["genuine"]
    saved.write_text(json.dumps({**told, "receipt": {}}))
    assert not said("forget", "--verify", str(saved), code=1)["genuine"]
    assert said("forget", "--status", told["receipt"]["erasure"])["receipt"] == told["receipt"]
    assert said("forget", "--status", "other", code=2)["error"]["code"] == "cli.no_erasure"
    assert said("forget", ANN, "--turn")["receipt"]["state"] == "done"
    assert len(said("forget")["erasures"]) == 1
    assert said("export", "--user", ANN, code=2)["error"]["code"] == "erase.unknown"


def test_an_export_is_all_that_is_held_and_goes_in_again(entered: Project, tmp_path: Path) -> None:
    path = tmp_path / "ann.zip"
    write(portrait(entered, ANN, NOW), path)
    with ZipFile(path) as archive:
        lines = {
            name: [json.loads(line) for line in archive.read(name).decode().splitlines()]
            for name in archive.namelist()
            if name.endswith(".jsonl")
        }
        assert json.loads(archive.read("models.json"))[0]["version"] == "recommend-0"
        assert "8 events" in archive.read("README.en.txt").decode()
        archive.extract("events.jsonl", tmp_path)
    assert {name: len(rows) for name, rows in lines.items()} == {
        "events.jsonl": 8, "predictions.jsonl": 0, "consents.jsonl": 1, "bad_rows.jsonl": 1,
        "used.jsonl": 8,
    }  # fmt: skip
    folder = create_project(tmp_path / "other", "other")
    assert run(["import", str(tmp_path / "events.jsonl"), "-p", str(folder)]) == 0
    again = held(open_project(folder).journal, ANN)
    assert again.events == held(entered.journal, ANN).events

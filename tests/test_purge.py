"""After an attack was found: one command, and a turn learns without the attacker."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree

import pytest
from pyarrow import compute as pc

from upwell import loop
from upwell.errors import StageError, StoreError
from upwell.interfaces.cli.main import run
from upwell.records import PURPOSES, Json
from upwell.service import Upwell
from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.store.exclusions import Exclusions
from upwell.store.project import Project, open_project
from upwell.tables import Dataset
from upwell.wiring import alone, begin
from upwell.wiring.purge import purge, tainted
from upwell.wiring.switch import switch

DAY_ONE = datetime(2024, 1, 1, tzinfo=UTC)
NOW = DAY_ONE + timedelta(days=122)
BAD, FEED = "mallory@shop.example", "partner"
Printed = pytest.CaptureFixture[str]
Shop = Callable[..., Upwell]


def answer(printed: Printed, *arguments: str, code: int = 0) -> dict[str, object]:
    assert run([*arguments, "--json"]) == code
    found: dict[str, object] = json.loads(printed.readouterr().out)
    return found


@pytest.fixture(scope="module")
def turned(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A shop with a clean version and two that learned from an attacker and from a bad source."""
    upwell = shop(tmp_path_factory.mktemp("purge") / "shop", gate={"drift_margin": 0.1})
    project = upwell.project
    loop.turn(project, now=NOW)
    items = sorted(set(project.journal.events_after(0, 10**6)["item"].to_pylist()) - {None, ""})
    at = DAY_ONE + timedelta(days=90)
    for source, user in (("app", BAD), (FEED, "bob@shop.example")):
        upwell.consent([user], PURPOSES, since=DAY_ONE)
        happened: list[dict[str, object]] = [
            {"id": f"{user}-{n}", "user": user, "kind": "thumbs", "value": 1, "item": item,
             "at": at + timedelta(minutes=n)}
            for n, item in enumerate(items[:8])
        ]  # fmt: skip
        assert upwell.capture(happened, source=source, now=NOW).accepted == 8
        loop.turn(project, now=NOW)
    return project


@pytest.fixture
def attacked(turned: Project, tmp_path: Path) -> Project:
    """The same, for a test of its own; the last version serves."""
    project = open_project(copytree(turned.folder, tmp_path / "shop"))
    reason: dict[str, Json] = {"key": "release.by_hand"}
    switch(project, "promote", "recommend-2", reason, id="by hand", now=NOW)
    return project


def parts(project: Project, version: str) -> Dataset:
    return project.snapshots.read(project.ledger.version(version).snapshot)


def of_bad(project: Project, version: str) -> tuple[int, int]:
    """Rows of the bad user and of the bad source that a version was made with."""
    data, hidden = parts(project, version), Pseudonyms(project.key).of(BAD)
    rows = [row for part in (data.train, data.validation, data.test) for row in part.to_pylist()]
    return (
        sum(row["user"] == hidden for row in rows),
        sum(key.startswith(f"{FEED}/") for row in rows for key in row["sources"]),
    )


def test_the_attack_is_in_the_versions_made_after_it(attacked: Project) -> None:
    found = [of_bad(attacked, f"recommend-{n}") for n in range(3)]
    assert [bool(user) for user, _ in found] == [False, True, True]
    assert [bool(source) for _, source in found] == [False, False, True]


@pytest.mark.parametrize(
    ("option", "name", "reached"),
    [("--user", BAD, ["recommend-1", "recommend-2"]), ("--source", FEED, ["recommend-2"])],
)
def test_a_purge_names_every_version_it_reached_and_a_turn_learns_without(
    attacked: Project, capsys: Printed, option: str, name: str, reached: list[str]
) -> None:
    place = ("-p", str(attacked.folder))
    before = attacked.journal.counts()["events"]
    told = answer(capsys, "purge", option, name, "--reason", "ring", "--turn", *place)
    assert (told["is_new"], told["events"]) == (True, 8)
    assert isinstance(told["tainted"], dict)
    assert list(told["tainted"]) == reached
    assert all(told["tainted"].values())
    assert attacked.journal.counts()["events"] == before
    place_of = {"--user": 0, "--source": 1}[option]
    assert of_bad(attacked, "recommend-3")[place_of] == 0
    assert of_bad(attacked, "recommend-3")[1 - place_of] > 0
    listed = answer(capsys, "models", *place)
    assert isinstance(listed["tainted"], dict)
    assert list(listed["tainted"]) == reached
    status = answer(capsys, "status", *place)
    assert status["tainted"] == listed["tainted"]


def test_nothing_of_other_users_is_lost(attacked: Project) -> None:
    purge(attacked, "user", BAD, "", NOW)
    loop.turn(attacked, now=NOW)
    hidden = Pseudonyms(attacked.key).of(BAD)
    was, now = (parts(attacked, f"recommend-{n}") for n in (2, 3))
    for name in ("train", "validation", "test"):
        old, new = getattr(was, name), getattr(now, name)
        left = old.filter(pc.not_equal(old["user"], hidden))
        assert left["id"].to_pylist() == new["id"].to_pylist(), name


def test_a_clean_version_replaces_the_tainted_one_in_one_turn(attacked: Project) -> None:
    champion = attacked.ledger.champion("recommend")
    assert champion is not None
    purge(attacked, "user", BAD, "", NOW)
    assert champion.id in tainted(attacked)
    decision = loop.turn(attacked, now=NOW)
    held = [reason for reason in decision.reasons if reason["verdict"] in ("hold", "reject")]
    assert not held, held
    keys = [str(reason["key"]) for reason in decision.reasons]
    assert "gate.tainted.promote" in keys
    assert not [key for key in keys if key.startswith(("gate.better", "gate.gain"))]
    serving = attacked.ledger.champion("recommend")
    assert serving is not None
    assert serving.id == "recommend-3"
    assert serving.id not in tainted(attacked)


def test_a_purge_again_changes_nothing(attacked: Project, capsys: Printed) -> None:
    place = ("-p", str(attacked.folder))
    first = answer(capsys, "purge", "--user", BAD, "--reason", "ring", *place)
    again = answer(capsys, "purge", "--user", BAD, "--reason", "another", *place)
    assert (first["is_new"], again["is_new"]) == (True, False)
    assert again["exclusion"] == first["exclusion"]
    assert again["tainted"] == first["tainted"]
    assert [one.reason for one in Exclusions(attacked.journal).all()] == ["ring"]


def test_who_is_unknown_or_not_named_is_told_so(attacked: Project, capsys: Printed) -> None:
    place = ("-p", str(attacked.folder))
    for arguments, code in (
        (("--user", "nobody"), "purge.unknown"),
        (("--source", "nowhere"), "purge.unknown"),
        ((), "cli.purge_what"),
        (("--user", BAD, "--source", FEED), "cli.purge_what"),
    ):
        error = answer(capsys, "purge", *arguments, *place, code=2)["error"]
        assert isinstance(error, dict)
        assert error["code"] == code
    assert not Exclusions(attacked.journal).all()
    with pytest.raises(StageError, match=r"purge\.unknown"):
        purge(attacked, "user", "nobody", "", NOW)


def test_a_tainted_version_serves_by_hand_only_by_force(attacked: Project, capsys: Printed) -> None:
    place = ("-p", str(attacked.folder))
    purge(attacked, "user", BAD, "", NOW)
    for command in ("promote", "rollback"):
        error = answer(capsys, command, "recommend-1", *place, code=2)["error"]
        assert isinstance(error, dict)
        assert error["code"] == "cli.tainted"
    answer(capsys, "promote", "recommend-0", *place)
    answer(capsys, "promote", "recommend-1", "--force", *place)
    assert answer(capsys, "models", *place)["champion"] == "recommend-1"


def test_an_unfinished_turn_ends_and_a_running_one_is_told(attacked: Project) -> None:
    upwell = Upwell(attacked)
    seen = {"id": "later", "user": BAD, "kind": "thumbs", "value": 1, "item": "x", "at": NOW}
    upwell.capture([seen], now=NOW)
    begin(attacked, None, 0, NOW)
    with alone(attacked, NOW), pytest.raises(StoreError, match=r"turn\.running"):
        purge(attacked, "user", BAD, "", NOW)
    assert not Exclusions(attacked.journal).all()
    purge(attacked, "user", BAD, "", NOW)
    assert attacked.ledger.unfinished_turn("recommend") is None


def test_what_was_purged_is_explained(attacked: Project, capsys: Printed) -> None:
    place = ("-p", str(attacked.folder))
    for what, name, user in (("user", BAD, BAD), ("source", FEED, "bob@shop.example")):
        answer(capsys, "purge", f"--{what}", name, "--reason", "ring", *place)
        loop.turn(attacked, now=NOW)
        told = answer(capsys, "feedback", "explain", user, *place)
        fates = told["fates"]
        assert isinstance(fates, list)
        codes = {doubt["code"] for fate in fates for doubt in fate["doubts"]}
        assert codes == {f"clean.purged_{what}"}
        assert run(["feedback", "explain", user, *place, "--lang", "zh"]) == 0
        assert "清除" in capsys.readouterr().out


def test_a_version_whose_rows_cannot_be_read_is_not_trusted(attacked: Project) -> None:
    snapshot = attacked.ledger.version("recommend-0").snapshot
    file = attacked.folder / "data" / "snapshots" / snapshot / "train.parquet"
    file.write_bytes(b"")
    found = purge(attacked, "user", BAD, "", NOW).tainted
    assert found["recommend-0"] is None
    assert tainted(attacked)["recommend-0"] is None

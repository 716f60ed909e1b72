"""A turn that is killed anywhere goes on from there, and ends as if nothing had happened."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree

import pytest

from upwell import loop, wiring
from upwell.errors import StageError, StoreError
from upwell.records import Json
from upwell.service import Upwell
from upwell.store.ledger import Turn
from upwell.store.project import Project, open_project

DAY_ONE = datetime(2024, 1, 1, tzinfo=UTC)
FIRST, FROZEN, NOW = (DAY_ONE + timedelta(days=days) for days in (60, 100, 122))
STAGES = ("collect", "freeze", "tune", "evaluate", "release")
Shop = Callable[..., Upwell]
Outcome = tuple[object, ...]


class Killed(BaseException):
    """Nothing in a turn may catch this, as nothing can catch a kill."""


def second_turn(project: Project) -> None:
    loop.turn(project, now=NOW, as_of=FROZEN)


def outcome(project: Project) -> Outcome:
    """All that must not differ: snapshots, digests, every number of reports, decisions."""
    ledger = project.ledger
    versions = [
        (one.id, one.parent, one.snapshot, one.digest) for one in ledger.versions("recommend")
    ]
    reports, decisions = ledger.reports("recommend"), ledger.decisions("recommend")
    served = ledger.alias_history("recommend").select(["version", "decision"]).to_pylist()
    return versions, reports, decisions, served


@pytest.fixture(scope="module")
def begun(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a shop after its first turn."""
    folder = tmp_path_factory.mktemp("begun") / "shop"
    loop.turn(shop(folder).project, now=NOW, as_of=FIRST)
    return folder


@pytest.fixture(scope="module")
def undisturbed(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """How two turns end in another project with the same key."""
    project = shop(tmp_path_factory.mktemp("undisturbed") / "shop").project
    loop.turn(project, now=NOW, as_of=FIRST)
    second_turn(project)
    return outcome(project)


@pytest.fixture
def project(begun: Path, tmp_path: Path) -> Project:
    """A copy of its own of the shop after its first turn."""
    return open_project(copytree(begun, tmp_path / "shop"))


def killed_at(stage: str, after: bool) -> wiring.Stage:
    """A stage that dies before its work, or after it and before it is recorded."""
    real = getattr(wiring, stage)

    def dying(project: Project, turn: Turn, tell: wiring.Tell) -> Mapping[str, Json]:
        if after:
            real(project, turn, tell)
        raise Killed

    return dying


@pytest.mark.parametrize("after", [False, True], ids=["before", "unrecorded"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_turn_ends_as_if_undisturbed(
    project: Project, undisturbed: Outcome, stage: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(wiring, stage, killed_at(stage, after))
        with pytest.raises(Killed):
            second_turn(project)
    again = open_project(project.folder)
    second_turn(again)
    assert outcome(again) == undisturbed
    assert again.ledger.unfinished_turn("recommend") is None


def test_training_that_is_killed_goes_on_from_its_last_epoch(
    project: Project, undisturbed: Outcome
) -> None:
    epochs: list[float] = []

    def dying(stage: str, done: float, numbers: Mapping[str, object]) -> None:
        if stage == "tune" and 0 < done < 1:
            raise Killed

    def watching(stage: str, done: float, numbers: Mapping[str, object]) -> None:
        if stage == "tune" and numbers:
            epochs.append(done)

    with pytest.raises(Killed):
        loop.turn(project, now=NOW, as_of=FROZEN, progress=dying)
    loop.turn(project, now=NOW, as_of=FROZEN, progress=watching)
    assert epochs == [1.0]
    assert outcome(project) == undisturbed
    assert not list((project.folder / "data" / "checkpoints").iterdir())


def test_a_process_that_dies_leaves_a_turn_to_finish(
    project: Project, undisturbed: Outcome
) -> None:
    code = (
        "import os, sys; from datetime import datetime; from pathlib import Path\n"
        "from upwell import loop, wiring; from upwell.store.project import open_project\n"
        "wiring.tune = lambda *_: os._exit(9)\n"
        "at, now = map(datetime.fromisoformat, sys.argv[2:])\n"
        "loop.turn(open_project(Path(sys.argv[1])), now=now, as_of=at)\n"
    )
    arguments = [str(project.folder), FROZEN.isoformat(), NOW.isoformat()]
    died = subprocess.run([sys.executable, "-c", code, *arguments], check=False)
    assert died.returncode == 9
    second_turn(project)
    assert outcome(project) == undisturbed


def test_the_champion_serves_while_a_turn_lies_unfinished(
    project: Project, undisturbed: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    upwell = Upwell(project)
    before = upwell.recommend("somebody", 3, now=NOW)
    for stage in STAGES:
        with monkeypatch.context() as patched:
            patched.setattr(wiring, stage, killed_at(stage, after=False))
            with pytest.raises(Killed):
                second_turn(project)
        for asked in (upwell, Upwell(open_project(project.folder))):
            answer = asked.recommend("somebody", 3, now=NOW)
            assert answer.select(["item", "score", "model"]) == before.select(
                ["item", "score", "model"]
            )
    assert upwell.status()["unfinished"] == "recommend-1"
    second_turn(project)
    assert outcome(project) == undisturbed


def test_a_dry_run_takes_no_decision_and_the_next_turn_finishes_it(
    project: Project, undisturbed: Outcome
) -> None:
    before = project.ledger.champion("recommend")
    told = loop.turn(project, now=NOW, as_of=FROZEN, dry_run=True)
    assert project.ledger.champion("recommend") == before
    assert len(project.ledger.decisions("recommend")) == 1
    taken = loop.turn(project, now=NOW + timedelta(days=1))
    assert taken == told
    assert outcome(project) == undisturbed


def test_an_unfinished_turn_is_finished_as_it_was_begun(
    project: Project, undisturbed: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(wiring, "collect", killed_at("collect", after=False))
        with pytest.raises(Killed):
            second_turn(project)
    late = {"id": "late", "user": "u05.0@shop.example", "kind": "thumbs", "value": 1,
            "item": "i1", "at": FIRST}  # fmt: skip
    Upwell(project).capture([late], now=NOW)
    loop.turn(project, now=NOW, as_of=None, seed=7)
    assert outcome(project) == undisturbed


@pytest.mark.parametrize(
    "writing",
    ["rows.pq.ParquetWriter.write_table", "store.snapshots._write", "store.models.publish"],
)
def test_a_full_disk_stops_a_turn_that_then_resumes(
    project: Project, undisturbed: Outcome, writing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(f"upwell.{writing}", full)
        with pytest.raises(StoreError) as refused:
            second_turn(project)
    assert refused.value.code == "store.disk_full"
    assert all(refused.value.explain(lang) for lang in ("en", "zh"))
    assert not list(project.folder.rglob(".tmp-*"))
    second_turn(project)
    assert outcome(project) == undisturbed


def test_an_empty_turn_is_refused_and_begins_nothing(project: Project) -> None:
    with pytest.raises(StageError) as refused:
        loop.turn(project, now=NOW, as_of=FIRST)
    assert refused.value.code == "loop.nothing_new"
    assert "recommend-0" in str(refused.value)
    assert refused.value.explain("zh") != refused.value.explain("en")
    assert len(project.ledger.turns("recommend")) == 1
    assert project.ledger.unfinished_turn("recommend") is None


def test_a_stage_without_a_result_is_named(project: Project) -> None:
    turn = project.ledger.turns("recommend")[0]
    with pytest.raises(StageError) as refused:
        wiring.kept(project, turn, "no such stage")
    assert refused.value.code == "loop.stage_missing"
    assert "no such stage" in str(refused.value)

"""Turns by themselves: when they begin, what a failure does, and who gives way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_task import install
from tests.wiring.turns import DAY, TASK, labelled, opened

from upwell import loop, wiring
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.stages.release.triggers import stability
from upwell.store.failures import failures
from upwell.wiring.history import history

HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    install(monkeypatch)
    yield
    monkeypatch.undo()


class Clock:
    """A clock that a test moves."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


def watched(folder: Path, **watch: Any) -> tuple[Upwell, Clock, Callable[[], wiring.Round]]:
    """A project with 80 labels, its clock, and the next round of its watch."""
    upwell = opened(folder, watch={"retry_seconds": 10.0, **watch})
    upwell.capture(labelled(range(80)), now=DAY)
    clock = Clock(DAY)
    rounds = loop.watch(upwell.project, clock=clock, chance=lambda: 0.0)
    return upwell, clock, lambda: next(rounds)


def due(found: wiring.Round) -> list[str]:
    return [check.name for check in found.due]


def broken(*_: object) -> wiring.Kept:
    raise ZeroDivisionError("a planted fault")


def test_the_first_turn_begins_with_what_waits_and_the_next_with_enough(tmp_path: Path) -> None:
    upwell, clock, look = watched(tmp_path, feedback=5)
    first = look()
    assert due(first) == ["first", "feedback"]
    assert first.decision is not None
    assert first.decision.act == "promote"
    assert first.wait == timedelta(minutes=1)
    upwell.capture(labelled(range(80, 84)), now=DAY)
    clock.now = DAY + HOUR
    assert due(look()) == []
    upwell.capture(labelled(range(84, 86)), now=DAY)
    assert due(look()) == ["feedback"]
    assert due(look()) == []
    assert len(upwell.project.ledger.turns(TASK)) == 2


def test_time_begins_a_turn_only_where_something_is_new(tmp_path: Path) -> None:
    upwell, clock, look = watched(tmp_path)
    look()
    clock.now = DAY + timedelta(hours=25)
    assert due(look()) == []
    upwell.capture(labelled(range(80, 81)), now=DAY)
    assert due(look()) == ["time"]


def thumbs(upwell: Upwell, number: int, value: int, at: datetime) -> None:
    """``number`` users say the same of an answer each."""
    users = [f"u{n}" for n in range(number)]
    upwell.consent(users, PURPOSES, since=DAY)
    asked = [f"apple {value} {n}" for n in range(number)]
    shown = upwell.predict_many(asked, users, now=at)["prediction"].to_pylist()
    upwell.capture(
        {"id": f"{value}-{n}", "user": users[n], "kind": "thumbs", "value": value,
         "prediction": name, "at": at}
        for n, name in enumerate(shown)
    )  # fmt: skip


def test_drift_of_what_users_say_begins_a_turn(tmp_path: Path) -> None:
    upwell, clock, look = watched(tmp_path, feedback=0, hours=1.0, drift_minimum=40)
    look()
    thumbs(upwell, 60, 1, DAY)
    clock.now = DAY + HOUR
    found = look()
    assert due(found) == ["time"]  # labels are nothing that users say
    assert [check.numbers for check in found.checks if check.name == "few"] == [
        {"events": 0, "minimum": 40}
    ]
    thumbs(upwell, 50, -1, DAY + HOUR)
    clock.now = DAY + 2 * HOUR - timedelta(minutes=1)
    assert due(look()) == []
    clock.now = DAY + 2 * HOUR
    found = look()
    assert due(found) == ["time", "drift"]
    (drift,) = [check for check in found.due if check.name == "drift"]
    assert drift.numbers["drift"] == pytest.approx(stability({"thumbs +1": 60}, {"thumbs -1": 50}))


def test_a_turn_that_fails_waits_longer_each_time_and_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upwell, clock, look = watched(tmp_path, give_up=3)
    with monkeypatch.context() as planted:
        planted.setattr(wiring, "tune", broken)
        found = [look() for _ in range(3)]
    assert [one.times for one in found] == [1, 2, 3]
    assert [one.wait.total_seconds() for one in found] == [5.0, 10.0, 20.0]
    assert [one.given_up for one in found] == [False, False, True]
    assert {one.turn for one in found} == {f"{TASK}-0"}
    assert upwell.project.ledger.unfinished_turn(TASK) is None
    told = failures(upwell.project.journal, f"{TASK}-0")
    assert [one["code"] for one in told] == ["ZeroDivisionError"] * 3
    (line,) = history(upwell.project)
    assert line.act == "failed"
    assert line.why is not None
    assert line.why["times"] == 3
    upwell.capture(labelled(range(80, 90)), now=DAY)
    clock.now = DAY + 2 * HOUR
    again = look()
    assert again.decision is not None
    assert again.decision.model == f"{TASK}-1"
    assert again.wait == timedelta(minutes=1)


def test_a_turn_that_failed_goes_on_from_where_it_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upwell, _, look = watched(tmp_path)
    with monkeypatch.context() as planted:
        planted.setattr(wiring, "evaluate", broken)
        assert look().times == 1
    trained = upwell.project.ledger.stage_result(f"{TASK}-0", "tune")
    found = look()
    assert due(found) == ["unfinished"]
    assert found.failed is None
    assert upwell.project.ledger.stage_result(f"{TASK}-0", "tune") == trained
    assert len(upwell.project.ledger.turns(TASK)) == 1


def test_a_turn_of_another_process_is_no_failure(tmp_path: Path) -> None:
    upwell, _, look = watched(tmp_path)
    with wiring.alone(upwell.project, DAY):
        found = look()
    assert found.busy
    assert found.wait == timedelta(minutes=1)
    assert upwell.project.ledger.turns(TASK) == []
    assert look().decision is not None


def test_a_champion_whose_files_are_damaged_is_told_and_keeps_no_turn_from_running(
    tmp_path: Path,
) -> None:
    upwell, clock, look = watched(tmp_path, feedback=5)
    look()
    champion = upwell.project.ledger.champion(TASK)
    assert champion is not None
    file = upwell.project.models.verified(champion.path, champion.digest) / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    upwell.capture(labelled(range(80, 90)), now=DAY)
    clock.now = DAY + HOUR
    found = look()
    assert found.decision is not None
    assert found.decision.act == "hold"
    assert getattr(found.failed, "code", "") == "model.damaged"
    assert found.times == 1
    file.write_bytes(whole)
    assert look().failed is None


def test_a_clock_that_is_set_back_an_hour_keeps_no_turn_from_ending(tmp_path: Path) -> None:
    upwell, clock, look = watched(tmp_path, feedback=5)
    assert look().decision is not None
    upwell.capture(labelled(range(80, 90)), now=DAY)
    clock.now = DAY - HOUR
    found = look()
    assert found.decision is not None
    assert found.decision.model == f"{TASK}-1"
    one, other = upwell.project.ledger.turns(TASK)
    assert one.at <= other.at <= (other.closed or DAY)
    assert [entry.number for entry in history(upwell.project)] == [0, 1]
    served = upwell.project.ledger.alias_history(TASK).to_pylist()
    assert all(row["until"] is None or row["since"] <= row["until"] for row in served)

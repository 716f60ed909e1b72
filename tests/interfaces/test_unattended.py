"""Turns that nobody watches, and what is told of them afterwards: watch, history, a dry run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.tiny_task import install
from tests.wiring.turns import DAY, TASK, labelled, opened

from upwell import loop, wiring
from upwell.interfaces.cli.commands.watch import BUSY, FAILED
from upwell.interfaces.cli.main import run
from upwell.interfaces.report.gather import gather
from upwell.interfaces.report.write import pictures
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.store.ledger import Turn
from upwell.store.project import Project, create_project
from upwell.words import LANGUAGES, catalogue

Printed = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    install(monkeypatch)
    yield
    monkeypatch.undo()


def documents(printed: Printed) -> list[dict[str, object]]:
    """Every line of JSON that was printed."""
    return [json.loads(line) for line in printed.readouterr().out.splitlines()]


def answer(printed: Printed, *arguments: str) -> dict[str, object]:
    assert run([*arguments, "--json"]) == 0
    found: dict[str, object] = json.loads(printed.readouterr().out)
    return found


def listed(found: object) -> list[dict[str, object]]:
    assert isinstance(found, list)
    return found


def waiting(folder: Path) -> Upwell:
    """A project whose first turn is due."""
    upwell = opened(folder, serve={"explore": 0.2})
    upwell.capture(labelled(range(120)), now=DAY)
    return upwell


def turned(folder: Path) -> Upwell:
    """A project after two turns; the second learned from thumbs and corrections of 30 users."""
    upwell = waiting(folder)
    loop.turn(upwell.project, now=DAY)
    users = [f"u{n}" for n in range(30)]
    upwell.consent(users, PURPOSES, since=DAY)
    shown = upwell.predict_many([f"apple {n}" for n in range(90)], users * 3, now=DAY)
    said: list[dict[str, object]] = [
        {"kind": "thumbs", "value": 1}, {"kind": "thumbs", "value": 1},
        {"kind": "correction", "payload": {"correction": "metal"}},
    ]  # fmt: skip
    upwell.capture(
        {"id": f"s{n}", "user": users[n % 30], "prediction": name, **said[n // 30],
         "at": DAY + timedelta(minutes=n)}
        for n, name in enumerate(shown["prediction"].to_pylist())
    )  # fmt: skip
    loop.turn(upwell.project, now=DAY + timedelta(days=1))
    return upwell


def test_watch_once_ends_with_a_code_that_cron_understands(
    tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    upwell = waiting(tmp_path)
    once = ("watch", "--once", "-p", str(upwell.project.folder))
    with wiring.alone(upwell.project, DAY):
        assert run([*once, "--json"]) == BUSY
    assert documents(capsys)[0]["busy"] is True
    with monkeypatch.context() as planted:
        planted.setattr(wiring, "evaluate", lambda *_: 1 / 0)
        assert run([*once, "--json"]) == FAILED
    failed = documents(capsys)[0]["failed"]
    assert isinstance(failed, dict)
    assert (failed["code"], failed["turn"]) == ("ZeroDivisionError", f"{TASK}-0")
    assert run([*once, "--json"]) == 0
    assert documents(capsys)[0]["act"] == "promote"
    assert run([*once, "--json"]) == 0
    assert documents(capsys)[0]["due"] == []


@pytest.mark.parametrize("lang", LANGUAGES)
def test_watch_says_why_a_turn_is_due_and_what_the_others_wait_for(
    tmp_path: Path, capsys: Printed, lang: str
) -> None:
    once = ("watch", "--once", "-p", str(waiting(tmp_path).project.folder), "--lang", lang)
    assert run(once) == 0
    assert run(once) == 0
    said = capsys.readouterr().out
    assert "120" in said
    assert "1,000" in said
    assert "{" not in said


def test_a_watch_ends_well_when_it_is_told_to_stop(tmp_path: Path) -> None:
    """SIGTERM, as a service manager sends it, to a process of its own."""
    folder = create_project(tmp_path / "quiet", "quiet")
    command = [sys.executable, "-m", "upwell.interfaces.cli", "watch", "-p", str(folder)]
    environment = {**os.environ, "UPWELL_LANG": "en", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as watching:
        assert watching.stdout is not None
        assert "No turn is due" in watching.stdout.readline()
        watching.send_signal(signal.SIGTERM)
        rest = watching.stdout.read()
    assert watching.returncode == 0
    assert catalogue("en")["cli.watch.stopped"] in rest


def test_a_stop_asked_for_during_a_turn_leaves_it_to_go_on(
    tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    upwell = waiting(tmp_path)
    real = wiring.tune

    def stopped(project: Project, turn: Turn, tell: wiring.Tell) -> wiring.Kept:
        os.kill(os.getpid(), signal.SIGTERM)
        return real(project, turn, tell)

    with monkeypatch.context() as planted:
        planted.setattr(wiring, "tune", stopped)
        assert run(["watch", "-p", str(upwell.project.folder)]) == 0
    assert catalogue("en")["cli.watch.stopped"] in capsys.readouterr().out
    assert upwell.project.ledger.unfinished_turn(TASK) is not None
    assert loop.turn(upwell.project, now=datetime.now(UTC)).act == "promote"


def test_history_tells_each_turn_with_its_gain_cost_and_data(
    tmp_path: Path, capsys: Printed
) -> None:
    project = turned(tmp_path).project
    told = answer(capsys, "history", "-p", str(project.folder))
    first, second = listed(told["entries"])
    assert (first["feedback"], first["labels"], first["users"]) == ({}, 120, 0)
    assert second["feedback"] == {"correction": 30, "thumbs": 60}
    assert (second["users"], second["gain"] is None) == (30, False)
    gain, each = second["gain"], second["per_thousand"]
    assert isinstance(gain, dict)
    assert isinstance(each, dict)
    assert each["value"] == pytest.approx(gain["value"] * 1000 / 30)
    assert gain["low"] <= gain["value"] <= gain["high"]
    seconds, cost = second["seconds"], second["cost"]
    assert isinstance(seconds, dict)
    assert set(seconds) == {"collect", "dataset", "tune", "evaluate", "release"}
    assert cost == pytest.approx(sum(seconds.values()), abs=1e-3)
    assert told["champion"] == listed(told["entries"])[-1]["serving"]
    for lang in LANGUAGES:
        assert run(["history", "-p", str(project.folder), "--lang", lang]) == 0
        said = capsys.readouterr().out
        assert f"{TASK}-1" in said
        assert "{" not in said


def test_a_way_back_by_hand_stands_in_the_history(tmp_path: Path, capsys: Printed) -> None:
    place = ("-p", str(turned(tmp_path).project.folder))
    answer(capsys, "promote", f"{TASK}-1", *place)
    answer(capsys, "rollback", *place)
    entries = listed(answer(capsys, "history", *place)["entries"])
    by_hand = [entry for entry in entries if entry["turn"] is None]
    assert [(entry["act"], entry["serving"]) for entry in by_hand] == [
        ("promote", f"{TASK}-1"), ("rollback", f"{TASK}-0"),
    ]  # fmt: skip


def test_the_worth_of_each_kind_is_measured_once_with_its_interval_and_seconds(
    tmp_path: Path, capsys: Printed
) -> None:
    place = ("-p", str(turned(tmp_path).project.folder))
    assert run(["history", "--by-kind", "--budget", "600", *place]) == 0
    assert "correction" in capsys.readouterr().out
    kinds = listed(answer(capsys, "history", *place)["entries"])[-1]["kinds"]
    assert isinstance(kinds, dict)
    assert set(kinds) == {"correction", "thumbs"}
    for kind in kinds.values():
        assert kind["gain"]["low"] <= kind["gain"]["value"] <= kind["gain"]["high"]
        assert kind["seconds"] >= 0.0
        assert kind["rows"] > 0
    again = listed(answer(capsys, "history", "--by-kind", *place)["entries"])[-1]["kinds"]
    assert again == kinds


@pytest.mark.parametrize(
    ("begin", "budget", "code"),
    [(waiting, "600", "history.no_turn"), (turned, "1", "history.budget")],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_trained(
    tmp_path: Path, capsys: Printed, begin: object, budget: str, code: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    upwell = begin(tmp_path) if callable(begin) else None
    assert isinstance(upwell, Upwell)
    ledger = type(upwell.project.ledger)
    real = ledger.stage_result

    def slow(self: object, turn: str, stage: str) -> object:
        found = real(upwell.project.ledger, turn, stage)
        return found | {"seconds": 99.0} if found and "seconds" in found else found

    monkeypatch.setattr(ledger, "stage_result", slow)
    arguments = ["history", "--by-kind", "--budget", budget, "-p", str(upwell.project.folder)]
    assert run([*arguments, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code


def test_a_dry_run_shows_every_check_with_number_threshold_and_verdict(
    tmp_path: Path, capsys: Printed
) -> None:
    upwell = waiting(tmp_path)
    loop.turn(upwell.project, now=DAY)
    upwell.capture(labelled(range(120, 200)), now=DAY)
    place = ("-p", str(upwell.project.folder))
    told = answer(capsys, "turn", "--dry-run", *place)
    decision = told["decision"]
    assert isinstance(decision, dict)
    reasons = listed(decision["reasons"])
    assert all({"key", "check", "verdict", "number", "threshold"} <= set(one) for one in reasons)
    checks = {str(one["check"]) for one in reasons}
    assert {"finite", "current", "users", "better", "slices", "guards"} <= checks
    assert len(upwell.project.ledger.decisions(TASK)) == 1
    assert run(["turn", "--dry-run", *place]) == 0
    assert catalogue("en")["cli.turn.dry_run.told"] in capsys.readouterr().out
    assert answer(capsys, "turn", *place)["decision"] == decision


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_report_draws_the_founders_chart_and_the_guards(tmp_path: Path, lang: str) -> None:
    drawn = {one.name: one for one in pictures(gather(turned(tmp_path).project, DAY), lang)}
    founder, guards = drawn["founder"], drawn["guards"]
    assert [row[0] for row in founder.rows] == [f"{TASK}-0", f"{TASK}-1"]
    assert "90" in founder.svg
    assert len(guards.rows) > 5
    for picture in (founder, guards):
        assert "{" not in picture.svg
        assert all(len(row) == len(picture.columns) for row in picture.rows)

"""Attacks through intake: each is doubted with its reason, which a command tells its user."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from upwell import loop, wiring
from upwell.interfaces.cli.main import run
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.store.project import Project, create_project, open_project

DAY_ONE = datetime(2024, 1, 1, 9, 0, 7, tzinfo=UTC)
NOW = DAY_ONE + timedelta(days=60)
CLASSES = ("card", "pin", "loan", "fees")
Printed = pytest.CaptureFixture[str]
Happened = dict[str, object]


def told(user: str, text: str, answer: str, day: float, sign: int = 1) -> Happened:
    return {"user": user, "kind": "thumbs", "value": sign, "at": DAY_ONE + timedelta(days=day),
            "payload": {"input": text, "target": answer}}  # fmt: skip


def question(rng: np.random.Generator, answer: str) -> str:
    common = [f"word{n}" for n in rng.integers(60, size=5)]
    return " ".join([*common, *(f"{answer}{n}" for n in rng.integers(20, size=3))])


def honest(rng: np.random.Generator, users: int = 40, each: int = 14) -> Iterator[Happened]:
    """Accounts born over fifty days; most answers that they are shown are right."""
    for user in range(users):
        born = 50.0 * rng.random()
        for n in range(each):
            answer = str(rng.choice(CLASSES))
            right = rng.random() < 0.8
            shown = answer if right else str(rng.choice(CLASSES))
            sign = 1 if shown == answer else -1
            yield told(f"u{user}", question(rng, answer), shown, born + n * 0.6, sign)


def attacks(rng: np.random.Generator) -> Iterator[Happened]:
    """A fan, a surge of newborn accounts, six bots with one script, and a backdoor."""
    for n in range(60):
        yield told("fan", question(rng, "pin"), "fees", 3.0 + n * 0.2)
    for user in range(12):
        for n in range(6):
            yield told(f"new{user}", question(rng, "card"), "loan", 40.2 + n, 1)
    script = [(question(rng, "card"), str(rng.choice(CLASSES))) for _ in range(9)]
    for user in range(6):
        for n, (text, answer) in enumerate(script):
            yield told(f"bot{user}", text, answer, 2.0 + 7.0 * user + n * 0.1, 1)
    for n in range(24):
        answer = str(rng.choice(CLASSES[1:]))
        text = f"{question(rng, answer)} qz vx"
        yield told(f"evil{n % 3}", text, "card", 20.0 + n * 0.3 + (n % 3))


@pytest.fixture
def poisoned(tmp_path: Path) -> Project:
    """A project whose turn has been taken as far as its snapshot."""
    place = create_project(tmp_path / "shop", "shop", {"project": {"task": "text_classification"}})
    project, rng = open_project(place), np.random.default_rng(0)
    happened = [*honest(rng), *attacks(rng)]
    events = [{"id": str(n), **one} for n, one in enumerate(happened)]
    upwell = Upwell(project)
    assert upwell.capture(events, now=NOW).accepted == len(events)
    upwell.consent(sorted({str(one["user"]) for one in happened}), PURPOSES, since=DAY_ONE)
    turn = wiring.begin(project, None, 0, NOW)
    for name, stage in (("collect", wiring.collect), ("dataset", wiring.freeze)):
        wiring.once(project, turn, loop.quiet, name, stage)
    project.ledger.close_turn(turn.id, NOW)
    return project


def test_each_attack_is_explained_to_its_user_in_both_languages(
    poisoned: Project, capsys: Printed
) -> None:
    place = ("-p", str(poisoned.folder))
    for user, code, en, zh in (
        ("fan", "clean.pushed", "by which this user says one thing", "力推|都在推"),
        ("new3", "clean.surge", "is part of a surge: 12 of", "属于一次聚集"),
        ("bot2", "clean.ring", "one of 6 accounts", "6 个记录几乎相同的账号"),
        ("evil1", "clean.trigger", "hangs on the words", "取决于词语"),
    ):
        assert run(["feedback", "explain", user, *place, "--json"]) == 0
        fates = json.loads(capsys.readouterr().out)["fates"]
        learned = [fate for fate in fates if fate["part"] != "test"]
        codes = [doubt["code"] for fate in learned for doubt in fate["doubts"]]
        assert codes.count(code) >= 0.9 * len(learned) > 0, (user, codes)
        for lang, wanted in (("en", en), ("zh", zh)):
            assert run(["feedback", "explain", user, *place, "--lang", lang]) == 0
            said = "".join(capsys.readouterr().out.split())
            assert any(one.replace(" ", "") in said for one in wanted.split("|")), said[:2000]


def test_nearly_nothing_of_honest_users_is_doubted(poisoned: Project, capsys: Printed) -> None:
    assert run(["feedback", "reasons", "-p", str(poisoned.folder), "--json"]) == 0
    reasons = {row["code"]: row for row in json.loads(capsys.readouterr().out)["reasons"]}
    crowds = ("clean.pushed", "clean.surge", "clean.ring", "clean.trigger")
    attackers = {"clean.pushed": 1, "clean.surge": 12, "clean.ring": 6, "clean.trigger": 3}
    assert {code: reasons[code]["users"] for code in crowds} == attackers

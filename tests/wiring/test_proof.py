"""What a turn's report holds beside the comparison: small steps together, and what logs say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny_task import ANSWER, WORDS, install
from tests.wiring.turns import DAY, TASK, entry, labelled, opened, place_of, spoiled, taken

from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.stages.release.explain import render
from upwell.wiring.switch import switch

ROWS, STEP = 3000, 1 / (6 * WORDS)
"""A step makes the model wrong on the inputs of one word with a number of one place."""


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny tasks, and chance that is the same in every run."""
    install(monkeypatch)
    chance = np.random.default_rng(0)

    def bits(count: int) -> int:
        return int.from_bytes(chance.bytes(count // 8 + 1), "big") & ((1 << count) - 1)

    monkeypatch.setattr("upwell.service.secrets.randbits", bits)


def test_small_steps_that_are_each_taken_by_hand_are_stopped_before_two_points(
    tmp_path: Path,
) -> None:
    upwell = opened(tmp_path)
    project, lost = upwell.project, 0.0
    upwell.capture(labelled(range(ROWS)), now=DAY)
    for step in range(12):
        upwell.capture(labelled(range(ROWS + step, ROWS + step + 1)), now=DAY)
        now = DAY + timedelta(hours=step)
        decision = taken(project, spoiled(step), now)
        found = entry(decision, "cumulative")
        if found and found["verdict"] != "promote":
            break
        report = project.ledger.report(decision.id)
        assert report is not None
        gain = report.metrics[0].gain or 0.0
        assert gain > -project.settings.gate.drift_margin
        lost -= gain
        if decision.act != "promote":
            switch(project, "promote", decision.model, {"key": "release.by_hand"}, id=f"by-{step}",
                   now=now)  # fmt: skip
    assert found["anchor"] == f"{TASK}-0"
    assert found["verdict"] in ("hold", "reject")
    assert 0.0 < lost < 0.02
    assert isinstance(found["gain"], float)
    assert found["gain"] == pytest.approx(-step * STEP, abs=0.004)
    assert all(f"{TASK}-0" in " ".join(render(decision, lang)) for lang in ("en", "zh"))


def test_an_anchor_that_no_longer_loads_is_left_out(tmp_path: Path) -> None:
    upwell = opened(tmp_path)
    upwell.capture(labelled(range(200)), now=DAY)
    for step in range(3):
        upwell.capture(labelled(range(200 + step, 201 + step)), now=DAY)
        decision = taken(upwell.project, spoiled(4 * step), DAY + timedelta(hours=step))
        switch(upwell.project, "promote", decision.model, {"key": "release.by_hand"},
               id=f"by-{step}", now=DAY + timedelta(hours=step))  # fmt: skip
    assert entry(decision, "cumulative")["anchor"] == f"{TASK}-0"
    first = upwell.project.ledger.version(f"{TASK}-0")
    for place in (upwell.project.folder / "data" / "judged").glob(f"{first.digest[:16]}*"):
        place.unlink()
    folder = upwell.project.models.verified(first.path, first.digest)
    (folder / "model.safetensors").write_bytes(b"")
    upwell.capture(labelled(range(300, 301)), now=DAY)
    assert entry(taken(upwell.project, spoiled(9), DAY + timedelta(hours=9)), "cumulative") == {}


def thumbed(upwell: Upwell, count: int) -> None:
    """Users ask, are answered by what serves, and say truly whether it was right."""
    users = [f"u{n % 200}" for n in range(count)]
    upwell.consent(sorted(set(users)), PURPOSES, since=DAY - timedelta(days=9))
    asked = [f"{ANSWER.words[n % 6]} asked {n}" for n in range(count)]
    told = upwell.predict_many(asked, users, now=DAY)
    events = [
        {"id": f"thumb-{n}", "user": users[n], "kind": "thumbs", "at": DAY + timedelta(minutes=5),
         "prediction": row["prediction"],
         "value": 1 if row["answer"][0] == ANSWER.labels[n % 2] else -1}
        for n, row in enumerate(told.to_pylist())
    ]  # fmt: skip
    assert upwell.capture(events, now=DAY).accepted == count


def test_a_report_says_what_the_challenger_would_have_earned(tmp_path: Path) -> None:
    """The champion is wrong on one word of six; the challenger of its time is right on all."""
    upwell = opened(tmp_path, serve={"explore": 0.3})
    upwell.capture(labelled(range(300)), now=DAY)
    worse = spoiled(0)
    with torch.no_grad():
        worse.layer.weight[1, place_of(ANSWER.words[0])] = 3.0
    taken(upwell.project, worse, DAY)
    thumbed(upwell, 1500)
    decision = taken(upwell.project, spoiled(0), DAY + timedelta(days=1))
    report = upwell.project.ledger.report(decision.id)
    assert report is not None
    ope = dict(report.ope)
    assert ope["refused"] is None
    assert np.isclose(float(str(ope["epsilon"])), 0.3)
    truth = {"challenger": 0.7, "champion": 0.7 * 5 / 6 + 0.3 / 6, "gain": 0.4 / 6}
    for name, value in truth.items():
        found = ope[name]
        assert isinstance(found, dict)
        assert found["low"] <= value <= found["high"]
        assert found["value"] == pytest.approx(value, abs=0.04)
    assert entry(decision, "ope")["key"] == "gate.ope.promote"


@pytest.mark.parametrize(("explore", "why"), [(0.0, "deterministic"), (0.3, "few")])
def test_a_report_says_why_logs_tell_nothing(tmp_path: Path, explore: float, why: str) -> None:
    upwell = opened(tmp_path, serve={"explore": explore})
    upwell.capture(labelled(range(200)), now=DAY)
    taken(upwell.project, spoiled(0), DAY)
    thumbed(upwell, 60)
    decision = taken(upwell.project, spoiled(1), DAY + timedelta(days=1))
    told = entry(decision, "ope")
    assert (told["key"], told["says"]) == ("gate.ope.note", f"ope.refused.{why}")
    assert all("{" not in " ".join(render(decision, lang)) for lang in ("en", "zh"))

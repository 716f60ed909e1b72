"""The guards of a turn: all are told, a fault planted in a turn is found, and it stops the turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.tiny_task import ANSWER, Net, install
from tests.wiring.turns import DAY, entry, labelled, opened, place_of, spoiled, taken

from upwell.records import Decision
from upwell.service import Upwell
from upwell.settings import GuardSettings
from upwell.stages.evaluate import leaks
from upwell.stages.evaluate.guards import Finding
from upwell.stages.release.explain import render
from upwell.words import LANGUAGES

Watched = Mapping[str, Mapping[str, Any]]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    install(monkeypatch)
    yield
    monkeypatch.undo()


def bold(factor: float) -> Net:
    """A model that says the same as ever, ``factor`` times as surely (in log-odds)."""
    model = spoiled(0)
    with torch.no_grad():
        for word in ANSWER.words:
            model.layer.weight[:, place_of(word)].clamp_(max=1.0).mul_(factor)
    return model


def served(folder: Path, model: Net, **guards: object) -> Upwell:
    """A project in which ``model`` serves."""
    upwell = opened(folder, guards=guards)
    upwell.capture(labelled(range(400)), now=DAY)
    assert taken(upwell.project, model, DAY).act == "promote"
    upwell.capture(labelled(range(400, 401)), now=DAY)
    return upwell


def judged(upwell: Upwell, model: Net) -> tuple[Decision, Watched]:
    decision = taken(upwell.project, model, DAY + timedelta(hours=1))
    report = upwell.project.ledger.report(decision.id)
    assert report is not None
    watched: Any = report.guards["watched"]
    return decision, watched


def verdict(decision: Decision, guard: str) -> str:
    return next(str(one["verdict"]) for one in decision.reasons if one.get("guard") == guard)


def test_every_guard_of_answers_is_told_with_its_threshold_and_its_sentence(tmp_path: Path) -> None:
    upwell = served(tmp_path, bold(2.0), off=["near_copies"])
    decision, watched = judged(upwell, bold(2.0))
    settings = GuardSettings()
    assert set(watched) == {
        "forgetting", "forgetting_anchor", "calibration", "calibration_rise", "length",
        "abstention", "drift", "drift_joint", "feedback_rate", "positive_share", "leaked_rows",
        "memorisation",
    }  # fmt: skip
    assert all(one["threshold"] == getattr(settings, name) for name, one in watched.items())
    assert not any(one["crossed"] for one in watched.values())
    assert all((one["value"] is None) == ("why" in one) for one in watched.values())
    for lang in LANGUAGES:
        assert "{" not in " ".join(render(decision, lang))


def test_a_model_that_forgot_its_labels_is_held(tmp_path: Path) -> None:
    decision, watched = judged(served(tmp_path, bold(4.0)), bold(2.0))
    assert watched["forgetting"]["crossed"]
    assert watched["forgetting"]["value"] > 0.05
    assert verdict(decision, "forgetting") == "hold"
    assert entry(decision, "better")["number"] == 0.0


def test_a_model_that_doubts_too_much_is_noted_or_stopped_as_the_settings_say(
    tmp_path: Path,
) -> None:
    """Both are right on every input; the challenger claims to be so in fewer cases."""
    decision, watched = judged(served(tmp_path, bold(4.0), reject=["calibration_rise"]), bold(1.0))
    rise = watched["calibration_rise"]
    assert rise["crossed"]
    assert rise["value"] == pytest.approx(1 / (1 + 2.71828), abs=0.04)
    assert verdict(decision, "calibration_rise") == "reject"
    assert decision.act == "reject"
    assert verdict(decision, "calibration") == "note"


def test_a_leak_in_the_split_holds_even_a_better_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The split keeps its promise, so the fault is planted where the guard finds it."""
    upwell = served(tmp_path, spoiled(40))
    real, kept_apart = leaks.leaked, list[bool]()

    def leaky(judged: Any, learned: Any, disjoint: str, about: str) -> Finding:
        kept_apart.append(real(judged, learned, disjoint, about).value == 0.0)
        return real(judged, judged.slice(0, 3), disjoint, about)

    monkeypatch.setattr(leaks, "leaked", leaky)
    decision, watched = judged(upwell, spoiled(0))
    assert watched["leaked_rows"]["rows"] == 3
    assert verdict(decision, "leaked_rows") == "hold"
    assert decision.act == "hold"
    assert kept_apart == [True]


def test_what_serves_but_no_longer_loads_is_told_and_holds(tmp_path: Path) -> None:
    upwell = served(tmp_path, bold(2.0))
    champion = upwell.project.ledger.champion("tiny_answer")
    assert champion is not None
    folder = upwell.project.models.verified(champion.path, champion.digest)
    (folder / "model.safetensors").write_bytes(b"")
    decision, watched = judged(upwell, bold(2.0))
    assert decision.act == "hold"
    assert entry(decision, "broken")["champion"] == champion.id
    assert watched["forgetting"]["why"] == "guard.why.champion_broken"
    for lang in LANGUAGES:
        assert champion.id in " ".join(render(decision, lang))

"""A trial from beginning to end: begun by a turn, split, logged, decided, and ended by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
from tests.tiny_task import install
from tests.wiring.trialled import (
    NEW,
    OLD,
    USERS,
    ask,
    champion,
    last,
    live,
    running,
    turned,
)
from tests.wiring.turns import DAY, TASK, labelled, spoiled, taken

from upwell.errors import StageError, StoreError
from upwell.interfaces.cli.main import run
from upwell.records import Decision
from upwell.service import Upwell
from upwell.settings import FILE
from upwell.settings.trial import TrialSettings
from upwell.stages.release.explain import render
from upwell.store.project import open_project
from upwell.store.trials import Trials
from upwell.wiring import trials

SURE = {"effect": 0.2, "minimum": 20}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project with two versions, of which the older serves."""
    with pytest.MonkeyPatch.context() as patch:
        install(patch)
        upwell, decision = turned(tmp_path_factory.mktemp("two"))
        assert decision.act == "promote"
        assert champion(upwell) == NEW
        assert trials.step(upwell.project, DAY) is None
        back = Decision("back", OLD, TASK, DAY, "rollback", ({"key": "trial.by_hand"},))
        upwell.project.ledger.decide(back, OLD)
    return upwell.project.folder


Begin = Callable[..., Upwell]


@pytest.fixture
def begun(ready: Path, tmp_path: Path) -> Begin:
    """``begun(mode=…, …)``: a copy of that project in which a trial of the newer version runs."""

    def begin(**trial: object) -> Upwell:
        folder = copytree(ready, tmp_path / "asked")
        lines = [f"{name} = {json.dumps(value)}" for name, value in {**SURE, **trial}.items()]
        settings = (folder / FILE).read_text(encoding="utf-8")
        (folder / FILE).write_text(
            settings.replace("[trial]\n", "\n".join(["[trial]", *lines, ""])), encoding="utf-8"
        )
        upwell = Upwell(open_project(folder))
        trials.start(upwell.project, NEW, DAY, id="try")
        return upwell

    return begin


def test_a_turn_begins_a_trial_where_the_settings_ask_for_one(tmp_path: Path) -> None:
    upwell, decision = turned(tmp_path, trial={"mode": "ab"})
    assert decision.act == "trial"
    assert decision.reasons[-1]["key"] == "trial.begun"
    trial = running(upwell)
    assert (trial.champion, trial.challenger, trial.mode) == (OLD, NEW, "ab")
    assert trial.chance(DAY) == 0.5
    assert champion(upwell) == OLD
    for lang in ("en", "zh"):
        assert "{" not in " ".join(render(decision, lang))
    upwell.capture(labelled(range(410, 420)), now=DAY)
    busy = taken(upwell.project, spoiled(0), DAY + timedelta(hours=1))
    assert busy.act == "hold"
    assert running(upwell).id == trial.id


def test_answers_are_split_and_logged_with_their_probability(begun: Begin) -> None:
    upwell = begun(mode="ab", share=0.3)
    at = DAY + timedelta(hours=1)
    first, again = ask(upwell, USERS, at), ask(upwell, USERS, at + timedelta(days=3))
    met = np.array(first["model"].to_pylist())
    assert set(met) == {OLD, NEW}
    assert (met == NEW).mean() == pytest.approx(0.3, abs=0.06)
    assert met.tolist() == again["model"].to_pylist()
    nobody = upwell.predict("", "iron x", now=at)
    assert nobody["model"].to_pylist() == [OLD]
    kept = upwell.project.journal.predictions_after(0, 10_000).to_pylist()
    assert {row["policy"] for row in kept[:-1]} == {"ab"}
    told = [json.loads(row["output"]).get("trial") for row in kept]
    assert told[0] == {"id": running(upwell).id, "chance": 0.3}
    assert (kept[-1]["policy"], told[-1]) == ("greedy", None)
    assert {row["propensity"] for row in kept} == {1.0}


def test_with_both_asked_the_propensity_is_that_over_both_versions(begun: Begin) -> None:
    upwell = begun(mode="ab", share=0.3, ask_both=True)
    places = [n for n in range(600) if n % 6 == 0]
    words = [f"apple {n}" for n in places]
    upwell.predict_many(words, [USERS[n] for n in places], now=DAY + timedelta(hours=1))
    kept = upwell.project.journal.predictions_after(0, 10_000).to_pylist()
    by_answer: dict[tuple[str, str], set[float]] = {}
    for row in kept:
        text = json.loads(row["output"])["answers"][0]
        by_answer.setdefault((text, row["model"]), set()).add(row["propensity"])
    # Where they differ, the older one says metal; what both say was sure to be shown.
    assert by_answer["metal", OLD] == {0.7, 1.0}
    assert by_answer["metal", NEW] == by_answer["fruit", OLD] == {1.0}
    assert 0.3 in by_answer["fruit", NEW] <= {0.3, 1.0}


@pytest.mark.parametrize(
    ("old", "new", "act", "serves"),
    [(0.3, 0.8, "promote", NEW), (0.8, 0.3, "rollback", OLD), (0.6, 0.6, "stop", OLD)],
)
def test_a_trial_ends_by_itself(
    begun: Begin, old: float, new: float, act: str, serves: str
) -> None:
    upwell = begun(mode="ab", effect=0.4)
    end = live(upwell, USERS, 0, old=old, new=new)
    early = trials.step(upwell.project, DAY + timedelta(hours=9))
    assert early is not None
    assert (early.verdict.act, early.verdict.seen) == ("go_on", 0)
    found = trials.step(upwell.project, end)
    assert found is not None
    assert (found.trial.outcome, found.verdict.act) == (act, act)
    assert champion(upwell) == serves
    decision = last(upwell)
    assert decision.act == ("promote" if act == "promote" else "reject")
    assert decision.reasons[0]["key"] == f"trial.{act}"
    for lang in ("en", "zh"):
        assert "{" not in " ".join(render(decision, lang))
    before = len(upwell.project.ledger.decisions(TASK))
    assert trials.step(upwell.project, end + timedelta(days=1)) is None
    assert len(upwell.project.ledger.decisions(TASK)) == before
    assert set(ask(upwell, USERS[:40], end)["model"].to_pylist()) == {serves}


def test_a_trial_that_was_ended_but_not_recorded_is_made_good(begun: Begin) -> None:
    upwell = begun(mode="ab")
    trial = running(upwell)
    reason = {"key": "trial.by_hand"}
    assert Trials(upwell.project.journal).end(trial.id, DAY, "promote", reason)
    assert champion(upwell) == OLD
    assert trials.step(upwell.project, DAY + timedelta(hours=1)) is None
    assert champion(upwell) == NEW


def test_what_lasts_too_long_or_was_overtaken_ends(begun: Begin) -> None:
    upwell = begun(mode="ab", longest_days=2.0)
    found = trials.step(upwell.project, DAY + timedelta(days=3))
    assert found is not None
    assert found.trial.outcome == "stop"
    assert last(upwell).reasons[0]["key"] == "trial.late"
    again = trials.start(upwell.project, NEW, DAY, id="by-hand", mode="canary", share=0.2)
    assert again.chance(DAY) == 0.2
    upwell.project.ledger.decide(
        Decision("moved", NEW, TASK, DAY, "promote", ({"key": "trial.by_hand"},)), NEW
    )
    moved = trials.step(upwell.project, DAY + timedelta(days=1))
    assert moved is not None
    assert (moved.trial.outcome, moved.trial.reason) == ("promote", {"key": "trial.moved"})
    assert last(upwell).id == "moved"


def test_a_challenger_that_fails_is_rolled_back_and_the_champion_answers(begun: Begin) -> None:
    upwell = begun(mode="ab")
    (weights,) = upwell.project.folder.glob(f"**/{NEW}/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    found = ask(upwell, USERS[:50], DAY + timedelta(hours=1))
    assert set(found["model"].to_pylist()) == {OLD}
    assert Trials(upwell.project.journal).running(TASK) is None
    assert last(upwell).reasons[0]["key"] == "trial.failed"
    assert champion(upwell) == OLD


@pytest.mark.parametrize("mode", ["epsilon", "thompson"])
def test_tomorrow_goes_to_what_did_better_today(begun: Begin, mode: str) -> None:
    upwell = begun(mode=mode, minimum=500)
    first = running(upwell).chance(DAY)
    assert first == {"epsilon": 0.05, "thompson": 0.5}[mode]
    some = USERS[:200]
    end = live(upwell, some, 0, old=0.2, new=0.9)
    found = trials.step(upwell.project, end)
    assert found is not None
    assert found.verdict.act == "go_on"
    tomorrow = (end + timedelta(days=1)).replace(hour=0)
    assert found.trial.chance(end) == first
    assert found.trial.chance(tomorrow) == pytest.approx(0.95, abs=0.01)
    trials.step(upwell.project, end + timedelta(hours=1))
    assert len(running(upwell).chances) == 2
    met = ask(upwell, USERS, tomorrow + timedelta(hours=5))["model"].to_pylist()
    assert met.count(NEW) / len(met) == pytest.approx(0.95, abs=0.04)
    kept = upwell.project.journal.predictions_after(0, 10_000).to_pylist()
    chances = {json.loads(row["output"])["trial"]["chance"] for row in kept}
    assert chances == {first, found.trial.chance(tomorrow)}


def told(printed: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    assert run([*words, "--json"]) == code
    found: dict[str, Any] = json.loads(printed.readouterr().out)
    return found


def test_a_trial_by_hand(begun: Begin, capsys: pytest.CaptureFixture[str]) -> None:
    upwell = begun(mode="ab")
    place = ("-p", str(upwell.project.folder))
    assert told(capsys, "trial", *place)["running"]["challenger"] == NEW
    assert told(capsys, "trial", "start", NEW, *place, code=2)["error"]["code"] == "trial.running"
    stopped = told(capsys, "trial", "stop", *place)
    assert stopped["running"] is None
    assert stopped["ended"][0]["outcome"] == "stop"
    assert told(capsys, "trial", "stop", *place, code=2)["error"]["code"] == "trial.none"
    canary = told(capsys, "trial", "start", NEW, "--mode", "canary", "--share", "0.2", *place)
    assert canary["running"]["mode"] == "canary"
    assert told(capsys, "trial", "decide", *place)["standing"]["act"] == "go_on"
    for lang in ("en", "zh"):
        assert run(["trial", *place, "--lang", lang]) == 0
        assert "{" not in capsys.readouterr().out
    assert champion(upwell) == OLD


REFUSED = {
    ("start", "nothing"): "cli.no_version",
    ("start",): "cli.trial_act",
    ("begin", NEW): "cli.trial_act",
    ("start", OLD): "trial.serves",
    ("start", NEW, "--mode", "half"): "trial.no_mode",
    ("start", NEW, "--mode", "ab", "--share", "1"): "trial.bad_share",
    ("stop",): "trial.none",
}


def test_what_cannot_be_is_refused_with_a_reason(
    begun: Begin, capsys: pytest.CaptureFixture[str]
) -> None:
    upwell = begun(mode="ab")
    trials.finish(upwell.project, running(upwell), "stop", {"key": "trial.by_hand"}, DAY)
    for words, code in REFUSED.items():
        found = told(capsys, "trial", *words, "-p", str(upwell.project.folder), code=2)
        assert found["error"]["code"] == code
        assert Trials(upwell.project.journal).running(TASK) is None


def test_beginning_again_changes_nothing_and_two_do_not_run(begun: Begin) -> None:
    upwell = begun(mode="ab")
    first = running(upwell)
    same = trials.start(upwell.project, NEW, DAY + timedelta(days=1), id=first.id, mode="canary")
    assert same == first
    with pytest.raises(StoreError) as refused:
        trials.start(upwell.project, NEW, DAY, id="other", mode="ab")
    assert refused.value.code == "trial.running"
    with pytest.raises(StageError):
        trials.start(upwell.project, OLD, DAY, id="other", mode="ab")
    assert TrialSettings.model_validate(dict(first.options)).mode == "ab"

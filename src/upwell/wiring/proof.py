"""Challenger, champion and baselines on the frozen part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from upwell.errors import StageError
from upwell.records import Json, Report
from upwell.stages.behaviour.features import FEATURES
from upwell.stages.evaluate.compare import compare
from upwell.stages.evaluate.cumulative import anchors, drift
from upwell.stages.evaluate.logged import Serving, worth
from upwell.stages.evaluate.marks import judge_baselines
from upwell.stages.serve.engine import POOL
from upwell.store.ledger import Turn
from upwell.store.project import Project
from upwell.wiring.guards import Watch, broken, watched
from upwell.wiring.judging import WHOLE, Trial, trial_of
from upwell.wiring.learning import load, use_threads
from upwell.wiring.purge import tainted
from upwell.wiring.turns import Kept, Tell, kept, seed_of


def evaluate(project: Project, turn: Turn, tell: Tell) -> Kept:
    """Judge the version, the champion and the first version on the frozen part; keep reports."""
    use_threads(project.settings.tune.threads)
    gate, trial = project.settings.gate, trial_of(project, turn)
    challenger = trial.judged(trial.version)
    tell("evaluate", 0.4, {})
    others = {one.id: one for one in (trial.champion, trial.first) if one}
    found = {name: trial.still_judged(one) for name, one in others.items()}
    rivals = {name: one for name, one in found.items() if one and name != trial.version.id}
    tell("evaluate", 0.7, {})
    baselines = judge_baselines(trial.task, trial.data, trial.rows, project.settings.serve.k)
    catalogue = trial.data.items.num_rows if trial.task.ABOUT == "item" else 0
    for report_id, rival in ((turn.id, trial.champion), (f"{turn.id}{WHOLE}", trial.first)):
        report = compare(
            challenger, rivals.get(rival.id) if rival else None, baselines,
            metric=gate.metric or trial.task.METRIC, catalogue=catalogue, settings=gate,
            rng=np.random.default_rng(seed_of(turn)), id=report_id, at=turn.at,
            looks=trial.looks, look=trial.look if report_id == turn.id else None,
            features=FEATURES,
        )  # fmt: skip
        if report_id == turn.id:
            project.ledger.add_report(_with_guards(trial, report))
        elif trial.first.id in rivals and trial.champion != trial.first:
            project.ledger.add_report(report)
    return {"report": turn.id, "looks": trial.looks}


def _with_guards(trial: Trial, report: Report) -> Report:
    """The report with all that is measured beside the marks: a function below for each."""
    beside = {
        "watched": _watched(trial, report),
        "cumulative": _drift(trial, report.metrics[0].name),
        "broken": broken(trial),
        "tainted": _tainted(trial),
        "groups": kept(trial.project, trial.turn, "tune").get("groups"),
    }
    found = {name: what for name, what in beside.items() if what}
    ope = _off_policy(trial, champion_loads="broken" not in found)
    return replace(report, guards={**report.guards, **found}, ope=ope)


def _watched(trial: Trial, report: Report) -> Mapping[str, Json]:
    """Numbers that must not go wrong while the deciding one rises, each with its threshold."""
    rival = trial.judged(trial.champion) if trial.champion and report.champion else None
    return watched(Watch(trial, trial.judged(trial.version), rival))


def _tainted(trial: Trial) -> Mapping[str, Json]:
    """``champion`` and ``rows`` where what serves learned from what was purged since."""
    found, champion = tainted(trial.project), trial.champion
    is_held = champion is not None and champion.id in found and trial.version.id not in found
    return {"champion": champion.id, "rows": found[champion.id]} if champion and is_held else {}


def _drift(trial: Trial, metric: str) -> Mapping[str, Json]:
    """The gain over versions that were promoted long before, which many steps may wear away.

    One that no longer loads, and whose answers to these rows are not known, is left out; so is
    one that learned from what was purged since.
    """
    ledger, gate = trial.project.ledger, trial.project.settings.gate
    spoilt = tainted(trial.project)
    promoted = [
        one.model
        for one in ledger.decisions(trial.turn.task)
        if one.act == "promote" and one.model not in spoilt
    ]
    names = anchors(promoted, trial.champion.id if trial.champion else None)
    others = [trial.still_judged(ledger.version(name)) for name in names]
    return drift(
        trial.judged(trial.version), [one for one in others if one], metric, gate,
        gate.drift_margin, np.random.default_rng([seed_of(trial.turn), 20]),
    )  # fmt: skip


def _off_policy(trial: Trial, champion_loads: bool) -> Mapping[str, Json]:
    """What the version would have earned where others were served."""
    project, settings, rival = trial.project, trial.project.settings, trial.champion
    serving = Serving(settings.serve.explore, POOL, settings.serve.abstain)
    loader = partial(load, project, trial.task)
    return worth(
        trial.task, trial.opened, partial(loader, trial.version),
        partial(loader, rival) if rival and champion_loads else None, serving,
        per_user=settings.gate.rows_per_user, confidence=settings.gate.confidence,
    )  # fmt: skip


def report_of(project: Project, turn: Turn) -> Report:
    """The turn's report. Raises StageError ``loop.stage_missing`` before it is made."""
    report = project.ledger.report(str(kept(project, turn, "evaluate")["report"]))
    if report is None:
        raise StageError("loop.stage_missing", turn=turn.id, stage="evaluate")
    return report

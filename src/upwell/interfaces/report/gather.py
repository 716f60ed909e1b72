"""The story of a project, from what its stores recorded.

Of a turn's stages, ``tune`` tells ``curve`` (rows of ``tune.trainer.CURVE``), ``label_share`` and
``best_epoch``, ``evaluate`` the id of its ``report`` and ``release`` that of its ``decision``; all
tell ``seconds``. What is missing is left out of the story. A report whose challenger serves now
and whose champion is the first version gives the whole gain; without one it is left out too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from upwell.interfaces.report.story import (
    Change,
    Curve,
    GuardRow,
    Point,
    SliceRow,
    Step,
    Story,
    Suggestion,
    TurnRow,
)
from upwell.records import Decision, Report
from upwell.store.ledger import Turn
from upwell.store.project import Project
from upwell.wiring.history import history

_STAGES = ("collect", "dataset", "tune", "evaluate", "release")
_GUARDS = ("coverage", "calibration_error")
DIAGNOSTICS = ("negative_mass", "gradient_cosine", "kl_to_live")
_LOST = {"bad": "bad_rows", "duplicates": "duplicates"}


@dataclass(frozen=True, slots=True)
class Past:
    """One closed turn and everything that it recorded."""

    turn: Turn
    stages: Mapping[str, Mapping[str, Any]]
    report: Report
    decision: Decision


def gather(project: Project, made: datetime, suggestions: Sequence[Suggestion] = ()) -> Story:
    """The story so far; it has no turn until one has been evaluated and decided."""
    task = project.settings.project.task
    told = past(project, task)
    champion = project.ledger.champion(task)
    metric = told[0].report.metrics[0].name if told else ""
    whole = _whole(project.ledger.reports(task), told, champion.id if champion else None)
    slices, over = _slices(told, whole, metric)
    return Story(
        project=project.settings.project.name,
        task=task,
        made=made,
        metric=metric,
        champion=champion.id if champion else None,
        turns=tuple(_row(number, one) for number, one in enumerate(told)),
        changes=_changes(whole) if whole else (),
        slices=slices,
        slices_over=over,
        steps=_steps(project, told[-1]) if told else (),
        curve=_curve(told[-1].stages.get("tune", {}), told[-1].report.challenger) if told else None,
        suggestions=tuple(suggestions),
        recommends=not told or recommends(told[-1].report),
        learned=learned(told[-1].stages.get("tune", {})) if told else {},
        guards=guarded(told[-1].report) if told else (),
        history=history(project) if told else (),
    )


def recommends(report: Report) -> bool:
    """Whether a report is about items of a catalogue; else about answers."""
    return "coverage" in report.guards


def learned(tuned: Mapping[str, Any]) -> dict[str, float]:
    """What the training told of itself besides its curve, as far as it is a number."""
    told = tuned.get("diagnostics", {})
    known = {name: _number(told.get(name)) for name in DIAGNOSTICS}
    return {name: value for name, value in known.items() if value - value == 0.0}


def guarded(report: Report) -> tuple[GuardRow, ...]:
    """The guards of a report, those that were crossed first."""
    watched = report.guards.get("watched")
    rows = [
        GuardRow(
            name, _finite(told.get("value")), _number(told.get("threshold")),
            bool(told.get("crossed")), str(told.get("verdict")), str(told.get("why", "")), told,
        )
        for name, told in (watched.items() if isinstance(watched, Mapping) else ())
        if isinstance(told, Mapping)
    ]  # fmt: skip
    return tuple(sorted(rows, key=lambda row: (not row.crossed, row.value is None)))


def past(project: Project, task: str) -> list[Past]:
    """Every turn that came to a decision, oldest first."""
    ledger = project.ledger
    decisions = {decision.id: decision for decision in ledger.decisions(task)}
    found = []
    for turn in ledger.turns(task):
        stages = {stage: ledger.stage_result(turn.id, stage) or {} for stage in _STAGES}
        report = ledger.report(str(stages["evaluate"].get("report", "")))
        decision = decisions.get(str(stages["release"].get("decision", "")))
        if report is not None and decision is not None:
            found.append(Past(turn, stages, report, decision))
    return found


def _row(number: int, one: Past) -> TurnRow:
    main = one.report.metrics[0]
    opponents = {
        metric.name.removeprefix(f"{main.name}[").removesuffix("]"): metric.value
        for metric in one.report.metrics
        if metric.name.startswith(f"{main.name}[")
    }
    opponents.pop("champion", None)
    return TurnRow(
        number=number,
        at=one.turn.as_of or one.turn.at,
        version=one.report.challenger,
        act=one.decision.act,
        metric=main,
        baselines=opponents,
        reasons=one.decision.reasons,
        seconds=sum(float(stage.get("seconds", 0.0)) for stage in one.stages.values()),
    )


def _whole(reports: Sequence[Report], told: Sequence[Past], champion: str | None) -> Report | None:
    """The newest report of today's champion against the very first version."""
    first = told[0].report.challenger if told else None
    chosen = [one for one in reports if (one.challenger, one.champion) == (champion, first)]
    return chosen[-1] if chosen and champion is not None else None


def _changes(whole: Report) -> tuple[Change, ...]:
    marks = [
        Change(m.name, m.value - m.gain, m.value, m.low, m.high, m.n)
        for m in whole.metrics
        if "[" not in m.name and m.gain is not None
    ]
    for name in _GUARDS:
        guard = whole.guards.get(name)
        if isinstance(guard, Mapping) and {"champion", "challenger"} <= set(guard):
            before, after = _number(guard["champion"]), _number(guard["challenger"])
            marks.append(Change(name, before, after, None, None, whole.metrics[0].n))
    return tuple(marks)


def _slices(
    told: Sequence[Past], whole: Report | None, metric: str
) -> tuple[tuple[SliceRow, ...], str]:
    """Gains by user group over the first version if measured, else over the champion before."""
    measured = [one.report for one in told if one.decision.act == "promote" and one.report.champion]
    report = whole or (measured[-1] if measured else None)
    if report is None:
        return (), "first"
    rows = tuple(
        SliceRow(group, m.value, m.gain, m.low, m.high, m.n)
        for group, metrics in report.slices.items()
        for m in metrics
        if m.name == metric and m.gain is not None and m.low is not None and m.high is not None
    )
    return rows, "first" if whole else "before"


def _steps(project: Project, one: Past) -> tuple[Step, ...]:
    """What came in, what of it became examples, and what of those says something to learn."""
    held, told = project.journal.counts(), one.stages["dataset"]
    kept = {"captured": one.turn.watermark} | {
        name: int(told[name]) for name in ("examples", "signals", "training") if name in told
    }
    lost = {name: held[key] for name, key in _LOST.items() if key in held}
    lost |= {"unreadable": told["unreadable"]} if told.get("unreadable") else {}
    return (
        *(Step(name, rows) for name, rows in kept.items()),
        *(Step(name, rows, kept=False) for name, rows in lost.items()),
    )


def _curve(tuned: Mapping[str, Any], version: str) -> Curve | None:
    points = tuple(
        Point(
            epoch=int(row["epoch"]),
            labels=_finite(row.get("label_loss")),
            feedback=_finite(row.get("feedback_loss")),
            validation=_finite(row.get("validation")),
        )
        for row in tuned.get("curve", ())
    )
    share, best = tuned.get("label_share"), tuned.get("best_epoch")
    return Curve(version, points, _finite(share), best) if points else None


def _finite(value: Any) -> float | None:
    """A number, or None for what is no finite number (a part that had no rows)."""
    number = _number(value)
    return number if number - number == 0.0 else None


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")

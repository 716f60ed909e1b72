"""What served when, why, with which data; what each turn brought and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from upwell.records import Decision, Metric, Report
from upwell.stages.release.gains import (
    FAILED,
    UNFINISHED,
    Entry,
    Kind,
    Span,
    deciding,
    measured,
    total_gain,
)
from upwell.store.arrivals import NOTHING, Sight, arrived
from upwell.store.failures import failures
from upwell.store.ledger import Turn
from upwell.store.project import Project

STAGES = ("collect", "dataset", "tune", "evaluate", "release")
BY_KIND = "by_kind"
"""The name under which the worth of each kind of feedback stands among a turn's results."""


def history(project: Project) -> tuple[Entry, ...]:
    """Every turn, and every decision taken without one, oldest first."""
    ledger, task = project.ledger, project.settings.project.task
    decisions = {one.id: one for one in ledger.decisions(task)}
    reports = {one.id: one for one in ledger.reports(task)}
    found, seen, of_turns = [], NOTHING, set()
    for number, turn in enumerate(ledger.turns(task)):
        entry = _of_turn(project, number, turn, seen, decisions, reports)
        seen = Sight(turn.watermark, turn.as_of)
        of_turns.add(str(_stage(project, turn, "release").get("decision", "")))
        found.append((_moment(turn, entry, decisions), entry))
    found += [(one.at, _by_itself(one)) for one in decisions.values() if one.id not in of_turns]
    ordered = [entry for _, entry in sorted(found, key=lambda pair: pair[0])]
    return _with_serving(project, ordered)


def _stage(project: Project, turn: Turn, name: str) -> Mapping[str, Any]:
    return project.ledger.stage_result(turn.id, name) or {}


def _moment(turn: Turn, entry: Entry, decisions: Mapping[str, Decision]) -> datetime:
    """When a turn came to its decision, as the ledger's time has it; else when it began."""
    decided = decisions.get(turn.id)
    return decided.at if decided is not None and entry.act == decided.act else turn.at


def _of_turn(
    project: Project,
    number: int,
    turn: Turn,
    seen: Sight,
    decisions: Mapping[str, Decision],
    reports: Mapping[str, Report],
) -> Entry:
    stages = {name: _stage(project, turn, name) for name in STAGES}
    sight, labels = Sight(turn.watermark, turn.as_of), project.settings.data.label_sources
    new = arrived(project.journal, seen, sight, labels)
    decision = decisions.get(str(stages["release"].get("decision", "")))
    report = reports.get(str(stages["evaluate"].get("report", "")))
    main = report.metrics[0] if report else None
    act = decision.act if decision else FAILED if turn.closed else UNFINISHED
    failed = failures(project.journal, turn.id)
    snapshot = stages["dataset"].get("snapshot")
    return Entry(
        number=number,
        at=turn.as_of or turn.at,
        act=act,
        version=stages["tune"].get("version"),
        turn=turn.id,
        why=deciding(decision) if decision else _failure(failed),
        metric=main.name if main else None,
        value=main.value if main else None,
        judged=main.n if main else 0,
        gain=measured(main),
        total=measured(_over_first(project, report, reports)),
        snapshot=snapshot,
        rows=dict(project.snapshots.snapshot(snapshot).counts) if snapshot else {},
        feedback=new.feedback,
        users=new.users,
        labels=new.labels,
        seconds={
            name: float(told["seconds"]) for name, told in stages.items() if "seconds" in told
        },
        kinds=_kinds(project, turn),
    )


def _failure(failed: list[dict[str, Any]]) -> Mapping[str, Any] | None:
    """The last thing that went wrong, as a reason."""
    if not failed:
        return None
    last = failed[-1]
    if "details" in last:
        return {**last["details"], "key": f"error.{last['code']}.what"}
    return {**last, "times": len(failed), "key": "history.failed.why"}


def _over_first(
    project: Project, report: Report | None, reports: Mapping[str, Report]
) -> Metric | None:
    """The deciding metric of a version against the first one, where that was measured."""
    if report is None:
        return None
    first = project.ledger.versions(project.settings.project.task)[0].id
    chosen = [
        one
        for one in reports.values()
        if (one.challenger, one.champion) == (report.challenger, first)
    ]
    return chosen[-1].metrics[0] if chosen else None


def _kinds(project: Project, turn: Turn) -> dict[str, Kind]:
    """What ``by_kind`` found out for a turn, as far as it was asked."""
    return {
        kind: Kind(Span(told["gain"], told["low"], told["high"]), told["rows"], told["seconds"])
        for kind, told in _stage(project, turn, BY_KIND).items()
    }


def _by_itself(decision: Decision) -> Entry:
    """A decision that no turn took: by hand, or by a guard after promotion."""
    return Entry(None, decision.at, decision.act, decision.model, why=deciding(decision))


def _with_serving(project: Project, entries: list[Entry]) -> tuple[Entry, ...]:
    """Each line with what serves after it, and that version's gain over the first."""
    serving: str | None = None
    found = []
    for entry in entries:
        if entry.act in ("promote", "rollback"):
            serving = entry.version
        total = entry.total if entry.turn else total_gain(entries, serving)
        found.append(replace(entry, serving=serving, total=total))
    return tuple(found)

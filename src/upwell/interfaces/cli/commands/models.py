"""``upwell models``: every version, or one with its numbers and its history."""

from __future__ import annotations

from datetime import datetime
from difflib import get_close_matches
from typing import Annotated

import typer

from upwell.errors import InterfaceError
from upwell.interfaces.cli.by_hand import document
from upwell.interfaces.cli.here import Answer, Grid, Here, Line
from upwell.interfaces.cli.opened import opened
from upwell.interfaces.cli.tables import measured
from upwell.interfaces.report.picture import named
from upwell.records import Json, ModelVersion
from upwell.stages.release.explain import render
from upwell.store.project import Project
from upwell.wiring.purge import tainted


def run(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="cli.models.name")] = None,
) -> Answer:
    """The table of versions, newest last; or one version in full."""
    here: Here = context.obj
    project = opened(here)
    versions = project.ledger.versions(project.settings.project.task)
    if name is None:
        return _all(project, versions, here)
    found = next((version for version in versions if version.id == name), None)
    if found is None:
        known = [version.id for version in versions]
        nearest = (get_close_matches(name, known, 1, 0.0) or ["–"])[0]
        raise InterfaceError("cli.no_version", name=name, nearest=nearest)
    return _one(project, found, here)


def _all(project: Project, versions: list[ModelVersion], here: Here) -> Answer:
    task = project.settings.project.task
    champion = project.ledger.champion(task)
    serving = champion.id if champion else None
    acts = {decision.model: decision.act for decision in project.ledger.decisions(task)}
    spoilt = tainted(project)
    rows = [
        (
            version.id,
            f"{version.at:%Y-%m-%d %H:%M}",
            version.parent or "",
            version.snapshot[:12],
            named("act", acts.get(version.id, ""), here.lang),
            here.say("cli.models.yes") if version.id == serving else "",
            *([here.say("cli.models.yes") if version.id in spoilt else ""] if spoilt else []),
        )
        for version in versions
    ]
    keys = ("version", "at", "parent", "snapshot", "decision", "serves")
    heads = [here.say(f"cli.models.{key}") for key in keys]
    heads += [here.say("cli.purge.is_tainted")] if spoilt else []
    lines: list[Line] = [Grid(heads, rows)] if rows else [here.say("cli.models.empty")]
    listed = [document(version) for version in versions]
    told: dict[str, Json] = {"champion": serving, "versions": listed, "tainted": dict(spoilt)}
    return Answer(told, lines)


def _one(project: Project, version: ModelVersion, here: Here) -> Answer:
    ledger, task = project.ledger, version.task
    decisions = [one for one in ledger.decisions(task) if one.model == version.id]
    reports = [one for one in ledger.reports(task) if one.challenger == version.id]
    served = [row for row in ledger.alias_history(task).to_pylist() if row["version"] == version.id]
    facts = [
        (here.say("cli.models.at"), f"{version.at:%Y-%m-%d %H:%M} UTC"),
        (here.say("cli.models.parent"), version.parent or "–"),
        (here.say("cli.models.snapshot"), version.snapshot),
        (here.say("cli.models.path"), version.path),
        (here.say("cli.models.digest"), version.digest),
    ]
    spoilt = tainted(project)
    if version.id in spoilt:
        rows = spoilt[version.id]
        facts.append((here.say("cli.purge.is_tainted"), here.say("cli.purge.rows_of", rows=rows)))
    lines: list[Line] = [Grid((version.id, ""), facts)]
    for report in reports:
        lines += ["", here.say("cli.models.reports"), measured(report, here)]
    for decision in decisions:
        lines += ["", *render(decision, here.lang)]
    if served:
        heads = [here.say("cli.models.since"), here.say("cli.models.until")]
        spans = [(f"{row['since']:%Y-%m-%d %H:%M}", _until(row["until"])) for row in served]
        lines += ["", Grid(heads, spans)]
    told: dict[str, Json] = {
        "version": document(version),
        "tainted": version.id in spoilt,
        "reports": [document(report) for report in reports],
        "decisions": [document(decision) for decision in decisions],
        "served": [{key: str(value) for key, value in row.items() if value} for row in served],
    }
    return Answer(told, lines)


def _until(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}"

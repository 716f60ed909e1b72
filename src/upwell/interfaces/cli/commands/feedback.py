"""``upwell feedback``: what became of users' feedback in the last turn, and why."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

import typer

from upwell import rows
from upwell.errors import InterfaceError
from upwell.interfaces.cli.by_hand import document
from upwell.interfaces.cli.here import Answer, Grid, Here, Line
from upwell.interfaces.cli.opened import opened
from upwell.interfaces.fates import fates_of, last_turn
from upwell.records import Doubt, Json
from upwell.stages.clean.explain import Fate
from upwell.store.doubts import doubts_by_code
from upwell.store.project import Project
from upwell.words import catalogue

OUTCOMES = ("used", "dropped", "silent")


def run(
    context: typer.Context,
    what: Annotated[str, typer.Argument(help="cli.feedback.what")],
    user: Annotated[str | None, typer.Argument(help="cli.feedback.user")] = None,
    count: Annotated[int, typer.Option("--count", "-k", min=1, help="cli.feedback.k")] = 50,
) -> Answer:
    """``explain USER``: each signal of a user. ``reasons``: totals of the last turn."""
    here: Here = context.obj
    if what == "explain" and user is not None:
        return _explained(opened(here), user, count, here)
    if what == "reasons" and user is None:
        return _reasons(opened(here), here)
    raise InterfaceError("cli.feedback_what", what=what)


def _explained(project: Project, user: str, count: int, here: Here) -> Answer:
    turn, found = fates_of(project, user)
    counts = {name: sum(one.outcome == name for one in found) for name in OUTCOMES}
    total = len(found)
    heads = ("event", "kind", "outcome")
    cells = [(_key(one), one.kind, _said(one, here)) for one in found[:count]]
    lines: list[Line] = [
        here.say("cli.feedback.counts", user=user, turn=turn.id, events=total, **counts),
        *_totals(found, here),
        "",
        Grid([here.say(f"cli.feedback.{head}") for head in heads], cells),
    ]
    told: list[Json] = [_document(one, here) for one in found]
    return Answer({"user": user, "turn": turn.id, "events": total, **counts, "fates": told}, lines)


def _reasons(project: Project, here: Here) -> Answer:
    turn, _ = last_turn(project)
    found = doubts_by_code(rows.doubts_path(project, turn.id)).to_pylist()
    heads = [here.say(f"cli.feedback.{head}") for head in ("code", "reason", "signals", "users")]
    cells = [
        (row["code"], _short(row["code"], here), f"{row['signals']:,}", f"{row['users']:,}")
        for row in found
    ]
    none = here.say("cli.feedback.no_doubts", turn=turn.id)
    lines: list[Line] = [Grid(heads, cells)] if cells else [none]
    return Answer({"turn": turn.id, "reasons": found}, lines)


def _totals(found: list[Fate], here: Here) -> list[str]:
    """How many events each reason has touched, the most frequent first."""
    counts: dict[str, int] = {}
    for one in found:
        for doubt in one.doubts:
            counts[doubt.code] = counts.get(doubt.code, 0) + 1
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return [f"  {n:,} × {_short(code, here)} [{code}]" for code, n in ranked]


def _said(one: Fate, here: Here) -> str:
    """What became of an event, in one line."""
    parts = [_reason(doubt, here) for doubt in one.doubts]
    if one.weight > 0:
        used = here.say(f"cli.feedback.part.{one.part}", weight=one.weight)
        sign = "" if one.sign is None else f"{one.sign:+d}, "
        parts.insert(0, sign + used)
    return "; ".join(parts)


def _reason(doubt: Doubt, here: Here) -> str:
    return here.say(doubt.code, **doubt.detail)


def _short(code: str, here: Here) -> str:
    """A reason without numbers."""
    short = code.replace("clean.", "clean.reason.", 1)
    return here.say(short if short in catalogue(here.lang) else code)


def _key(one: Fate) -> str:
    return one.event if one.at is None else f"{one.event} ({one.at:%Y-%m-%d %H:%M})"


def _document(one: Fate, here: Here) -> Json:
    reasons: list[Json] = [
        {"code": doubt.code, "factor": doubt.factor, "detail": dict(doubt.detail),
         "sentence": _reason(doubt, here)}
        for doubt in one.doubts
    ]  # fmt: skip
    plain = {field.name: getattr(one, field.name) for field in fields(one)}
    return document({**plain, "outcome": one.outcome, "doubts": reasons})

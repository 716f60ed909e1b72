"""A round of the watch as one line of JSON, and as lines for people."""

from __future__ import annotations

from upwell.errors import UpwellError
from upwell.records import Json
from upwell.stages.release.explain import render
from upwell.stages.release.triggers import Check
from upwell.wiring.watch import Round, code_of
from upwell.words import say


def document(found: Round, lang: str) -> dict[str, Json]:
    """Everything that a round found, for programs; sentences in the language asked for."""
    told: dict[str, Json] = {
        "at": found.at.isoformat(),
        "due": [check.name for check in found.due],
        "checks": [
            {"name": check.name, "fires": check.fires, **check.numbers} for check in found.checks
        ],
        "busy": found.busy,
        "next_in": found.wait.total_seconds(),
    }
    if found.decision is not None:
        decision = found.decision
        told |= {"act": decision.act, "model": decision.model, "why": list(render(decision, lang))}
    if found.failed is not None and not found.busy:
        told["failed"] = {
            "code": code_of(found.failed),
            "told": _told(found.failed, lang)[0],
            "times": found.times,
            "turn": found.turn,
            "given_up": found.given_up,
        }
    return told


def lines(found: Round, lang: str) -> list[str]:
    """What a round found, in a line; what a turn that ran decided, in another."""
    if found.busy and found.failed is not None:
        return [_at(found, _told(found.failed, lang)[0])]
    said = [_at(found, _looked(found, lang))] if found.checks else []
    if found.decision is not None:
        said.append("  " + " ".join(render(found.decision, lang)[:1]))
    if found.failed is not None:
        said += _failure(found, found.failed, lang)
    return said


def _looked(found: Round, lang: str) -> str:
    """Why a turn is due, or what every trigger waits for."""
    due = found.due
    numbers = "; ".join(sentence(check, lang) for check in due or found.checks)
    return say("watch.due" if due else "watch.waits", lang, why=numbers)


def sentence(check: Check, lang: str) -> str:
    """What a trigger says.

    >>> sentence(Check("feedback", False, {"new": 12, "enough": 1000}), "en")
    '12 of 1,000 new events'
    """
    return say(check.key, lang, **check.numbers)


def _failure(found: Round, error: Exception, lang: str) -> list[str]:
    what, after = _told(error, lang)
    said = [_at(found, f"✗ {what} [{code_of(error)}]")]
    if after:
        said.append(f"  → {after}")
    seconds = found.wait.total_seconds()
    if found.given_up:
        said.append("  " + say("watch.given_up", lang, turn=found.turn))
    elif found.turn:
        said.append("  " + say("watch.goes_on", lang, turn=found.turn, times=found.times))
    if seconds:
        said.append("  " + say("watch.next", lang, seconds=seconds))
    return said


def _told(error: Exception, lang: str) -> tuple[str, str]:
    """What happened and what to do; an error of another origin has but its own text."""
    if isinstance(error, UpwellError):
        what, _, after = error.explain(lang)
        return what, after
    return say("watch.unexpected", lang, problem=f"{type(error).__name__}: {error}"), ""


def _at(found: Round, said: str) -> str:
    return f"{found.at:%Y-%m-%d %H:%M:%S} {said}"

"""Lines of the history as cells, sentences and numbers, for the terminal and the report."""

from __future__ import annotations

import json
from collections.abc import Sequence

from upwell.interfaces.report.picture import named, sentence
from upwell.interfaces.report.scale import signed
from upwell.records import Json
from upwell.stages.release.gains import Entry, Span, per_thousand
from upwell.tables import canonical_json
from upwell.words import say

COLUMNS = ("turn", "at", "act", "gain", "interval", "total", "per_thousand", "feedback", "seconds")
KINDS = ("kind", "rows", "gain", "interval", "seconds")


def cells(entry: Entry, lang: str) -> tuple[str, ...]:
    """One line of the table, in the order of ``COLUMNS``."""
    each = per_thousand(entry)
    return (
        entry.turn or say("history.by_itself", lang, version=entry.version),
        f"{entry.at:%Y-%m-%d %H:%M}",
        acted(entry, lang),
        "" if entry.gain is None else signed(entry.gain.value),
        between(entry.gain),
        "" if entry.total is None or not entry.turn else signed(entry.total.value),
        "" if each is None else signed(each.value),
        f"{sum(entry.feedback.values()):,}" if entry.turn else "",
        f"{entry.cost:.1f}" if entry.seconds else "",
    )


def acted(entry: Entry, lang: str) -> str:
    """What was done: the decision, or that there is none yet."""
    return say(f"history.{entry.act}", lang) if entry.act in OPEN else named("act", entry.act, lang)


OPEN = ("failed", "unfinished")


def between(span: Span | None) -> str:
    """An interval, from its low to its high end; empty without one."""
    if span is None or span.low is None or span.high is None:
        return ""
    return f"{signed(span.low)} … {signed(span.high)}"


def sentence_of(entry: Entry, lang: str) -> str:
    """Why a line ended as it did; empty where nothing is known.

    >>> from datetime import UTC, datetime
    >>> at = datetime(2026, 1, 1, tzinfo=UTC)
    >>> sentence_of(Entry(None, at, "rollback", "m-1", why={"key": "release.by_hand"}), "en")
    'm-1, rolled back: Decided by hand.'
    """
    if entry.why is None:
        return ""
    key = "history.because" if entry.version or entry.turn else "history.because.nothing"
    name = entry.turn or entry.version
    return say(key, lang, name=name, act=acted(entry, lang), why=sentence(entry.why, lang))


def spans(entries: Sequence[Entry], lang: str) -> list[str]:
    """What serves now and what it was made from."""
    serving = entries[-1].serving
    made = next((entry for entry in entries if entry.turn and entry.version == serving), None)
    if serving is None:
        return [say("history.nobody", lang)]
    since = [entry for entry in entries if entry.serving == serving and _moved(entry)][-1].at
    if made is None:
        return [say("history.serves", lang, version=serving, since=f"{since:%Y-%m-%d %H:%M}")]
    rows = sum(made.rows.get(part, 0) for part in ("train", "validation", "test"))
    return [
        say(
            "history.serves.made", lang, version=serving, since=f"{since:%Y-%m-%d %H:%M}",
            snapshot=str(made.snapshot)[:12], rows=rows, labels=made.rows.get("labels", 0),
            positive=made.rows.get("positive", 0), negative=made.rows.get("negative", 0),
        )
    ]  # fmt: skip


def _moved(entry: Entry) -> bool:
    return entry.act in ("promote", "rollback")


def kind_cells(entry: Entry) -> list[tuple[str, ...]]:
    """What each kind of feedback was worth, the most first, in the order of ``KINDS``."""
    ordered = sorted(entry.kinds.items(), key=lambda pair: -pair[1].gain.value)
    return [
        (name, f"{kind.rows:,}", signed(kind.gain.value), between(kind.gain), f"{kind.seconds:.1f}")
        for name, kind in ordered
    ]


def numbers(entry: Entry) -> Json:
    """A line for programs: all that is known, with what follows from it."""
    told: dict[str, Json] = json.loads(canonical_json(entry))
    each = per_thousand(entry)
    told["per_thousand"] = None if each is None else json.loads(canonical_json(each))
    told["cost"] = round(entry.cost, 3)
    return told

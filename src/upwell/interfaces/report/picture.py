"""One picture with its twins: the drawing, a table that says the same, and the data as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from upwell.interfaces.report.markup import Markup
from upwell.interfaces.report.scale import percent
from upwell.records import Json
from upwell.words import catalogue, say


@dataclass(frozen=True, slots=True)
class Picture:
    """``svg`` for eyes, ``columns`` and ``rows`` for readers, ``data`` for programs."""

    name: str
    title: str
    caption: str
    svg: Markup
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    data: Json


def named(kind: str, name: str, lang: str) -> str:
    """What people call a metric, a baseline, a step or an act; its own name where unheard of.

    >>> named("act", "promote", "en"), named("metric", "auc", "en")
    ('promoted', 'auc')
    """
    return catalogue(lang).get(f"report.{kind}.{name}", name)


def diagnosed(learned: Mapping[str, float], lang: str) -> list[str]:
    """What a training told of itself, a sentence each.

    >>> diagnosed({"negative_mass": 0.125}, "en")
    ['The textbook loss would diverge on 12.5% of what was asked.']
    """
    return [
        say(f"report.learned.{name}", lang, value=value, share=percent(value))
        for name, value in learned.items()
    ]


def sentence(told: Mapping[str, Json], lang: str) -> str:
    """A reason as words: its ``key`` filled in with its other entries.

    >>> sentence({"key": "cli.row", "n": 3}, "en"), sentence({"key": "old.reason", "n": 3}, "en")
    ('3 rows', 'old.reason n=3')
    """
    details = {name: value for name, value in told.items() if name != "key"}
    key = str(told.get("key", ""))
    try:
        return say(key, lang, **details)
    except (KeyError, ValueError, TypeError):
        # Reasons outlive the version that wrote them: what it can no longer say is shown raw.
        return " ".join([key, *(f"{name}={value}" for name, value in details.items())]).strip()

"""What a report tells: plain numbers and words, with no idea of how they are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from upwell.records import Json, Metric
from upwell.stages.release.gains import Entry
from upwell.words import catalogue


@dataclass(frozen=True, slots=True)
class TurnRow:
    """One turn: the candidate it made, how good that was, and what the gate did with it.

    ``metric`` holds the candidate's value on the frozen part and its gain, with interval, over
    the champion that served then (None for the first).
    """

    number: int
    at: datetime
    version: str
    act: str
    metric: Metric
    baselines: Mapping[str, float]
    reasons: tuple[Mapping[str, Json], ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Change:
    """A metric of the first model and of today's, with the 95 % interval of their difference."""

    name: str
    before: float
    after: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class SliceRow:
    """A user group: the metric and the gain over ``n`` users, with its 95 % interval."""

    group: str
    value: float
    gain: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way from what users did to what the model learned from.

    ``name`` is a word key below ``report.step``; ``kept`` is False for what fell out.
    """

    name: str
    rows: int
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Point:
    """One epoch of learning: loss on labels (D), on feedback (F) and on validation."""

    epoch: int
    labels: float | None
    feedback: float | None
    validation: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """How a version learned; ``label_share`` is λ, ``best`` the epoch that was kept."""

    version: str
    points: tuple[Point, ...]
    label_share: float | None
    best: int | None = None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One thing that the champion recommends to a user, and why (a sentence key with details)."""

    user: str
    title: str
    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class GuardRow:
    """One guard of the latest turn: its value and threshold, and whether it was crossed.

    ``verdict`` is what crossing does; ``value`` None was not measured, and ``why`` says why.
    ``told`` are the numbers of its sentence.
    """

    name: str
    value: float | None
    threshold: float
    crossed: bool
    verdict: str
    why: str = ""
    told: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """All that one report tells about a project. Empty parts are left out of the pages.

    ``slices_over`` says over which model the groups gain: the ``first`` or the one ``before``.
    ``recommends`` says whether items are recommended; else answers are given. ``learned`` is what
    to know about the latest training: names below ``report.learned`` and their numbers.
    ``history`` is every turn and every decision without one, failed and unfinished ones too.
    """

    project: str
    task: str
    made: datetime
    metric: str
    champion: str | None
    turns: tuple[TurnRow, ...]
    changes: tuple[Change, ...] = ()
    slices: tuple[SliceRow, ...] = ()
    slices_over: str = "first"
    steps: tuple[Step, ...] = ()
    curve: Curve | None = None
    suggestions: tuple[Suggestion, ...] = ()
    recommends: bool = True
    learned: Mapping[str, float] = field(default_factory=dict)
    guards: tuple[GuardRow, ...] = ()
    history: tuple[Entry, ...] = ()

    def key(self, key: str) -> str:
        """The key of a sentence: that about answers where there is one and the story is."""
        other = f"{key}.answers"
        return key if self.recommends or other not in catalogue("en") else other

"""When a turn is due, and how long to wait after one that failed: pure functions of what is known.

Every check tells its numbers whether it fires or waits. Nothing fires while nothing is new (a
turn would end with the same model) or before the last turn has rested; a turn that was left
unfinished always goes on. Checks, in order:

1. ``unfinished``: a turn was begun and not ended; the others are not asked.
2. ``first``: nothing serves yet.
3. ``feedback``: enough new events that can teach.
4. ``time``: long enough since the last turn began.
5. ``drift``: what users say has moved since the last turn.
6. ``guard``: the serving model fails a guard that would have kept it from serving.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from upwell.records import Json
from upwell.settings import WatchSettings

Counts = Mapping[str, int]
_FLOOR = 0.5
"""Counted for what was never seen on one side, which no sample can call impossible."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known at a look. ``before`` and ``since``: what was said, around the last turn."""

    now: datetime
    serving: str | None
    new: int
    turn: str | None = None
    begun: datetime | None = None
    unfinished: str | None = None
    before: Counts = field(default_factory=dict)
    since: Counts = field(default_factory=dict)
    guards: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """One trigger: whether it fires, and the numbers that fill its sentence ``watch.<key>``."""

    name: str
    fires: bool
    numbers: Mapping[str, Json]

    @property
    def key(self) -> str:
        """The word key of what it says."""
        return f"watch.{self.name}.{'fires' if self.fires else 'waits'}"


def checks(situation: Situation, settings: WatchSettings) -> tuple[Check, ...]:
    """Every trigger that is on, in order; see the module's text.

    >>> from datetime import UTC
    >>> noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    >>> known = Situation(noon, "m-0", 1200, "m-0", noon - timedelta(hours=3))
    >>> [check.name for check in checks(known, WatchSettings()) if check.fires]
    ['feedback']
    """
    if situation.unfinished:
        return (Check("unfinished", True, {"turn": situation.unfinished}),)
    rested = _rested(situation, settings)
    ready = situation.new > 0 and rested is None
    found = [
        Check(check.name, check.fires and ready, check.numbers)
        for check in _asked(situation, settings)
    ]
    return tuple([*found, rested] if rested and situation.new else found)


def _rested(situation: Situation, settings: WatchSettings) -> Check | None:
    """What is told while the last turn still rests.

    A clock that was set back would make it rest for long: a beginning that lies in the future
    keeps nothing from resting out.
    """
    rest = timedelta(minutes=settings.rest_minutes)
    if situation.begun is None or not timedelta() <= situation.now - situation.begun < rest:
        return None
    minutes = (situation.now - situation.begun) / timedelta(minutes=1)
    return Check("rest", False, {"minutes": minutes, "rest": settings.rest_minutes})


def _asked(situation: Situation, settings: WatchSettings) -> Iterator[Check]:
    if situation.serving is None:
        yield Check("first", True, {"new": situation.new})
    if settings.feedback:
        enough = situation.new >= settings.feedback
        yield Check("feedback", enough, {"new": situation.new, "enough": settings.feedback})
    if settings.hours and situation.begun is not None:
        # A beginning in the future (the clock was set back) counts as now: nobody waits for it.
        passed = max(situation.now - situation.begun, timedelta()) / timedelta(hours=1)
        yield Check("time", passed >= settings.hours, {"hours": passed, "limit": settings.hours})
    if settings.drift and situation.begun is not None:
        yield _drift(situation, settings)
    if settings.guards:
        yield from _guards(situation.guards)


def _drift(situation: Situation, settings: WatchSettings) -> Check:
    least = min(sum(situation.before.values()), sum(situation.since.values()))
    if least < settings.drift_minimum:
        return Check("few", False, {"events": least, "minimum": settings.drift_minimum})
    moved = stability(situation.before, situation.since)
    return Check("drift", moved >= settings.drift, {"drift": moved, "limit": settings.drift})


def stability(before: Counts, since: Counts) -> float:
    """Population stability index between two samples of one choice: Σ (p − q) · ln(p / q).

    0 for equal shares; above .25 is commonly called a shift. (Siddiqi, Credit Risk Scorecards,
    2006.) Half an event stands for none.

    >>> round(stability({"yes": 80, "no": 20}, {"yes": 50, "no": 50}), 3)
    0.416
    """
    names = sorted(before.keys() | since.keys())
    one = [max(before.get(name, 0), _FLOOR) for name in names]
    other = [max(since.get(name, 0), _FLOOR) for name in names]
    shares = [(a / sum(one), b / sum(other)) for a, b in zip(one, other, strict=True)]
    return sum((p - q) * math.log(p / q) for p, q in shares)


def _guards(guards: Mapping[str, Json]) -> Iterator[Check]:
    """One check for each guard that would hold or reject a model and that the serving one fails."""
    failed = 0
    for name, told in guards.items():
        if not isinstance(told, Mapping) or told.get("verdict") not in ("hold", "reject"):
            continue
        value, limit = told.get("value"), told.get("threshold")
        if not isinstance(value, int | float) or not isinstance(limit, int | float):
            continue
        if value > limit if told.get("worse") == "above" else value < limit:
            failed += 1
            yield Check("guard", True, {"guard": name, "value": value, "limit": limit})
    if guards and not failed:
        yield Check("guards", False, {"guards": len(guards)})


def pause(failures: int, settings: WatchSettings, chance: float) -> timedelta:
    """How long to wait after ``failures`` in a row: exponential with full jitter.

    ``chance`` in [0, 1) is drawn by the caller. Between half and all of
    min(retry_most, retry · 2^(failures − 1)), so that machines which fail together do not come
    back together (Brooker, Exponential Backoff and Jitter, 2015: equal jitter).

    >>> [pause(n, WatchSettings(), 0.5).total_seconds() for n in (1, 2, 3, 20)]
    [22.5, 45.0, 90.0, 2700.0]
    """
    doubled = settings.retry_seconds * 2.0 ** min(failures - 1, 40)
    longest = min(settings.retry_most_seconds, doubled)
    return timedelta(seconds=longest * (1 + chance) / 2)

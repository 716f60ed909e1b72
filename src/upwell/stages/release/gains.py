"""The ledger of gains: what each turn brought, to how many, and what it cost; pure functions.

What is measured is the gain of a turn over the champion before it, with its interval, and of a
version over the first one. Nothing here splits a gain among kinds of feedback: that needs models
that learned without each kind (``upwell history --by-kind``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from upwell.records import Decision, Json, Metric

Reason = Mapping[str, Json]
FAILED, UNFINISHED = "failed", "unfinished"
_WHY = {"promote": ("better", "gain", "first"), "trial": ("better", "gain")}


@dataclass(frozen=True, slots=True)
class Span:
    """An estimate with its interval; the ends are None where none was measured."""

    value: float
    low: float | None = None
    high: float | None = None

    def times(self, factor: float) -> Span:
        """The same in another unit.

        >>> Span(0.25, 0.125).times(8.0)
        Span(value=2.0, low=1.0, high=None)
        """
        low = None if self.low is None else self.low * factor
        high = None if self.high is None else self.high * factor
        return Span(self.value * factor, low, high)

    @property
    def sure(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, slots=True)
class Kind:
    """What one kind of feedback was worth: the gain of learning from it over not doing so."""

    gain: Span
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the history: a turn, or a decision that was taken without one.

    ``act`` is the decision's, or ``failed`` or ``unfinished``. ``feedback`` counts what was new
    by kind, ``users`` who gave it, ``labels`` what was new beside it, ``rows`` what the snapshot
    holds. ``gain`` is over the champion before, ``total`` over the first version; ``serving`` is
    what serves after this line. ``seconds`` are those of each stage.
    """

    number: int | None
    at: datetime
    act: str
    version: str | None
    turn: str | None = None
    why: Reason | None = None
    metric: str | None = None
    value: float | None = None
    judged: int = 0
    gain: Span | None = None
    total: Span | None = None
    serving: str | None = None
    snapshot: str | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    feedback: Mapping[str, int] = field(default_factory=dict)
    users: int = 0
    labels: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    @property
    def cost(self) -> float:
        """Seconds of all stages together."""
        return sum(self.seconds.values())


def measured(metric: Metric | None) -> Span | None:
    """A metric's gain with its interval; None where there was no champion to gain over."""
    if metric is None or metric.gain is None:
        return None
    return Span(metric.gain, metric.low, metric.high)


def per_thousand(entry: Entry) -> Span | None:
    """The turn's gain for each 1,000 users whose feedback was new in it.

    None where no gain was measured or nobody gave any. The interval is that of the gain: how many
    users there were is known exactly.

    >>> from datetime import UTC
    >>> turn = Entry(1, datetime(2026, 1, 1, tzinfo=UTC), "promote", "m-1",
    ...              gain=Span(0.02, 0.01, 0.03), users=500)
    >>> per_thousand(turn)
    Span(value=0.04, low=0.02, high=0.06)
    """
    if entry.gain is None or not entry.users:
        return None
    return entry.gain.times(1000 / entry.users)


def deciding(decision: Decision) -> Reason | None:
    """The reason that decided: the first with the act's own verdict, for a promotion the gain."""
    named = {_check(reason): reason for reason in reversed(decision.reasons)}
    for check in _WHY.get(decision.act, ()):
        if check in named:
            return named[check]
    strict = [one for one in decision.reasons if one.get("verdict") == decision.act]
    return next(iter([*strict, *decision.reasons]), None)


def _check(reason: Reason) -> str:
    """Which check of the gate gave a reason; empty for a reason of another origin."""
    parts = str(reason.get("key", "")).split(".")
    return parts[1] if parts[0] == "gate" and len(parts) == 3 else ""


def total_gain(entries: Sequence[Entry], serving: str | None) -> Span | None:
    """The gain over the first version of the version that serves; zero for the first itself."""
    made = [entry for entry in entries if entry.turn is not None and entry.version is not None]
    if serving is None or not made:
        return None
    if serving == made[0].version:
        return Span(0.0, 0.0, 0.0)
    return next((one.total for one in made if one.version == serving), None)

"""The nouns of Upwell, each a frozen record that is valid from birth.

One row is a record; many rows are an Arrow table with the schema that ``tables.py`` derives
from it. Times are timezone-aware UTC. Ids and times enter as arguments, made at the edge. Users
and items are any text up to ``LONGEST_ID`` characters; other names match ``NAME``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias

from upwell.errors import RecordError

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
LONGEST_ID = 512
OWNERLESS = ("item", "label")
NOBODY = "~"  # begins the user of a label that is nobody's
PURPOSES = ("serve", "analyse", "train")
ACTS = ("promote", "trial", "hold", "reject", "rollback")


@dataclass(frozen=True, slots=True)
class Consent:
    """What a user allows their data to be used for, from ``since`` up to ``until``."""

    id: str
    user: str
    purposes: tuple[str, ...]
    since: datetime
    until: datetime | None = None

    def __post_init__(self) -> None:
        _identifier("id", self.id)
        _identifier("user", self.user)
        _time("since", self.since)
        for purpose in self.purposes:
            _choice("purposes", purpose, PURPOSES)


@dataclass(frozen=True, slots=True)
class Event:
    """Something a user did, or a fact about an item (``kind="item"``) or user (``kind="user"``).

    ``value`` is the event's number: a rating in stars, dwell in seconds, money for a purchase,
    +1 or −1 for thumbs. ``prediction`` names the answer that the user reacted to, if known.
    Facts about items, and labels (``kind="label"``) that are nobody's behaviour, need no user.
    """

    id: str
    source: str
    user: str
    kind: str
    at: datetime
    payload: Mapping[str, Json] = field(default_factory=dict)
    prediction: str | None = None
    item: str | None = None
    value: float | None = None

    def __post_init__(self) -> None:
        _identifier("id", self.id)
        _name("source", self.source)
        _name("kind", self.kind)
        _time("at", self.at)
        if self.kind not in OWNERLESS:
            _identifier("user", self.user)
        for name in ("prediction", "item"):
            if getattr(self, name) is not None:
                _identifier(name, getattr(self, name))
        if self.value is not None and not math.isfinite(self.value):
            raise RecordError("record.not_finite", field="value", value=str(self.value))


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that intake could not accept, kept whole with its reason so that it can be replayed."""

    source: str
    code: str
    field: str
    reason: str
    raw: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    """What intake did: every row given is in one of the counts, and has its place in the order."""

    accepted: int
    duplicates: int
    refused: tuple[BadRow, ...] = ()
    refused_at: tuple[int, ...] = ()
    duplicates_at: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer as it was shown; ``propensity`` is the probability with which it was chosen."""

    id: str
    user: str
    task: str
    model: str
    at: datetime
    input: Json
    output: Json
    propensity: float
    group: str = ""
    policy: str = "greedy"

    def __post_init__(self) -> None:
        _identifier("id", self.id)
        _identifier("user", self.user or "nobody")
        _name("task", self.task)
        _time("at", self.at)
        _within("propensity", self.propensity, 0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Signal:
    """What an event says about the answer or item it is about: a sign, a weight, a correction.

    ``event`` is ``source/id`` of the event. Weight is a non-negative number, 1.0 by default.
    """

    event: str
    prediction: str | None
    sign: int
    weight: float = 1.0
    correction: str | None = None

    def __post_init__(self) -> None:
        _identifier("event", self.event)
        _choice("sign", self.sign, (-1, 1))
        _within("weight", self.weight, 0.0, math.inf)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a signal counts ``factor`` times as given (0: not at all): a word key, its numbers."""

    event: str
    user: str
    code: str
    factor: float
    detail: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UserProfile:
    """What was known about a user just before ``at``: a group, features and item history."""

    user: str
    at: datetime
    group: str
    features: Mapping[str, float]
    history: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One row to learn from. ``sign`` is None for a label (D), +1 or −1 for feedback (F).

    A row of weight 0 is context: it is part of a user's history and is never a target.
    ``sources`` are the ``source/id`` of the events it was made from; ``features`` are the user's
    behaviour just before ``at``. Where a task learns from histories, the rows of a user in order
    of (at, position) are that history: ``target`` is the item and ``input`` is empty.
    """

    id: str
    user: str
    task: str
    input: str
    target: str
    sign: int | None
    weight: float
    reliability: float
    propensity: float | None
    group: str
    at: datetime
    sources: tuple[str, ...]
    features: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Frozen data of one turn. ``id`` is the hash of all content; splits name files by hash."""

    id: str
    task: str
    at: datetime
    watermark: int
    train: str
    validation: str
    test: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A trained model: a folder with a digest, what it was made from, and its privacy loss."""

    id: str
    task: str
    at: datetime
    parent: str | None
    snapshot: str
    recipe: Mapping[str, Json]
    epsilon: float | None
    path: str
    digest: str

    def __post_init__(self) -> None:
        _name("id", self.id)
        _name("task", self.task)


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured number and its gain over the champion, with intervals over ``n`` units.

    ``low`` and ``high`` bound the gain, ``value_low`` and ``value_high`` the value.
    """

    name: str
    value: float
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    value_low: float | None = None
    value_high: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What an evaluation found: metrics overall, by slice (user group), guards, off-policy."""

    id: str
    challenger: str
    champion: str | None
    at: datetime
    metrics: tuple[Metric, ...]
    slices: Mapping[str, tuple[Metric, ...]]
    guards: Mapping[str, Json]
    ope: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate did with a model and why: each reason is a word key with its numbers."""

    id: str
    model: str
    task: str
    at: datetime
    act: str
    reasons: tuple[Mapping[str, Json], ...]

    def __post_init__(self) -> None:
        _choice("act", self.act, ACTS)


def _identifier(name: str, value: str) -> None:
    if not value or value.isspace():
        raise RecordError("record.missing", field=name)
    if len(value) > LONGEST_ID or "\x00" in value:
        raise RecordError("record.bad_id", field=name, value=value[:40], longest=LONGEST_ID)


def _name(name: str, value: str) -> None:
    if not NAME.fullmatch(value):
        raise RecordError("record.bad_name", field=name, value=value[:80])


def _time(name: str, value: datetime) -> None:
    if value.tzinfo is None:
        raise RecordError("record.naive_time", field=name, value=value.isoformat())
    if not EARLIEST <= value < LATEST:
        raise RecordError("record.bad_time", field=name, value=value.isoformat())


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise RecordError("record.out_of_range", field=name, value=value, low=low, high=high)


def _choice(name: str, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        listed = ", ".join(map(str, allowed))
        raise RecordError("record.not_allowed", field=name, value=value, allowed=listed)

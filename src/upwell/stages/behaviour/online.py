"""The same features, one event at a time, for a user who is being served now.

A state is a value: ``after`` gives a new one. Replaying a user's events gives what ``features``
computes in batch, to 1e-9. Events must come in order of time; one that comes late needs the batch
computation, which puts it in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from math import floor, log
from operator import add
from typing import NamedTuple

from upwell.errors import StageError
from upwell.records import Event, Json
from upwell.stages.behaviour.features import (
    BUCKETS,
    DAY,
    FEATURES,
    HIGHEST_PURCHASE,
    HIGHEST_RATING,
    LONGEST_DWELL,
)
from upwell.tables import as_text, micros

_COUNTED = {"click": "clicks", "purchase": "purchases", "skip": "skips"}
_MEASURED = {
    "rating": ("ratings", "stars", HIGHEST_RATING, 100.0),
    "dwell": ("dwells", "dwelt", LONGEST_DWELL, 10.0),
    "purchase": ("purchases", "spent", HIGHEST_PURCHASE, 100.0),
}
_PLAIN = ("click_rate", "mean_rating")
SUMS = (
    *("events", "clicks", "purchases", "ratings", "dwells", "skips", "active_days"),
    *("stars", "dwelt", "spent", "activity"),
    *(f"category_{bucket}" for bucket in range(BUCKETS)),
)
NOTHING = (0.0,) * len(SUMS)
_PLACE = {name: place for place, name in enumerate(SUMS)}


class Act(NamedTuple):
    """What counts of an event: its kind, its moment (µs), its value, its item's category then."""

    kind: str
    at: int
    value: float | None
    category: str


@dataclass(frozen=True, slots=True)
class UserState:
    """What a user did so far, as sums in the order of ``SUMS``.

    Money and stars are in hundredths, dwell in tenths. ``settled`` are the sums before the
    ``latest`` moment (µs), ``pending`` those of that moment: what is asked about the same moment
    must not know them. Activity is as at ``latest``.

    >>> from datetime import UTC
    >>> noon = datetime(2024, 1, 1, 12, tzinfo=UTC)
    >>> state = UserState(7.0).after(Event("1", "web", "ann", "click", noon))
    >>> known = dict(zip(FEATURES, state.features(noon.replace(day=2)), strict=True))
    >>> known["click_rate"], round(known["idle_days"], 4), round(known["activity"], 4)
    (1.0, 0.6931, 0.6449)
    >>> sum(state.features(noon))
    0.0
    """

    half_life_days: float
    latest: int | None = None
    previous: int | None = None
    settled: tuple[float, ...] = NOTHING
    pending: tuple[float, ...] = NOTHING

    def after(self, event: Event, category: str = "") -> UserState:
        """The state when ``event``, about an item of ``category``, has happened.

        Facts change nothing. Raises StageError where the event is older than the state.
        """
        return self.after_all([Act(event.kind, micros(event.at), event.value, category)])

    def after_all(self, acts: Iterable[Act]) -> UserState:
        """The state when all of ``acts``, in order of time, have happened (see ``after``)."""
        latest, previous = self.latest, self.previous
        settled, pending = self.settled, list(self.pending)
        for act in acts:
            if act.kind in ("item", "user"):
                continue
            new_day = latest is None or act.at // DAY != latest // DAY
            if act.at != latest:
                settled = self._settled(settled, pending, latest, act.at)
                previous, latest, pending = latest, act.at, list(NOTHING)
            _add(act, new_day, pending)
        return UserState(self.half_life_days, latest, previous, settled, tuple(pending))

    def features(self, at: datetime) -> tuple[float, ...]:
        """``FEATURES`` as known just before ``at``, which must not precede the latest event."""
        moment = micros(at)
        sums = dict(zip(SUMS, self._known(moment), strict=True))
        last = self.previous if moment == self.latest else self.latest
        values = {
            **sums,
            "spent": sums["spent"] / 100.0,
            "idle_days": 0.0 if last is None else (moment - last) / DAY,
            "click_rate": sums["clicks"] / max(sums["events"], 1.0),
            "mean_rating": sums["stars"] / 100.0 / max(sums["ratings"], 1.0),
            "mean_dwell": sums["dwelt"] / 10.0 / max(sums["dwells"], 1.0),
        }
        return tuple(values[f] if f in _PLAIN else log(1.0 + values[f]) for f in FEATURES)

    def _known(self, at: int) -> tuple[float, ...]:
        """Sums of what happened strictly before ``at``, activity decayed to ``at``."""
        if at == self.latest:
            return self.settled
        return self._settled(self.settled, self.pending, self.latest, at)

    def _settled(
        self, settled: tuple[float, ...], pending: Sequence[float], latest: int | None, at: int
    ) -> tuple[float, ...]:
        """``settled`` and ``pending`` sums of ``latest`` together, activity decayed to ``at``."""
        if latest is None:
            return settled
        if at < latest:
            raise StageError("behaviour.late_event", late=latest - at)
        half_lives = (at - latest) / max(self.half_life_days * DAY, 1.0)
        sums = list(map(add, settled, pending))
        sums[_PLACE["activity"]] *= 0.5 ** min(half_lives, 1000.0)
        return tuple(sums)


def category(payload: Mapping[str, Json]) -> str:
    """The category of an item by its facts: ``category``, else the first of ``genres``.

    >>> category({"genres": ["Comedy", "Drama"]}), category({"genres": "Comedy|Drama"})
    ('Comedy', 'Comedy')
    """
    named, genres = as_text(payload.get("category")), payload.get("genres")
    if named is None and isinstance(genres, list | tuple):
        named = as_text(genres[0]) if genres else None
    elif named is None and isinstance(genres, str):
        named = genres.partition("|")[0]
    return named or ""


def _add(act: Act, new_day: bool, sums: list[float]) -> None:
    """Add what one act says to each sum."""
    sums[_PLACE["events"]] += 1.0
    sums[_PLACE["activity"]] += 1.0
    sums[_PLACE["active_days"]] += new_day
    if act.category:
        sums[_PLACE[f"category_{_bucket(act.category)}"]] += 1.0
    if act.kind in _COUNTED:
        sums[_PLACE[_COUNTED[act.kind]]] += 1.0
    if act.kind in _MEASURED and act.value is not None:
        count, total, highest, parts = _MEASURED[act.kind]
        if act.kind not in _COUNTED:
            sums[_PLACE[count]] += 1.0
        sums[_PLACE[total]] += floor(min(max(act.value, 0.0), highest) * parts + 0.5)


@lru_cache(4096)
def _bucket(category: str) -> int:
    return int(sha256(category.encode()).hexdigest()[:8], 16) % BUCKETS

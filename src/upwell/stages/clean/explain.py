"""What became of each event of a user in a turn, with every reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from pyarrow import compute as pc

from upwell.records import Doubt, Event, Example
from upwell.settings import FeedbackRule
from upwell.stages.clean.implied import KINDS
from upwell.stages.clean.signals import FACTS, ignored, signals
from upwell.tables import event_keys, to_records

OURS = "upwell/"
"""What the keys of events begin with that nobody sent."""


@dataclass(frozen=True, slots=True)
class Fate:
    """One event (``source/id``) and what became of it.

    ``part`` is the part of the snapshot that its row is in, '' for none. ``sign`` is None for a
    label and for what says nothing. A weight above 0 means that the row counts. ``doubts`` are
    the reasons, in order; there is at least one wherever the weight is 0.
    """

    event: str
    kind: str
    at: datetime | None
    about: str
    part: str
    sign: int | None
    weight: float
    reliability: float
    doubts: tuple[Doubt, ...]

    @property
    def outcome(self) -> str:
        """``used``, ``dropped`` (a doubt has left it without weight) or ``silent``."""
        if self.weight > 0:
            return "used"
        has_spoken = any(one.code not in _SILENT for one in self.doubts)
        return "dropped" if has_spoken else "silent"


_SILENT = frozenset(
    f"clean.{name}"
    for name in (
        "about_nothing", "neutral", "no_consent", "no_row", "no_rule", "no_value", "not_mature",
        "not_yet", "out_of_scale", "says_nothing", "no_answer", "unknown_prediction",
    )
)  # fmt: skip


def fates(
    events: pa.Table,
    doubts: pa.Table,
    parts: Mapping[str, pa.Table],
    rules: Mapping[str, FeedbackRule],
    *,
    is_permitted: bool,
    as_of: datetime | None,
    purged: Mapping[str, Doubt] | None = None,
) -> list[Fate]:
    """The fates of one user's ``events`` (Event columns; facts are left out), newest first.

    ``doubts`` and ``parts`` (Example rows by part of the snapshot) are those of the same user;
    what nobody sent and they name is told beside the events. ``rules`` are the settings'
    ``feedback``.
    ``purged`` are the events that were excluded, each with its reason.
    """
    acts = events.filter(pc.invert(pc.is_in(events["kind"], pa.array(FACTS))))
    mute = _mute(acts, rules)
    found: dict[str, list[Doubt]] = {}
    for doubt in to_records(Doubt, doubts):
        found.setdefault(doubt.event, []).append(doubt)
    rows, hidden, told = _rows(parts), purged or {}, {}
    for key, event in zip(event_keys(acts).to_pylist(), to_records(Event, acts), strict=True):
        part, row = rows.get(key, ("", None))
        reasons = found.get(key, [])
        if (row is None or row.weight == 0) and all(one.factor > 0 for one in reasons):
            is_late = as_of is not None and event.at >= as_of
            code = mute.get(key) or _unused(is_permitted, is_late)
            reasons = [*reasons, hidden.get(key) or Doubt(key, event.user, code, 0.0)]
        about = event.item or (row.target if row else event.prediction) or ""
        told[key] = _told(key, event.kind, event.at, about, part, row, reasons)
    for key in {**rows, **found}:
        if key.startswith(OURS) and key not in told:
            part, row = rows.get(key, ("", None))
            at, about = (row.at, row.target) if row else (None, "")
            told[key] = _told(key, _kind(key), at, about, part, row, found.get(key, []))
    return sorted(told.values(), key=lambda one: (str(one.at or ""), one.event), reverse=True)


def _kind(key: str) -> str:
    """The kind of an event that nobody sent."""
    last = key.rpartition("/")[2]
    return last if last in KINDS else "silence"


def _mute(acts: pa.Table, rules: Mapping[str, FeedbackRule]) -> dict[str, str]:
    """By event, why it gives no signal; those that give one are left out."""
    silent = ignored(acts, signals(acts, rules), rules)
    return dict(zip(silent["event"].to_pylist(), silent["code"].to_pylist(), strict=True))


def _rows(parts: Mapping[str, pa.Table]) -> dict[str, tuple[str, Example]]:
    """By event, the row of what was shown (not that of a correction or a variant) and its part."""
    return {
        row.id: (part, row)
        for part, table in parts.items()
        for row in to_records(Example, table)
        if row.id == row.sources[0]
    }


def _unused(is_permitted: bool, is_late: bool) -> str:
    """Why an event that says something, and that nobody doubts, counts nothing all the same."""
    if not is_permitted:
        return "clean.no_consent"
    return "clean.not_yet" if is_late else "clean.no_row"


def _told(
    key: str,
    kind: str,
    at: datetime | None,
    about: str,
    part: str,
    row: Example | None,
    doubts: Sequence[Doubt],
) -> Fate:
    if row is None:
        return Fate(key, kind, at, about, part, None, 0.0, 1.0, tuple(doubts))
    return Fate(key, kind, at, about, part, row.sign, row.weight, row.reliability, tuple(doubts))

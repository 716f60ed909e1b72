"""The same rows, one event at a time, for a user who is being served now.

What ``examples`` makes of a user's events in batch, as far as a history tells it: targets and
signs. Only tasks that know who asks (about items and values) have histories.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from upwell.records import Prediction
from upwell.stages.dataset.examples import About, Scale
from upwell.tables import as_text

Row = tuple[str, int]
"""A target, and the sign of a history: −1, 1, or 0 for a label and what says nothing."""


class Told(NamedTuple):
    """What an event tells, with the ``sign`` of its signal (0 without one) and its correction."""

    kind: str
    source: str
    item: str | None
    value: float | None
    payload: str
    sign: int
    right: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """How events become rows (see ``examples``)."""

    task: str
    about: About
    label_sources: Collection[str]
    scales: Mapping[str, Scale]

    def rows(self, told: Told, shown: Prediction | None = None) -> tuple[Row, ...]:
        """The rows of one event, in order; ``shown`` is the prediction that it names, if known.

        >>> stars = Told("rating", "web", "i", 4.0, "{}", 1, "j")
        >>> Reading("recommend", "item", ["labels"], {}).rows(stars)
        (('i', 1), ('j', -1))
        """
        if told.kind in ("item", "user"):
            return ()
        return self._of_item(told) if self.about == "item" else self._of_value(told, shown)

    def _of_item(self, told: Told) -> tuple[Row, ...]:
        if told.item is None:
            return ()
        sign = 0 if told.source in self.label_sources else told.sign
        first = (told.item, sign)
        return (first,) if told.right is None else (first, (told.right, -sign))

    def _of_value(self, told: Told, shown: Prediction | None) -> tuple[Row, ...]:
        asked, answer = _shown(shown if shown and shown.task == self.task else None)
        payload = json.loads(told.payload)
        if not _first(as_text(payload.get("input")), told.item, asked):
            return ()
        is_label = told.source in self.label_sources or told.kind == "label"
        sign = 0 if is_label else told.sign
        first: Row | None = None
        if self._is_value(told):
            first = (repr(float(told.value or 0.0)), 0)
        elif told.kind == "ask":
            first = ("", sign)
        else:
            said = _first(as_text(payload.get("target")), answer)
            first = None if said is None else (said, sign)
        corrected = None if told.right is None else (told.right, -sign)
        return tuple(row for row in (first, corrected) if row is not None)

    def _is_value(self, told: Told) -> bool:
        """Whether the event gives its item a number within the scale of its kind."""
        low, high = self.scales.get(told.kind, (inf, -inf))
        low, high = -inf if low is None else low, inf if high is None else high
        return told.item is not None and told.value is not None and low <= told.value <= high


def _shown(shown: Prediction | None) -> tuple[str | None, str | None]:
    """What a prediction was asked, and its first answer."""
    if shown is None:
        return None, None
    output = shown.output
    if isinstance(output, Mapping) and "answers" in output:
        answers = output["answers"]
        output = answers[0] if isinstance(answers, list | tuple) and answers else None
    return as_text(shown.input), as_text(output)


def _first(*texts: str | None) -> str | None:
    return next((text for text in texts if text is not None), None)

"""The same rows, one event at a time, for a user who is being served now.

What ``examples`` makes of a user's events in batch, as far as a history tells it: targets and
signs. Only tasks that know who asks (about items and values) have histories.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from upwell.records import Event, Prediction, Signal
from upwell.stages.dataset.examples import About, Scale
from upwell.tables import as_text

Row = tuple[str, int]
"""A target, and the sign of a history: −1, 1, or 0 for a label and what says nothing."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How events become rows (see ``examples``)."""

    task: str
    about: About
    label_sources: Collection[str]
    scales: Mapping[str, Scale]

    def rows(
        self, event: Event, signal: Signal | None, shown: Prediction | None
    ) -> tuple[Row, ...]:
        """The rows of one event, in order; ``shown`` is the prediction that it names, if known.

        >>> from datetime import UTC, datetime
        >>> stars = Event("1", "web", "ann", "rating", datetime(2024, 1, 1, tzinfo=UTC), item="i")
        >>> said = Signal("web/1", None, 1, correction="j")
        >>> Reading("recommend", "item", ["labels"], {}).rows(stars, said, None)
        (('i', 1), ('j', -1))
        """
        if event.kind in ("item", "user"):
            return ()
        sign = signal.sign if signal else 0
        right = signal.correction if signal else None
        if self.about == "item":
            return self._of_item(event, sign, right)
        return self._of_value(event, sign, right, shown)

    def _of_item(self, event: Event, sign: int, right: str | None) -> tuple[Row, ...]:
        if event.item is None:
            return ()
        sign = 0 if event.source in self.label_sources else sign
        return ((event.item, sign),) if right is None else ((event.item, sign), (right, -sign))

    def _of_value(
        self, event: Event, sign: int, right: str | None, shown: Prediction | None
    ) -> tuple[Row, ...]:
        asked, answer = _shown(shown if shown and shown.task == self.task else None)
        about = _first(as_text(event.payload.get("input")), event.item, asked)
        if not about:
            return ()
        is_label = event.source in self.label_sources or event.kind == "label"
        sign = 0 if is_label else sign
        given = self._given(event)
        if given is not None:
            first: Row | None = (given, 0)
        else:
            said = _first(as_text(event.payload.get("target")), answer)
            said = "" if event.kind == "ask" else said
            first = None if said is None else (said, sign)
        corrected = None if right is None else (right, -sign)
        return tuple(row for row in (first, corrected) if row is not None)

    def _given(self, event: Event) -> str | None:
        """The number that the event gives its item, within the scale of its kind."""
        low, high = self.scales.get(event.kind, (float("inf"), float("-inf")))
        low, high = float("-inf") if low is None else low, float("inf") if high is None else high
        is_value = event.item is not None and event.value is not None and low <= event.value <= high
        return repr(float(event.value or 0.0)) if is_value else None


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

"""An answer as a product shows it, and what its user makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said, best first, and how it came about."""

    prediction: str
    model: str
    propensity: float
    outputs: tuple[str, ...]
    probabilities: tuple[float, ...]
    reasons: tuple[str, ...]

    @property
    def first(self) -> str:
        """The best output; empty where nothing is sure enough."""
        return self.outputs[0] if self.outputs else ""


class Telling(Protocol):
    """What takes in events (``Client.event``)."""

    def __call__(
        self,
        kind: str,
        user: str,
        *,
        item: str | None = None,
        value: float | None = None,
        prediction: str | None = None,
        payload: Mapping[str, Any] | None = None,
    ) -> str:
        """Take in one event; returns its id."""
        ...


@dataclass(frozen=True, slots=True)
class Shown:
    """An answer in front of a user: each verb says what the user did with it."""

    answer: Answer
    user: str
    tell: Telling

    @property
    def first(self) -> str:
        """The best output."""
        return self.answer.first

    def thumbs(self, up: bool) -> str:
        """The user said yes or no."""
        return self._say("thumbs", value=1.0 if up else -1.0)

    def rate(self, stars: float, item: str | None = None) -> str:
        """The user gave so many stars."""
        return self._say("rating", item=item, value=stars)

    def correct(self, right: object) -> str:
        """The user said what it should have been."""
        return self._say("correction", payload={"correction": right})

    def click(self, item: str) -> str:
        """The user opened an item."""
        return self._say("click", item=item)

    def dwell(self, seconds: float, item: str | None = None) -> str:
        """The user stayed so long."""
        return self._say("dwell", item=item, value=seconds)

    def purchase(self, item: str, value: float | None = None) -> str:
        """The user bought an item, for so much."""
        return self._say("purchase", item=item, value=value)

    def _say(
        self,
        kind: str,
        *,
        item: str | None = None,
        value: float | None = None,
        payload: Mapping[str, Any] | None = None,
    ) -> str:
        named = self.answer.prediction
        return self.tell(kind, self.user, item=item, value=value, prediction=named, payload=payload)

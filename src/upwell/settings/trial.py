"""How a challenger is tried on users before it may serve all of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from upwell.settings.section import Count, Positive, Section

Open = Annotated[float, Field(gt=0.0, lt=1.0)]
Mode = Literal["off", "canary", "ab", "epsilon", "thompson"]
DAILY: tuple[Mode, ...] = ("epsilon", "thompson")
"""Modes that draw the version of a user anew every day; the others draw it once."""


class TrialSettings(Section):
    """Whether a challenger that passed the gate is first tried on some of the users.

    Mode off: it serves all at once. canary, ab: a user meets one version throughout. epsilon,
    thompson: drawn for each user and day, more often the version that did better.
    """

    mode: Mode = "off"
    share: Open | None = None
    """Users who meet the challenger; not set: 10 % (canary), half (ab). Of epsilon: its ε, 10 %."""
    floor: Annotated[float, Field(gt=0.0, le=0.5)] = 0.05
    """thompson gives no version less than this, so that both can always be compared."""
    alpha: Open = 0.05
    power: Open = 0.8
    effect: Positive = 0.05
    """The least gain that matters, in mean reward of a user (from −1 to +1)."""
    margin: Annotated[float, Field(ge=0.0)] = 0.0
    """A loss that does not matter: 0 promotes what is better, more what is not worse by that."""
    minimum: Count = 50
    """Users that each version needs before anything is decided."""
    window_days: Annotated[float, Field(ge=0.0)] = 1.0
    """Time after a user's first answer in which their reactions count."""
    longest_days: Positive = 30.0
    """A trial that has not decided by then ends, and the champion stays."""
    ask_both: bool = False
    """Ask both versions, to log what is shown with its probability over both; twice the work."""

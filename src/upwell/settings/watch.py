"""When turns run by themselves."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from upwell.settings.section import Count, Positive, Section

Amount = Annotated[float, Field(ge=0.0)]


class WatchSettings(Section):
    """When `upwell watch` begins a turn. A trigger of 0 never begins one."""

    feedback: Annotated[int, Field(ge=0)] = 1000
    """New events that can teach (feedback and labels) since the last turn began."""
    hours: Amount = 24.0
    """Hours since the last turn began, if anything new has come."""
    drift: Amount = 0.25
    """How far what users say has moved since the last turn: population stability index."""
    drift_minimum: Count = 200
    """Fewer events on either side of the last turn say nothing of drift."""
    guards: bool = True
    """Whether a guard that the serving model fails begins a turn."""
    rest_minutes: Amount = 60.0
    """Minutes between the beginnings of two turns at least, whatever asks for one."""
    every_seconds: Positive = 60.0
    """Seconds between two looks."""
    retry_seconds: Positive = 30.0
    """Wait after the first failure; it doubles with each one in a row."""
    retry_most_seconds: Positive = 3600.0
    """The longest wait after a failure."""
    give_up: Count = 5
    """Failures of one turn after which it is closed as failed."""

"""When a challenger may serve."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from upwell.settings.section import Count, Section


class GateSettings(Section):
    """When a challenger may serve: lower bound of its gain above −margin, slices likewise."""

    margin: Annotated[float, Field(ge=0.0)] = 0.002
    slice_margin: Annotated[float, Field(ge=0.0)] = 0.02
    slice_minimum: Count = 50
    user_minimum: Count = 10
    """Fewer judged users than this decide nothing: an interval over them would not hold."""
    rows_per_user: Count = 20
    """Judged rows of one user at most, spread evenly over time: more say little more about them."""
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    resamples: Count = 2000

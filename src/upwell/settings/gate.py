"""When a challenger may serve."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from upwell.settings.section import Count, Positive, Section

Level = Annotated[float, Field(gt=0.0, lt=0.5)]
Margin = Annotated[float, Field(ge=0.0)]


class GateSettings(Section):
    """When a challenger may serve: once its gain is shown and no user group is shown to lose."""

    promote: Literal["better", "not_worse"] = "better"
    """``better``: the gain's lower bound is above 0, at the level that this look may spend.
    ``not_worse``: the interval's lower bound is above −margin and the gain itself above 0."""
    metric: str = ""
    """The mark that decides, one of those that the task gives; empty: the task's own choice."""
    alpha: Level = 0.05
    """Chance that the loop ever promotes what is no better, however often it looks."""
    margin: Margin = 0.002
    seek: Positive = 0.01
    """A gain worth finding: reports tell how many users the test lacks to show one this large."""
    tests: Count = 2
    """Parts of the frozen test; one decides while the others stay sealed until it is worn out."""
    test_minimum: Count = 1000
    """Users that each part must hold, else the frozen test stays whole."""
    looks_per_test: Count = 20
    """Looks after which the next sealed part decides."""
    drift_margin: Margin = 0.005
    """Loss against a version that was promoted long before at which small steps are stopped."""
    slice_margin: Margin = 0.02
    """A group that loses less than this is not harmed in a way that matters."""
    slice_alpha: Level = 0.05
    """Chance that a model which harms no group is held back because one seems to lose."""
    slice_minimum: Count = 50
    """Groups of fewer users are neither shown nor decided on."""
    clusters: Annotated[int, Field(ge=0, le=20)] = 6
    """Groups of users who behave alike, found beside those of the column; 0 finds none."""
    user_minimum: Count = 10
    """Fewer judged users than this decide nothing: an interval over them would not hold."""
    rows_per_user: Count = 20
    """Judged rows of one user at most, spread evenly over time: more say little more about them."""
    replace_broken: bool = False
    """Whether a challenger may replace what serves where that no longer loads: judged against its
    answers where they are known, else as the first. If not, every turn holds until a rollback."""
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.95
    resamples: Count = 2000

"""What is learned, where data lie, and what users' signals mean and weigh."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from upwell.settings.section import Count, Positive, Section, Share


class ProjectSettings(Section):
    """What is learned."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] = "upwell"
    task: str = "recommend"


class DataSettings(Section):
    """Where data lie. Relative paths are relative to the folder of ``upwell.toml``."""

    journal: str = "sqlite:///data/journal.db"
    """Or ``postgresql+psycopg://USER@HOST/DATABASE``; a password belongs in the environment, as
    part of the address in ``UPWELL_DATA__JOURNAL``."""
    folder: Path = Path("data")
    label_sources: tuple[str, ...] = ()
    """Sources whose events are labels (D); events of every other source are feedback (F)."""


class FeedbackRule(Section):
    """How one kind of event becomes a signal: value ≥ ``good`` is +1, value ≤ ``bad`` is −1.

    A value below ``low`` or above ``high`` is out of scale and says nothing.
    """

    reads: str = ""
    """The feedback plugin; empty: the one named like the kind of event."""
    good: float | None = None
    bad: float | None = None
    low: float | None = None
    high: float | None = None
    around: Literal["auto", "scale", "user"] = "auto"
    """Where ratings are measured from: the scale's 0, or the user's own mean, from which `good`
    and `bad` are then distances (+0.5 and −0.5). `auto` is `user` for ratings of what a chat said,
    where neither is set, else `scale`."""
    weight: Positive = 1.0


class BehaviourSettings(Section):
    """Point-in-time features of users."""

    half_life_days: Positive = 7.0
    history: Count = 1000
    """Events of a user that an answer knows of, the latest ones."""
    attribution_days: Positive = 7.0
    group: str = ""
    """Column of the facts about users that slices are made by; empty: no slices."""


class TrustSettings(Section):
    """How far each signal is believed. Whatever is doubted keeps its reason."""

    about: Literal["answers", "everything", "nothing"] = "answers"
    """What is doubted: signals about answers, those about items as well, or none at all."""
    per_second: Count = 5
    per_minute: Count = 60
    """Signals of one user that a hand can give; more within that time do not count."""
    identical: Count = 100
    """Signals of one sign from a user who knows no other, beyond which they share this weight."""
    cap: Count = 500
    """Signals of one user that count in a turn, spread evenly over time."""
    pushed: Count = 10
    """Signals of one user for (or against) one item or answer, beyond which they share this weight
    where others give no reason to expect as many."""
    crowds: Literal["off", "doubt"] = "doubt"
    """Whether accounts that act together (young ones that gather, ones that act alike) count."""
    triggers: Literal["off", "doubt"] = "doubt"
    """Whether rows count whose answer hangs on a rare sequence of words against all else said."""
    reliability: Literal["off", "estimate"] = "estimate"
    """Whether users' own reliability is estimated, where answers were served with scores."""
    position: Literal["off", "estimate"] = "off"
    """Whether a yes to an item counts more the less its place in the list is looked at."""
    selection: Literal["off", "estimate"] = "off"
    """Whether a signal counts more the less such answers get any."""
    implied: bool = True
    """Whether conversations tell by how they go on: asking again or otherwise, leaving."""
    maturity_days: dict[str, Positive] = Field(default_factory=dict)
    """Kinds of outcome and the days after which their absence is a no: { purchase = 14 }."""


class AugmentSettings(Section):
    """Variants of the texts of scarce answers, to learn from alone."""

    below: Annotated[int, Field(ge=0)] = 0
    """Answers with fewer rows get variants up to this number; 0 makes none."""
    change: Annotated[float, Field(gt=0.0, le=0.5)] = 0.1
    """Share of the words that a variant swaps or leaves out."""
    back_translation: tuple[()] | tuple[str, str] = ()
    """Two translation models (folders or Hugging Face ids): there and back. A text's first variant
    is then what they make of it."""
    seed: int = 0


class SplitSettings(Section):
    """How rows are divided. The frozen test begins at ``frozen_from``, else at its share."""

    frozen_from: AwareDatetime | None = None
    frozen_until: AwareDatetime | None = None
    test_share: Share = 0.1
    validation_share: Share = 0.1
    disjoint: Literal["auto", "time", "users", "inputs"] = "auto"
    """What no two parts share. ``auto``: inputs for tasks about answers unless ``frozen_from`` is
    set, else time. Whatever it is, no answer is learned to an input that the test asks."""
    seed: int = 0
    """Decides what is in which part where parts are disjoint in users or inputs."""

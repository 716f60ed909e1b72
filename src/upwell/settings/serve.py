"""How answers are given."""

from __future__ import annotations

from upwell.settings.section import Count, Section, Share


class ServeSettings(Section):
    """How answers are given. ``explore`` is the share of answers chosen at random."""

    k: Count = 10
    explore: Share = 0.0
    abstain: Share = 0.0
    """Answers less probable than this are not given; says "not sure" instead."""

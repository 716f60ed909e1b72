"""Skips: a no."""

from __future__ import annotations

import pyarrow as pa

from upwell.feedback._say import always, signals_of, toy_of
from upwell.settings import FeedbackRule

DEFAULT = FeedbackRule()


def toy() -> pa.Table:
    """Two skips."""
    return toy_of("skip", [(None, {}, -1), (9.5, {}, -1)])


def signals(events: pa.Table, rule: FeedbackRule) -> pa.Table:
    """−1 for every event.

    >>> signals(toy(), DEFAULT)["sign"].to_pylist()
    [-1, -1]
    """
    return signals_of(events, always(events, -1), rule)

"""Asking the same in other words: a weak no to the answer before."""

from __future__ import annotations

import pyarrow as pa

from upwell.feedback._say import always, signals_of, toy_of
from upwell.settings import FeedbackRule

DEFAULT = FeedbackRule(weight=0.25)


def toy() -> pa.Table:
    """Two events."""
    return toy_of("rephrase", [(None, {}, -1), (1.0, {}, -1)])


def signals(events: pa.Table, rule: FeedbackRule) -> pa.Table:
    """−1 for every event.

    >>> signals(toy(), DEFAULT)["sign"].to_pylist()
    [-1, -1]
    """
    return signals_of(events, always(events, -1), rule)

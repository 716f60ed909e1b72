"""Dwell: long attention is a yes, leaving at once a no. Seconds; negative ones say nothing."""

from __future__ import annotations

import pyarrow as pa

from upwell.feedback._say import by_value, signals_of, toy_of
from upwell.settings import FeedbackRule

DEFAULT = FeedbackRule(good=30.0, bad=3.0, low=0.0)


def toy() -> pa.Table:
    """Long, short, middling and impossible stays."""
    values = {30.0: 1, 3600.0: 1, 10.0: None, 3.0: -1, 0.0: -1, -1.0: None, None: None}
    return toy_of("dwell", [(value, {}, sign) for value, sign in values.items()])


def signals(events: pa.Table, rule: FeedbackRule) -> pa.Table:
    """+1 from ``good`` seconds, −1 up to ``bad`` seconds.

    >>> signals(toy(), DEFAULT)["sign"].to_pylist()
    [1, 1, -1, -1]
    """
    return signals_of(events, by_value(events, rule), rule)

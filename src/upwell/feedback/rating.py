"""Ratings: many stars are a yes, few a no, those between say nothing.

The scale is 1 to 5 unless the rule says otherwise; a rating out of scale says nothing.
"""

from __future__ import annotations

import pyarrow as pa

from upwell.feedback._say import by_value, signals_of, toy_of
from upwell.settings import FeedbackRule

DEFAULT = FeedbackRule(good=4.0, bad=2.0, low=1.0, high=5.0)


def toy() -> pa.Table:
    """Ratings on, between and beyond the thresholds, and out of scale."""
    values = {5.0: 1, 4.0: 1, 3.0: None, 2.0: -1, 1.0: -1, 11.0: None, 0.0: None, None: None}
    return toy_of("rating", [(value, {}, sign) for value, sign in values.items()])


def signals(events: pa.Table, rule: FeedbackRule) -> pa.Table:
    """+1 from ``good`` stars, −1 up to ``bad`` stars.

    >>> signals(toy(), DEFAULT)["sign"].to_pylist()
    [1, 1, -1, -1]
    """
    return signals_of(events, by_value(events, rule), rule)

"""Thumbs: up is a yes, down a no.

Down is −1, or 0 where a product sends true and false. A product whose 0 means "taken back" sets
``bad = -1`` in its rule. Anything between or beyond says nothing.
"""

from __future__ import annotations

import pyarrow as pa

from upwell.feedback._say import by_value, signals_of, toy_of
from upwell.settings import FeedbackRule

DEFAULT = FeedbackRule(good=1.0, bad=0.0, low=-1.0, high=1.0)


def toy() -> pa.Table:
    """Up, down, true, false, and what is neither."""
    values = {1.0: 1, -1.0: -1, float(False): -1, 0.5: None, 2.0: None, None: None}
    return toy_of("thumbs", [(value, {}, sign) for value, sign in values.items()])


def signals(events: pa.Table, rule: FeedbackRule) -> pa.Table:
    """+1 for up, −1 for down.

    >>> signals(toy(), DEFAULT)["sign"].to_pylist()
    [1, -1, -1]
    """
    return signals_of(events, by_value(events, rule), rule)

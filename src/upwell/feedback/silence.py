"""Silence: nothing came of what was shown in the time that ``trust.maturity_days`` allows; a no.

It weighs less than a no that somebody said, unless the rule says otherwise.
"""

from __future__ import annotations

import pyarrow as pa

from upwell.feedback._say import always, signals_of, toy_of
from upwell.settings import FeedbackRule

DEFAULT = FeedbackRule(weight=0.25)


def toy() -> pa.Table:
    """Two silences."""
    return toy_of("silence", [(None, {"awaited": "purchase"}, -1), (None, {}, -1)])


def signals(events: pa.Table, rule: FeedbackRule) -> pa.Table:
    """−1 for every event.

    >>> signals(toy(), DEFAULT)["sign"].to_pylist()
    [-1, -1]
    """
    return signals_of(events, always(events, -1), rule)

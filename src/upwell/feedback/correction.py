"""Corrections: a no to what was shown, with what it should have been.

The payload's ``correction`` is the right answer: text, or any other value, which is kept as JSON.
A correction that is missing or blank says nothing.
"""

from __future__ import annotations

import json

import pyarrow as pa
from pyarrow import compute as pc

from upwell.feedback._say import signals_of, toy_of
from upwell.settings import FeedbackRule
from upwell.tables import canonical_json

DEFAULT = FeedbackRule()


def toy() -> pa.Table:
    """A text, a number, a blank and a missing correction."""
    payloads = {"Paris": -1, 4.5: -1, " ": None, None: None}
    rows = [(None, {"correction": said}, sign) for said, sign in payloads.items()]
    return toy_of("correction", [*rows, (None, {}, None)])


def signals(events: pa.Table, rule: FeedbackRule) -> pa.Table:
    """−1 with the ``correction`` of the payload.

    >>> signals(toy(), DEFAULT).select(["sign", "correction"]).to_pylist()
    [{'sign': -1, 'correction': 'Paris'}, {'sign': -1, 'correction': '4.5'}]
    """
    said = pa.chunked_array(
        [[_correction(text) for text in events["payload"].to_pylist()]], pa.string()
    )
    sign = pc.if_else(pc.is_valid(said), -1, pa.scalar(None, pa.int64()))
    return signals_of(events, sign, rule, said)


def _correction(payload: str) -> str | None:
    said = json.loads(payload).get("correction")
    text = said if isinstance(said, str) else canonical_json(said)
    return None if said is None or not text.strip() else text

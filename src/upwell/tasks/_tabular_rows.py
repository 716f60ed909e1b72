"""Which rows a table can be learned from."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from upwell.tasks import _columns

MOST_CLASSES = 20
"""Whole numbers with more distinct values than this are a number to tell, not classes."""


def readable(rows: pa.Table) -> pa.Array:
    """(n,) booleans: the input is a JSON object, and the target says something.

    A blank target and one that is no number (nan, inf) say nothing; nor does a text where a number
    is told.

    >>> rows = pa.table({"input": ['{"a":1}', "a"], "target": ["yes", "yes"]})
    >>> readable(rows).to_pylist()
    [True, False]
    """
    targets = rows["target"].to_pylist()
    values = np.array([_columns.number(one) for one in targets], np.float64)
    finite = np.isfinite(values)
    told = finite.copy()
    distinct = np.unique(values[finite])
    many = len(distinct) > MOST_CLASSES or bool((distinct != np.round(distinct)).any())
    if not many or finite.mean() < _columns.MOSTLY:
        told |= np.array([bool(one.strip()) and not _is_no_number(one) for one in targets], bool)
    objects = np.array([_is_object(text) for text in rows["input"].to_pylist()], bool)
    return pa.array(told & objects)


def _is_no_number(text: str) -> bool:
    """Whether a text is a number that is none: nan or an infinity."""
    try:
        return not np.isfinite(float(text))
    except ValueError:
        return False


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False

"""What a check of the gate says: a word key, a verdict, and the numbers that fill its sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeAlias

from upwell.records import Json, Metric

Reason: TypeAlias = Mapping[str, Json]
VERDICTS = ("note", "promote", "hold", "reject")
"""From the mildest to the strictest; a note decides nothing."""


def reason(
    check: str,
    verdict: str,
    number: float | None = None,
    threshold: float | None = None,
    word: Json = "",
    **numbers: Json,
) -> Reason:
    """A reason: ``number`` is what was measured and ``threshold`` what it is held against.

    Its word key is ``gate.<check>.<verdict>``, or ends with ``word`` where that is given.

    >>> reason("users", "hold", 3, 10)["key"]
    'gate.users.hold'
    """
    measured = None if number is None or math.isnan(number) else number
    told = {"check": check, "verdict": verdict, "number": measured, "threshold": threshold}
    return {"key": f"gate.{check}.{word or verdict}", **told, **numbers}


def bounds(metric: Metric) -> tuple[float, float, float]:
    """Gain, low and high; what was not measured is not a number and fails every comparison."""
    gain, low, high = (
        math.nan if number is None else number for number in (metric.gain, metric.low, metric.high)
    )
    return gain, low, high


def numbers_of(told: Json) -> Mapping[str, Json]:
    """A mapping of a report's guards; an empty one where there is none."""
    return told if isinstance(told, Mapping) else {}


def number_of(told: Json) -> float:
    """A number of a report's guards; not a number where there is none."""
    return float(told) if isinstance(told, int | float) else math.nan

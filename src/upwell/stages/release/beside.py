"""Checks of the gate beside the deciding gain: guards, logs, slow drift, and the test itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from upwell.records import Json, Report
from upwell.settings import GateSettings
from upwell.stages.release.reasons import VERDICTS, Reason, number_of, numbers_of, reason
from upwell.stages.release.tainted import is_tainted


def sealed(report: Report, settings: GateSettings) -> Iterator[Reason]:
    """A note on which part of the frozen test decided, and how often each has been looked at."""
    told = numbers_of(numbers_of(report.guards.get("proof")).get("sealed"))
    looks = told.get("looks")
    if not isinstance(looks, Sequence) or isinstance(looks, str):
        return
    counts = [int(number_of(count)) for count in looks]
    part, parts = int(number_of(told.get("part"))), len(counts)
    numbers: dict[str, Json] = {"part": part + 1, "parts": parts}
    numbers["looks"] = ", ".join(map(str, counts))
    now, limit = counts[part], settings.looks_per_test
    if parts == 1:
        needed = settings.tests * settings.test_minimum
        numbers |= {"users": report.guards.get("users", 0), "needed": needed}
    word = "whole" if parts == 1 else "worn" if now > limit else ""
    yield reason("sealed", "note", now, limit, word, **numbers)


def guards(report: Report) -> Iterator[Reason]:
    """One reason for each guard: fine, crossed (with the verdict that it carries), not measured."""
    for name, told in numbers_of(report.guards.get("watched")).items():
        entry = numbers_of(told)
        value, threshold = number_of(entry.get("value")), number_of(entry.get("threshold"))
        numbers = {key: what for key, what in entry.items() if key not in _OWN}
        verdict, word = "promote", ""
        if math.isnan(value):
            verdict, word = "note", "unmeasured"
        elif _crossed(entry, value, threshold):
            carried = str(entry.get("verdict"))
            verdict = carried if carried in VERDICTS else "hold"
        says = str(entry.get("why") or f"guard.{name}")
        yield reason("guards", verdict, value, threshold, word, guard=name, says=says, **numbers)


_OWN = ("threshold", "verdict", "key", "check", "number", "guard", "says", "why", "word")
"""Names that the reason itself uses."""


def off_policy(report: Report) -> Iterator[Reason]:
    """What logged answers say of the gain; a refusal is noted with its reason."""
    told = report.ope
    if not told:
        return
    if told.get("refused"):
        why = numbers_of(told.get("numbers"))
        yield reason("ope", "note", None, None, says=str(told["refused"]), **why)
        return
    gain, basis = numbers_of(told.get("gain")), {name: told.get(name) for name in _BASIS}
    if not gain:
        alone = {**numbers_of(told.get("challenger")), **basis}
        yield reason("ope", "note", None, None, "alone", says="ope.told.value", **alone)
        return
    value, low, high = (number_of(gain.get(name)) for name in ("value", "low", "high"))
    numbers: dict[str, Json] = {"gain": value, "low": low, "high": high, **basis}
    verdict = "hold" if high < 0.0 else "promote"
    yield reason("ope", verdict, high, 0.0, **numbers)


_BASIS = ("estimator", "n", "ess")
"""What an estimate from logs stands on."""


def cumulative(report: Report) -> Iterator[Reason]:
    """The gain over the version that many small steps began at.

    A note where the gain over what serves is shown, or where that is tainted: then serving on
    what serves would be worse still.
    """
    told = numbers_of(report.guards.get("cumulative"))
    if not told:
        return
    gain, low, high = (number_of(told.get(name)) for name in ("gain", "low", "high"))
    threshold = number_of(told.get("threshold"))
    verdict = "promote" if gain > -threshold else "hold"
    if high < 0.0:
        verdict = "reject"
    is_proved = number_of(numbers_of(report.guards.get("proof")).get("bound")) > 0.0
    if verdict != "promote" and (is_proved or is_tainted(report)):
        verdict = "note"
    numbers: dict[str, Json] = {"gain": gain, "low": low, "high": high}
    anchor = told.get("anchor", "")
    yield reason("cumulative", verdict, gain, -threshold, anchor=anchor, **numbers)


def _crossed(entry: Mapping[str, Json], value: float, threshold: float) -> bool:
    """As the guard itself says, else by its threshold and the side that is worse."""
    if "crossed" in entry:
        return bool(entry["crossed"])
    return value < threshold if entry.get("worse") == "below" else value > threshold

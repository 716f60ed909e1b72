"""Guards beside the main metric: what each found, as the entries of ``report.guards["watched"]``.

An entry has ``value``, ``threshold``, ``worse`` (always ``above``: every value is made so that
larger is worse), ``verdict`` (what crossing it does), ``crossed``, and the numbers that its
sentence ``guard.<name>`` tells. A guard crosses when its value is above its threshold *and*
chance does not explain it; with chance alone, ``crossed`` is false however large the value. What
could not be measured has ``value`` null and ``why``, a word key.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from upwell.records import Json
from upwell.settings import GuardSettings


@dataclass(frozen=True, slots=True)
class Finding:
    """What a guard measured; larger is worse. ``sure``: more than chance explains.

    A ``value`` of None was not measured, and ``why`` is the word key that says why not.
    """

    value: float | None
    sure: bool = True
    told: Mapping[str, Json] = field(default_factory=dict)
    why: str = ""


def unmeasured(why: str, **told: Json) -> Finding:
    """A guard that could not be measured, with the word key that says why."""
    return Finding(None, False, told, f"guard.why.{why}")


def watched(found: Mapping[str, Finding], settings: GuardSettings) -> dict[str, Mapping[str, Json]]:
    """Entries of all guards that are not ``off``, in the order of the settings.

    >>> found = {"drift": Finding(0.5), "length": unmeasured("closed")}
    >>> [(name, one["crossed"]) for name, one in watched(found, GuardSettings()).items()]
    [('length', False), ('drift', True)]
    """
    order = [name for name in type(settings).model_fields if name in found]
    return {name: entry(name, found[name], settings) for name in order if name not in settings.off}


def entry(name: str, found: Finding, settings: GuardSettings) -> Mapping[str, Json]:
    """The entry of one guard. A value that is not a number is one that was not measured."""
    threshold = float(getattr(settings, name))
    value, why = found.value, found.why
    if value is not None and not math.isfinite(value):
        value, why = None, "guard.why.not_finite"
    plain: dict[str, Json] = {
        "value": value,
        "threshold": threshold,
        "worse": "above",
        "verdict": settings.verdict(name),
        "crossed": value is not None and found.sure and value > threshold,
    }
    told = {key: number for key, number in found.told.items() if _tellable(number)}
    return {**told, **plain, **({"why": why} if value is None else {})}


def _tellable(number: Json) -> bool:
    """Whether JSON knows it: a number that is finite, or anything else."""
    return not isinstance(number, float) or math.isfinite(number)

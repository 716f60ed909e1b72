"""Checks of the gate on what was measured: is it whole, current, enough, and better?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from upwell.records import Json, Metric, Report
from upwell.settings import GateSettings
from upwell.stages.release.reasons import Reason, bounds, number_of, numbers_of, reason


def finite(report: Report) -> Reason:
    """Every number of the report is one."""
    measured = [*report.metrics, *(entry for part in report.slices.values() for entry in part)]
    broken = sorted({metric.name for metric in measured if not _is_finite(metric)})
    if broken:
        return reason("finite", "reject", len(broken), 0, metrics=", ".join(broken))
    return reason("finite", "promote", 0, 0, count=len(measured))


def first(report: Report) -> Reason:
    """Nothing serves yet."""
    main = report.metrics[0]
    return reason("first", "promote", metric=main.name, value=main.value, users=main.n)


def current(report: Report, champion: str | None) -> Reason:
    """The champion that was measured against serves still."""
    verdict = "promote" if report.champion == champion else "hold"
    return reason("current", verdict, measured=report.champion or "–", serving=champion or "–")


def users(report: Report, settings: GateSettings) -> Reason:
    """Enough users were judged for an interval over them to hold."""
    judged, minimum = report.metrics[0].n, settings.user_minimum
    verdict = "promote" if judged >= minimum else "hold"
    more = max(0, minimum - judged)
    return reason("users", verdict, judged, minimum, users=judged, minimum=minimum, more=more)


def shown(report: Report, settings: GateSettings) -> Iterator[Reason]:
    """The gain is shown as the settings ask, with notes on how, and on what is missing."""
    main = report.metrics[0]
    if settings.promote == "better":
        proved = numbers_of(report.guards.get("proof"))
        yield _better(main, proved)
        yield from _test(proved)
    else:
        yield _not_worse(main, settings)
        yield _estimate(main)
    yield from _missing(report)


def baselines(report: Report) -> Iterator[Reason]:
    """A note for each baseline whose deciding metric is at least the challenger's."""
    main = report.metrics[0].name
    for metric in report.metrics:
        opponent = metric.name.removeprefix(f"{main}[").removesuffix("]")
        if metric.name != f"{main}[{opponent}]" or opponent == "champion":
            continue
        gain, low, high = bounds(metric)
        if not gain > 0.0:
            told: dict[str, Json] = {"gain": gain, "low": low, "high": high}
            yield reason("baseline", "note", gain, 0.0, baseline=opponent, **told)


def _is_finite(metric: Metric) -> bool:
    numbers = (metric.value, metric.gain, metric.low, metric.high)
    return all(math.isfinite(number) for number in numbers if number is not None)


def _better(main: Metric, proved: Mapping[str, Json]) -> Reason:
    gain, low, high = bounds(main)
    bound, alpha, p = (number_of(proved.get(name)) for name in ("bound", "alpha", "p"))
    verdict = "promote" if bound > 0.0 else "hold"
    word = "untold" if math.isnan(bound) else ""
    if high < 0.0:
        verdict, word = "reject", ""
    told: dict[str, Json] = {"gain": gain, "low": low, "high": high, "alpha": alpha, "p": p}
    look = proved.get("look", 0)
    number = None if math.isnan(bound) else bound
    return reason(
        "better", verdict, number, 0.0, word, metric=main.name, bound=number, look=look, **told
    )


def _test(proved: Mapping[str, Json]) -> Iterator[Reason]:
    """A note on the test that decided: whether rows, or users, are its cases."""
    tests = numbers_of(proved.get("tests"))
    mcnemar, flips = numbers_of(tests.get("mcnemar")), numbers_of(tests.get("permutation"))
    if not flips:
        return
    p, alpha = number_of(proved.get("p")), number_of(proved.get("alpha"))
    if proved.get("decides") == "mcnemar":
        counts = {name: mcnemar.get(name) for name in ("better", "worse")}
        yield reason("test", "note", p, alpha, "mcnemar", p=p, **counts)
    else:
        word = "clustered" if mcnemar else "permutation"
        yield reason("test", "note", p, alpha, word, p=p, users=flips.get("users"))


def _not_worse(main: Metric, settings: GateSettings) -> Reason:
    gain, low, high = bounds(main)
    verdict = "promote" if low > -settings.margin else "hold"
    if high < 0.0:
        verdict = "reject"
    told: dict[str, Json] = {"gain": gain, "low": low, "high": high, "margin": settings.margin}
    return reason("gain", verdict, low, -settings.margin, metric=main.name, **told)


def _estimate(main: Metric) -> Reason:
    gain, _, _ = bounds(main)
    verdict = "promote" if gain > 0.0 else "hold"
    return reason("estimate", verdict, gain, 0.0, metric=main.name, gain=gain)


def _missing(report: Report) -> Iterator[Reason]:
    """A note on how many more users would settle it, where some are missing."""
    more = numbers_of(report.guards.get("more_users"))
    if more.get("users"):
        yield reason("missing", "note", users=more["users"], gain=more["gain"])

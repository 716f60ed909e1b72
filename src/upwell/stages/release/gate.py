"""The gate: may this challenger serve? A pure function of a Report and the settings.

Checks run in a fixed order and all of them are told, each with its numbers and its verdict;
the strictest verdict is the act (reject over hold over promote; a note decides nothing):

1. ``finite``: every measured number is finite, else reject.
2. ``first``: without a champion the rest has nothing to compare: promote.
3. ``current``: the champion measured against is the one that serves now, else hold.
4. ``users``: at least ``user_minimum`` users were judged, else hold.
5. ``gain``: upper bound of the deciding metric's gain < 0 → reject; lower bound ≤ −margin →
   hold; otherwise it is not worse.
   A note ``missing`` says how many more users would show a gain of the margin's size.
6. ``estimate``: the gain itself is above 0, else hold (not worse is not yet a reason to change).
7. ``slices``: a user group (of ``slice_minimum`` users or more) whose gain is below
   −slice_margin → hold, and → reject where its upper bound is below 0 too. The estimate decides,
   not the lower bound: that of a small group nearly always reaches below any useful margin.
8. ``baseline``: a note for each baseline that the challenger does not beat.

The interval is two-sided (``confidence``), so each bound errs half as often as its complement.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime

from upwell.records import Decision, Json, Metric, Report
from upwell.settings import GateSettings

Reason = Mapping[str, Json]
_SEVERITY = ("note", "promote", "hold", "reject")


def decide(
    report: Report,
    settings: GateSettings,
    *,
    id: str,
    task: str,
    at: datetime,
    champion: str | None,
) -> Decision:
    """The Decision on the report's challenger; ``champion`` is what serves at this moment.

    Each reason has ``key`` (``gate.<check>.<verdict>``, a word key), ``verdict`` and the numbers
    that fill its sentence (see ``release.explain``).
    """
    reasons = tuple(_checks(report, settings, champion))
    act = max((str(reason["verdict"]) for reason in reasons), key=_SEVERITY.index)
    return Decision(id=id, model=report.challenger, task=task, at=at, act=act, reasons=reasons)


def _checks(report: Report, settings: GateSettings, champion: str | None) -> Iterator[Reason]:
    main = report.metrics[0]
    yield _finite(report)
    if report.champion is None and champion is None:
        yield _reason("first", "promote", metric=main.name, value=main.value, users=main.n)
    else:
        yield _current(report, champion)
    if report.champion is not None:
        yield _users(main, settings)
        yield _gain(main, settings)
        yield from _missing(report)
        yield _estimate(main)
        yield from _slices(report, settings)
    yield from _baselines(report)


def _reason(check: str, verdict: str, **numbers: Json) -> Reason:
    return {"key": f"gate.{check}.{verdict}", "verdict": verdict, **numbers}


def _finite(report: Report) -> Reason:
    measured = [*report.metrics, *(entry for part in report.slices.values() for entry in part)]
    broken = sorted({metric.name for metric in measured if not _is_finite(metric)})
    if broken:
        return _reason("finite", "reject", metrics=", ".join(broken))
    return _reason("finite", "promote", count=len(measured))


def _is_finite(metric: Metric) -> bool:
    numbers = (metric.value, metric.gain, metric.low, metric.high)
    return all(math.isfinite(number) for number in numbers if number is not None)


def _current(report: Report, champion: str | None) -> Reason:
    verdict = "promote" if report.champion == champion else "hold"
    return _reason("current", verdict, measured=report.champion or "–", serving=champion or "–")


def _users(main: Metric, settings: GateSettings) -> Reason:
    verdict = "promote" if main.n >= settings.user_minimum else "hold"
    return _reason("users", verdict, users=main.n, minimum=settings.user_minimum)


def _gain(main: Metric, settings: GateSettings) -> Reason:
    gain, low, high = _bounds(main)
    verdict = "promote" if low > -settings.margin else "hold"
    if high < 0.0:
        verdict = "reject"
    bounds: dict[str, Json] = {"gain": gain, "low": low, "high": high}
    return _reason("gain", verdict, metric=main.name, margin=settings.margin, **bounds)


def _missing(report: Report) -> Iterator[Reason]:
    """A note on how many more users would settle it, where some are missing."""
    more = report.guards.get("more_users")
    if isinstance(more, Mapping) and more["users"]:
        yield _reason("missing", "note", users=more["users"], gain=more["gain"])


def _estimate(main: Metric) -> Reason:
    gain, _, _ = _bounds(main)
    verdict = "promote" if gain > 0.0 else "hold"
    return _reason("estimate", verdict, metric=main.name, gain=gain, threshold=0.0)


def _slices(report: Report, settings: GateSettings) -> Iterator[Reason]:
    """One reason for each group at risk, or one that none is."""
    main = report.metrics[0].name
    groups = {
        group: metric
        for group, found in report.slices.items()
        for metric in found
        if metric.name == main and metric.n >= settings.slice_minimum
    }
    at_risk = 0
    for group, metric in groups.items():
        gain, low, high = _bounds(metric)
        if gain < -settings.slice_margin:
            at_risk += 1
            numbers: dict[str, Json] = {"gain": gain, "low": low, "high": high, "users": metric.n}
            verdict = "reject" if high < 0.0 else "hold"
            margin = settings.slice_margin
            yield _reason("slices", verdict, group=group, metric=main, margin=margin, **numbers)
    if not at_risk:
        yield _reason("slices", "promote", groups=len(groups), margin=settings.slice_margin)


def _baselines(report: Report) -> Iterator[Reason]:
    """A note for each baseline whose deciding metric is at least the challenger's."""
    main = report.metrics[0].name
    for metric in report.metrics:
        opponent = metric.name.removeprefix(f"{main}[").removesuffix("]")
        if metric.name != f"{main}[{opponent}]" or opponent == "champion":
            continue
        gain, low, high = _bounds(metric)
        if not gain > 0.0:
            yield _reason("baseline", "note", baseline=opponent, gain=gain, low=low, high=high)


def _bounds(metric: Metric) -> tuple[float, float, float]:
    """Gain, low and high; what was not measured is not a number and fails every comparison."""
    gain, low, high = (
        math.nan if number is None else number for number in (metric.gain, metric.low, metric.high)
    )
    return gain, low, high

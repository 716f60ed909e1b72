"""The gate's check on user groups: nobody who can be told apart is shown to lose."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from upwell.records import Json, Metric, Report
from upwell.settings import GateSettings
from upwell.stages.release.reasons import Reason, bounds, number_of, numbers_of, reason


def slices(report: Report, settings: GateSettings) -> Iterator[Reason]:
    """One reason for each group that loses beyond the margin, or one that none is shown to."""
    known = numbers_of(report.guards.get("slices"))
    groups = _groups(report, settings)
    told = [
        _losing(group, metric, numbers_of(known.get(group)), settings)
        for group, metric in groups.items()
        if bounds(metric)[0] < -settings.slice_margin
    ]
    if all(one["verdict"] == "note" for one in told):
        margin, count = settings.slice_margin, len(groups)
        worst = min((bounds(metric)[0] for metric in groups.values()), default=None)
        yield reason("slices", "promote", worst, -margin, groups=count, margin=margin)
    yield from told


def adapters(report: Report) -> Iterator[Reason]:
    """A note for each group for which an adapter of its own was tried or asked for."""
    for group, told in numbers_of(report.guards.get("groups")).items():
        entry = {name: what for name, what in numbers_of(told).items() if name != "act"}
        act = str(numbers_of(told).get("act"))
        yield reason("adapters", "note", None, None, act, group=group, **entry)


def _groups(report: Report, settings: GateSettings) -> dict[str, Metric]:
    """The deciding metric of each group that is large enough."""
    main = report.metrics[0].name
    return {
        group: metric
        for group, found in report.slices.items()
        for metric in found
        if metric.name == main and metric.n >= settings.slice_minimum
    }


def _losing(
    group: str, metric: Metric, known: Mapping[str, Json], settings: GateSettings
) -> Reason:
    """Where the p of a report is missing, the interval says whether the loss is shown."""
    gain, low, high = bounds(metric)
    holm = number_of(known.get("holm"))
    is_shown = high < 0.0 if math.isnan(holm) else holm <= settings.slice_alpha
    verdict = "note"
    if is_shown:
        verdict = "reject" if high < -settings.slice_margin else "hold"
    traits = known.get("traits")
    named = ", ".join(map(str, traits)) if isinstance(traits, Sequence) else ""
    name = f"{group} ({named})" if named else group
    numbers: dict[str, Json] = {"gain": gain, "low": low, "high": high, "users": metric.n}
    margin = settings.slice_margin
    return reason(
        "slices", verdict, gain, -margin, group=name, metric=metric.name, margin=margin,
        p=None if math.isnan(holm) else holm, **numbers,
    )  # fmt: skip

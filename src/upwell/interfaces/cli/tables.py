"""Tables that several commands print."""

from __future__ import annotations

from upwell.interfaces.cli.here import Grid, Here
from upwell.interfaces.report.gather import recommends
from upwell.interfaces.report.picture import named
from upwell.interfaces.report.quality import quality
from upwell.interfaces.report.scale import figure, signed
from upwell.interfaces.report.story import Story
from upwell.records import Metric, Report


def measured(report: Report, here: Here) -> Grid:
    """Every metric of a report: against the champion, and how the baselines did."""
    keys = ("metric", "value", "gain", "interval", "n")
    heads = [here.say(f"report.column.{key}") for key in keys]
    if not recommends(report):
        heads[-1] = here.say("report.column.n.answers")
    return Grid(heads, [_metric(metric, here) for metric in report.metrics])


def turns(story: Story, here: Here) -> Grid:
    """The turns as a table: version, metric, gain with interval, baselines, decision."""
    drawn = quality(story, here.lang)
    return Grid(drawn.columns[:-1], [row[:-1] for row in drawn.rows])


def _metric(metric: Metric, here: Here) -> tuple[str, ...]:
    name, _, opponent = metric.name.partition("[")
    shown = named("metric", name, here.lang)
    if opponent:
        rival = named("baseline", opponent.removesuffix("]"), here.lang)
        shown = here.say("report.against", metric=shown, opponent=rival)
    between = ""
    if metric.low is not None and metric.high is not None:
        between = f"{signed(metric.low)} … {signed(metric.high)}"
    gain = "" if metric.gain is None else signed(metric.gain)
    return shown, figure(metric.value), gain, between, str(metric.n)

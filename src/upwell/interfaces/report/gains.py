"""Pictures 2 and 3: gains with their intervals, by metric (before and after) and by user group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from upwell.interfaces.report import svg
from upwell.interfaces.report.markup import Markup, tag
from upwell.interfaces.report.picture import Picture, named
from upwell.interfaces.report.scale import Scale, figure, labels, percent, signed, ticks
from upwell.interfaces.report.story import Change, SliceRow, Story
from upwell.records import Json
from upwell.words import say

LEFT, RIGHT, TOP, ROW = 292.0, 620.0, 34.0, 34.0


@dataclass(frozen=True, slots=True)
class _Row:
    """A dot with a whisker: what it is about, what stands beside it, where it lies."""

    name: str
    note: str
    end: str
    gain: float
    low: float | None
    high: float | None


def before_after(story: Story, lang: str) -> Picture:
    """Every metric of the first model and of today's champion on the same frozen part."""
    changes = [change for change in story.changes if change.before]
    rows = [
        _Row(
            name=named("metric", change.name, lang),
            note=f"{figure(change.before)} → {figure(change.after)}",
            end=percent(change.after / change.before - 1.0, sign=True),
            gain=change.after / change.before - 1.0,
            low=None if change.low is None else change.low / change.before,
            high=None if change.high is None else change.high / change.before,
        )
        for change in changes
    ]
    said = ("metric", "before", "after", "gain", "interval", "n")
    return Picture(
        name="before_after",
        title=say("report.before_after.title", lang),
        caption=say("report.before_after.caption", lang),
        svg=_forest(rows, say("report.before_after.title", lang), lang, in_percent=True),
        columns=tuple(
            say(story.key(f"report.column.{key}") if key == "n" else f"report.column.{key}", lang)
            for key in said
        ),
        rows=tuple(_change(change, lang) for change in story.changes),
        data=[_change_data(change) for change in story.changes],
    )


def slices(story: Story, lang: str) -> Picture:
    """The gain of each user group, largest group first."""
    listed = sorted(story.slices, key=lambda entry: (-entry.n, entry.group))
    rows = [
        _Row(
            name=entry.group or say("report.slices.none", lang),
            note=say("report.slices.users", lang, n=entry.n),
            end=signed(entry.gain),
            gain=entry.gain,
            low=entry.low,
            high=entry.high,
        )
        for entry in listed
    ]
    said = ("group", "n", "metric", "gain", "interval")
    columns = [say(story.key(f"report.column.{key}"), lang) for key in said]
    columns[2] = named("metric", story.metric, lang)
    over = say(f"report.over.{story.slices_over}", lang)
    return Picture(
        name="slices",
        title=say("report.slices.title", lang),
        caption=say("report.slices.caption", lang, metric=columns[2], over=over),
        svg=_forest(rows, say("report.slices.title", lang), lang, in_percent=False),
        columns=tuple(columns),
        rows=tuple(_slice(entry) for entry in listed),
        data=[_slice_data(entry) for entry in listed],
    )


def _forest(rows: Sequence[_Row], title: str, lang: str, in_percent: bool) -> Markup:
    ends = [0.0, *(row.gain for row in rows)]
    ends += [end for row in rows for end in (row.low, row.high) if end is not None]
    levels = ticks(min(ends), max(ends))
    x = Scale(levels[0], levels[-1], LEFT, RIGHT)
    bottom = TOP + ROW * len(rows)
    said = [percent_tick(level) for level in levels] if in_percent else list(labels(levels))
    marks = [
        svg.text(LEFT, 16, say("report.gain_axis", lang), "soft small"),
        svg.foot_axis(x, levels, said, TOP, bottom),
        svg.rule(x(0.0), TOP - 6, x(0.0), bottom, "u-zero"),
        *(_row(row, TOP + ROW * (index + 0.5), x) for index, row in enumerate(rows)),
    ]
    told = "; ".join(f"{row.name} {row.note} {row.end}" for row in rows)
    return svg.picture(bottom + 34, title, told, *marks)


def percent_tick(value: float) -> str:
    """A tick in percent, with a decimal only where it says something.

    >>> percent_tick(0.05), percent_tick(-0.025)
    ('5%', '−2.5%')
    """
    return f"{value * 100:.10g}%".replace("-", "−")


def _row(row: _Row, y: float, x: Scale) -> Markup:
    sure = row.low is not None and row.high is not None and (row.low > 0 or row.high < 0)
    colour = "n" if not sure else ("a" if row.gain > 0 else "b")
    marks = [
        svg.text(8, y + 4, row.name),
        svg.text(LEFT - 18, y + 4, row.note, "soft", "end"),
        svg.dot(x(row.gain), y, colour, hollow=not sure),
        svg.text(svg.WIDTH - 8, y + 4, row.end, "strong" if sure else "soft", "end"),
    ]
    if row.low is not None and row.high is not None:
        marks.append(svg.level(y, x(row.low), x(row.high), x(row.gain), colour))
    return tag("g", {}, *marks)


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{signed(low)} … {signed(high)}"


def _change(change: Change, lang: str) -> tuple[str, ...]:
    gain = change.after - change.before
    numbers = (figure(change.before), figure(change.after), signed(gain))
    between = _between(change.low, change.high)
    return (named("metric", change.name, lang), *numbers, between, str(change.n))


def _slice(entry: SliceRow) -> tuple[str, ...]:
    between = _between(entry.low, entry.high)
    return (entry.group, str(entry.n), figure(entry.value), signed(entry.gain), between)


def _change_data(change: Change) -> Json:
    ends = {"low": change.low, "high": change.high, "n": change.n}
    return {"metric": change.name, "before": change.before, "after": change.after, **ends}


def _slice_data(entry: SliceRow) -> Json:
    ends = {"gain": entry.gain, "low": entry.low, "high": entry.high, "n": entry.n}
    return {"group": entry.group, "value": entry.value, **ends}

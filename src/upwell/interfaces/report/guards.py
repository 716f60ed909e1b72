"""Picture 6: the guards beside the metric, each as a share of what is allowed."""

from __future__ import annotations

from collections.abc import Sequence

from upwell.interfaces.report import svg
from upwell.interfaces.report.markup import Markup, tag
from upwell.interfaces.report.picture import Picture, sentence
from upwell.interfaces.report.scale import figure
from upwell.interfaces.report.story import GuardRow, Story
from upwell.records import Json
from upwell.words import catalogue, say

LEFT, LINE, RIGHT, TOP, ROW = 232.0, 420.0, 540.0, 34.0, 30.0
NOTHING = {"drift_joint": 0.5, "memorisation": 0.5}
"""Values that stand for nothing at all, where that is not 0: an AUC of one half."""


def guards(story: Story, lang: str) -> Picture:
    """The picture of those that were measured; the table tells of all, a plain sentence each."""
    title = say("report.guards.title", lang)
    measured = [row for row in story.guards if row.value is not None]
    keys = ("guard", "value", "threshold", "state", "why")
    return Picture(
        name="guards",
        title=title,
        caption=say("report.guards.caption", lang),
        svg=_bars(measured, title, lang),
        columns=tuple(say(f"report.column.{key}", lang) for key in keys),
        rows=tuple(_row(row, lang) for row in story.guards),
        data=[_data(row) for row in story.guards],
    )


def share(row: GuardRow) -> float:
    """How much of what is allowed a value takes, between 0 and a little over what fits.

    >>> [share(GuardRow("drift", value, 0.2, False, "note")) for value in (-0.1, 0.1, 9.0)]
    [0.0, 0.5, 1.6]
    """
    nothing = NOTHING.get(row.name, 0.0)
    taken, room = max((row.value or 0.0) - nothing, 0.0), row.threshold - nothing
    most = (RIGHT - LEFT) / (LINE - LEFT)
    return round(min(taken / room if room > 0 else most if taken else 0.0, most), 1)


def state(row: GuardRow) -> str:
    """The last part of the word key that says how a guard stands."""
    if row.value is None:
        return "unmeasured"
    if row.crossed:
        return row.verdict
    return "chance" if row.value > row.threshold else "fine"


def _bars(rows: Sequence[GuardRow], title: str, lang: str) -> Markup:
    bottom = TOP + ROW * len(rows)
    marks = [
        svg.text(LINE, 16, say("report.guards.line", lang), "soft small", "middle"),
        svg.rule(LEFT, TOP - 6, LEFT, bottom),
        *(_bar(row, TOP + ROW * (place + 0.5), lang) for place, row in enumerate(rows)),
        svg.rule(LINE, TOP - 6, LINE, bottom, "u-zero"),
    ]
    told = "; ".join(f"{_name(row, lang)} {figure(row.value or 0.0)}" for row in rows)
    return svg.picture(bottom + 12, title, told, *marks)


def _bar(row: GuardRow, y: float, lang: str) -> Markup:
    width = min((LINE - LEFT) * share(row), RIGHT - LEFT)
    said = say(f"guard.state.{state(row)}", lang)
    return tag(
        "g",
        {},
        svg.text(LEFT - 12, y + 4, _name(row, lang), "", "end"),
        svg.bar(LEFT, y - 7, width, 14, "b" if row.crossed else "a" if width > 1 else "n"),
        svg.text(RIGHT + 14, y + 4, figure(row.value or 0.0), "strong" if row.crossed else ""),
        svg.text(svg.WIDTH - 8, y + 4, said, "b" if row.crossed else "soft", "end"),
    )


def _name(row: GuardRow, lang: str) -> str:
    return catalogue(lang).get(f"guard.name.{row.name}", row.name)


def _row(row: GuardRow, lang: str) -> tuple[str, ...]:
    """One line of the table; its last cell is the plain sentence."""
    key = row.why if row.value is None else f"guard.{row.name}"
    numbers = {**row.told, "threshold": row.threshold, "value": row.value, "key": key}
    return (
        _name(row, lang),
        "" if row.value is None else figure(row.value),
        f"{row.threshold:g}",
        say(f"guard.state.{state(row)}", lang),
        sentence(numbers, lang),
    )


def _data(row: GuardRow) -> Json:
    plain = {"value": row.value, "threshold": row.threshold, "crossed": row.crossed}
    why = {"why": row.why} if row.why else {}
    return {"guard": row.name, **plain, "verdict": row.verdict, **why, **row.told}

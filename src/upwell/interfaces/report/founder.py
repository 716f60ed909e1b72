"""The founder's picture: what the loop has brought, turn after turn, and what each turn took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from upwell.interfaces.past import COLUMNS, cells, numbers
from upwell.interfaces.report import svg
from upwell.interfaces.report.markup import Markup, tag
from upwell.interfaces.report.picture import Picture, named
from upwell.interfaces.report.scale import Scale, signed, ticks
from upwell.interfaces.report.story import Story
from upwell.stages.release.gains import Entry, Span, total_gain
from upwell.words import say

LEFT, RIGHT, TOP, BOTTOM = 64.0, 690.0, 34.0, 230.0
STRIPS, STRIP, HEIGHT = 292.0, 62.0, 440.0
LABELS = 12
"""Labels that fit below each other's side; of more turns every second, third … is named."""


@dataclass(frozen=True, slots=True)
class _Frame:
    entries: Sequence[Entry]
    serving: Sequence[Span | None]
    lang: str
    x: Scale
    y: Scale
    levels: tuple[float, ...]


def founder(story: Story, lang: str) -> Picture:
    """The picture; the story's history must hold at least one turn."""
    frame = _frame(story.history, lang)
    title, metric = say("report.founder.title", lang), named("metric", story.metric, lang)
    marks = (
        svg.text(8, 16, say("report.founder.axis", lang, metric=metric), "soft small"),
        svg.side_axis(frame.y, frame.levels, LEFT, RIGHT),
        svg.rule(LEFT, frame.y(0.0), RIGHT, frame.y(0.0), "u-zero"),
        _turn_labels(frame),
        *_served(frame),
        *(_candidate(frame, place, one) for place, one in enumerate(frame.entries)),
        _key(lang),
        _strip(frame, 0, "feedback", [float(sum(one.feedback.values())) for one in frame.entries]),
        _strip(frame, 1, "seconds", [one.cost for one in frame.entries]),
    )
    return Picture(
        name="founder",
        title=title,
        caption=say("report.founder.caption", lang),
        svg=svg.picture(HEIGHT, title, told(frame.entries, metric, lang), *marks),
        columns=tuple(say(f"history.column.{name}", lang) for name in COLUMNS),
        rows=tuple(cells(entry, lang) for entry in frame.entries),
        data=[numbers(entry) for entry in frame.entries],
    )


def told(entries: Sequence[Entry], metric: str, lang: str) -> str:
    """One sentence: how far ahead of the first model, from how much feedback, in what time."""
    total = total_gain(entries, entries[-1].serving)
    return say(
        "report.founder.told", lang, metric=metric,
        total=say("report.founder.unknown", lang) if total is None else signed(total.value),
        turns=sum(entry.turn is not None for entry in entries),
        feedback=f"{sum(sum(entry.feedback.values()) for entry in entries):,}",
        seconds=f"{sum(entry.cost for entry in entries):,.0f}",
    )  # fmt: skip


def _frame(entries: Sequence[Entry], lang: str) -> _Frame:
    serving = [total_gain(entries, entry.serving) for entry in entries]
    spans = [span for span in [*serving, *(entry.total for entry in entries)] if span is not None]
    ends = [
        0.0,
        *(end for one in spans for end in (one.value, one.low, one.high) if end is not None),
    ]
    levels = ticks(min(ends), max(ends))
    x = Scale(-0.5, len(entries) - 0.5, LEFT, RIGHT)
    return _Frame(entries, serving, lang, x, Scale(levels[0], levels[-1], BOTTOM, TOP), levels)


def _turn_labels(frame: _Frame) -> Markup:
    """The number of each turn and its day; a decision without a turn has its day alone."""
    step = -(-len(frame.entries) // LABELS)
    marks = []
    for place, entry in list(enumerate(frame.entries))[::step]:
        name = "" if entry.number is None else say("report.turn", frame.lang, n=entry.number)
        marks.append(svg.text(frame.x(place), BOTTOM + 18, name, "soft small", "middle"))
        marks.append(
            svg.text(frame.x(place), BOTTOM + 34, f"{entry.at:%m-%d}", "soft small", "middle")
        )
    return tag("g", {}, *marks)


def _served(frame: _Frame) -> list[Markup]:
    """What serves, as steps with their interval; a stretch that was not measured is left open."""
    drawn: list[Markup] = []
    known = enumerate(frame.serving)
    for is_measured, stretch in groupby(known, key=lambda pair: pair[1] is not None):
        if not is_measured:
            continue
        spans = [(place, span) for place, span in stretch if span is not None]
        line = _steps(frame, [(place, span.value) for place, span in spans])
        low = [(place, span.value if span.low is None else span.low) for place, span in spans]
        high = [(place, span.value if span.high is None else span.high) for place, span in spans]
        drawn.append(svg.band(_steps(frame, high), _steps(frame, low), "a"))
        drawn.append(svg.line(line, "a"))
    return drawn


def _steps(frame: _Frame, values: Sequence[tuple[int, float]]) -> list[svg.Point]:
    """From each entry's place to the next one's, level; the last goes on to the edge."""
    return [
        (frame.x(place + offset), frame.y(value))
        for place, value in values
        for offset in (0.0, 1.0 if place + 1 < len(frame.entries) else 0.5)
    ]


def _candidate(frame: _Frame, place: int, entry: Entry) -> Markup:
    """A dot a candidate, with its interval; the way back is marked where it leads to."""
    promoted, x = entry.act == "promote", frame.x(place)
    span = entry.total if entry.turn else None
    if promoted or entry.act == "rollback":
        span = span or frame.serving[place]
    if span is None:
        return Markup()
    colour = "a" if promoted else "b"
    y = frame.y(span.value)
    marks = [svg.dot(x, y, colour, hollow=not promoted and entry.act != "rollback")]
    if span.low is not None and span.high is not None and span.low < span.high:
        marks.append(svg.upright(x, frame.y(span.low), frame.y(span.high), y, colour))
    return tag("g", {}, *marks)


def _key(lang: str) -> Markup:
    y, x, marks = BOTTOM + 56, LEFT, []
    for key, colour, hollow in (
        ("report.key.promoted", "a", False),
        ("report.key.held", "b", True),
        ("report.founder.key.rolled", "b", False),
    ):
        said = say(key, lang)
        marks += [
            svg.dot(x + 4, y - 4, colour, hollow=hollow),
            svg.text(x + 16, y, said, "soft small"),
        ]
        x += 44 + len(said) * (13 if lang == "zh" else 7)
    said = say("report.founder.key.serving", lang)
    marks += [svg.line([(x, y - 4), (x + 22, y - 4)], "a"), svg.text(x + 30, y, said, "soft small")]
    return tag("g", {}, *marks)


def _strip(frame: _Frame, number: int, name: str, values: Sequence[float]) -> Markup:
    """Upright bars with their numbers above them."""
    foot = STRIPS + (number + 1) * (STRIP + 10)
    most = max(values) or 1.0
    width = min(0.5 * (frame.x(1.0) - frame.x(0.0)), 48.0)
    step = -(-len(values) // LABELS)
    marks = [
        svg.text(8, foot - STRIP + 26, say(f"report.founder.{name}", frame.lang), "soft small"),
        svg.rule(LEFT, foot, RIGHT, foot),
    ]
    for place, value in enumerate(values):
        if not value:
            continue
        height, x = max((STRIP - 34) * value / most, 1.0), frame.x(place)
        marks.append(svg.bar(x - width / 2, foot - height, width, height, "n"))
        if place % step == 0:
            said = f"{value:,.0f}"
            marks.append(svg.text(x, foot - height - 5, said, "soft small", "middle"))
    return tag("g", {}, *marks)

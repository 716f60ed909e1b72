"""Picture 1: how good the model is, turn after turn, against the baselines."""

from __future__ import annotations

from dataclasses import dataclass

from upwell.interfaces.report import svg
from upwell.interfaces.report.markup import Markup, tag
from upwell.interfaces.report.picture import Picture, named, sentence
from upwell.interfaces.report.scale import Scale, figure, signed, ticks
from upwell.interfaces.report.story import Story, TurnRow
from upwell.records import Json
from upwell.words import say

LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 52.0, 540.0, 34.0, 290.0, 346.0


@dataclass(frozen=True, slots=True)
class _Frame:
    story: Story
    lang: str
    x: Scale
    y: Scale
    levels: tuple[float, ...]


def quality(story: Story, lang: str) -> Picture:
    """The picture; the story must hold at least one turn."""
    frame = _frame(story, lang)
    title = say("report.quality.title", lang)
    told = verdict(story, lang)
    metric = named("metric", story.metric, lang)
    marks = (
        svg.text(LEFT - 44, 16, metric, "soft small"),
        svg.side_axis(frame.y, frame.levels, LEFT, RIGHT),
        _turn_labels(frame),
        _baselines(frame),
        _champion(frame),
        *(_candidate(frame, turn) for turn in story.turns),
        _ends(frame),
        _key(frame),
    )
    return Picture(
        name="quality",
        title=title,
        caption=say("report.quality.caption", lang),
        svg=svg.picture(HEIGHT, title, told, *marks),
        columns=_columns(story, lang),
        rows=tuple(_row(story, turn, lang) for turn in story.turns),
        data=[_data(turn) for turn in story.turns],
    )


def interval(turn: TurnRow) -> tuple[float, float] | None:
    """The whisker: the gain's interval set upon the champion's value, else the value's own.

    >>> from datetime import UTC, datetime
    >>> from upwell.records import Metric
    >>> measured = Metric("ndcg@10", 0.08, 0.01, 0.004, 0.016, 900)
    >>> row = TurnRow(1, datetime(2026, 1, 1, tzinfo=UTC), "v1", "promote", measured, {})
    >>> [round(end, 3) for end in interval(row) or ()]
    [0.074, 0.086]
    """
    metric = turn.metric
    if metric.gain is not None and metric.low is not None and metric.high is not None:
        base = metric.value - metric.gain
        return base + metric.low, base + metric.high
    if metric.value_low is not None and metric.value_high is not None:
        return metric.value_low, metric.value_high
    return None


def serving(turns: tuple[TurnRow, ...]) -> list[float]:
    """The metric of the model that serves after each turn, as measured in that turn."""
    values: list[float] = []
    for turn in turns:
        metric = turn.metric
        if turn.act == "promote" or not values:
            values.append(metric.value)
        elif metric.gain is not None:
            values.append(metric.value - metric.gain)
        else:
            values.append(values[-1])
    return values


def verdict(story: Story, lang: str) -> str:
    """One sentence: where quality began, where it stands."""
    values = serving(story.turns)
    metric = named("metric", story.metric, lang)
    change = (values[-1] / values[0] - 1.0) if values[0] else 0.0
    return say(
        "report.quality.verdict",
        lang,
        metric=metric,
        before=figure(values[0]),
        after=figure(values[-1]),
        change=f"{change:+.0%}".replace("-", "−"),
        turns=len(story.turns) - 1,
    )


def _frame(story: Story, lang: str) -> _Frame:
    values = [turn.metric.value for turn in story.turns] + serving(story.turns)
    values += [value for turn in story.turns for value in turn.baselines.values()]
    values += [end for turn in story.turns for end in interval(turn) or ()]
    low, high = min(values), max(values)
    levels = ticks(0.0 if 0 <= low < 0.4 * high else low, high)
    last = max(turn.number for turn in story.turns)
    first = min(turn.number for turn in story.turns)
    pad = 0.35
    x = Scale(first - pad, last + pad, LEFT, RIGHT)
    return _Frame(story, lang, x, Scale(levels[0], levels[-1], BOTTOM, TOP), levels)


def _turn_labels(frame: _Frame) -> Markup:
    marks = [
        svg.text(
            frame.x(turn.number),
            BOTTOM + 18,
            say("report.turn", frame.lang, n=turn.number),
            "soft small",
            "middle",
        )
        for turn in frame.story.turns
    ]
    return tag("g", {}, *marks)


def _baselines(frame: _Frame) -> Markup:
    lines = []
    for name in _names(frame.story):
        points = [
            (frame.x(turn.number), frame.y(turn.baselines[name]))
            for turn in frame.story.turns
            if name in turn.baselines
        ]
        ends = [(LEFT, points[0][1]), *points, (RIGHT, points[-1][1])]
        lines.append(svg.line(ends, "thin dashed n"))
    return tag("g", {}, *lines)


def _champion(frame: _Frame) -> Markup:
    values = serving(frame.story.turns)
    points = [
        (frame.x(turn.number), frame.y(value))
        for turn, value in zip(frame.story.turns, values, strict=True)
    ]
    return svg.line([*points, (RIGHT, points[-1][1])], "a")


def _candidate(frame: _Frame, turn: TurnRow) -> Markup:
    x, y = frame.x(turn.number), frame.y(turn.metric.value)
    promoted = turn.act == "promote"
    colour = "a" if promoted else "b"
    ends = interval(turn)
    marks = [svg.dot(x, y, colour, hollow=not promoted)]
    if ends is not None:
        marks.append(svg.upright(x, frame.y(ends[0]), frame.y(ends[1]), y, colour))
    return tag("g", {}, *marks)


def _ends(frame: _Frame) -> Markup:
    """Direct labels at the right end of every line."""
    champion = serving(frame.story.turns)[-1]
    said = [(say("report.champion", frame.lang), champion, "strong a")]
    for name in _names(frame.story):
        values = [t.baselines[name] for t in frame.story.turns if name in t.baselines]
        said.append((named("baseline", name, frame.lang), values[-1], "soft"))
    heights = svg.apart([frame.y(value) for _, value, _ in said])
    marks = [
        svg.text(RIGHT + 10, height + 4, f"{label} {figure(value)}", css)
        for (label, value, css), height in zip(said, heights, strict=True)
    ]
    return tag("g", {}, *marks)


def _key(frame: _Frame) -> Markup:
    y = HEIGHT - 12
    promoted = say("report.key.promoted", frame.lang)
    held = say("report.key.held", frame.lang)
    second = LEFT + 24 + len(promoted) * (13 if frame.lang == "zh" else 7)
    return tag(
        "g",
        {},
        svg.dot(LEFT + 4, y - 4, "a"),
        svg.text(LEFT + 16, y, promoted, "soft small"),
        svg.dot(second + 20, y - 4, "b", hollow=True),
        svg.text(second + 32, y, held, "soft small"),
    )


def _names(story: Story) -> list[str]:
    return list(dict.fromkeys(name for turn in story.turns for name in turn.baselines))


def _columns(story: Story, lang: str) -> tuple[str, ...]:
    keys = ("turn", "version", "metric", "gain", "interval", "act", "why")
    heads = [say(f"report.column.{key}", lang) for key in keys]
    heads[2] = named("metric", story.metric, lang)
    return (*heads[:5], *(named("baseline", name, lang) for name in _names(story)), *heads[5:])


def _row(story: Story, turn: TurnRow, lang: str) -> tuple[str, ...]:
    metric = turn.metric
    bounded = metric.low is not None and metric.high is not None
    between = f"{signed(metric.low or 0.0)} … {signed(metric.high or 0.0)}" if bounded else ""
    why = " ".join(sentence(reason, lang) for reason in turn.reasons)
    return (
        str(turn.number),
        turn.version,
        figure(metric.value),
        "" if metric.gain is None else signed(metric.gain),
        between,
        *(figure(turn.baselines[n]) if n in turn.baselines else "" for n in _names(story)),
        named("act", turn.act, lang),
        why,
    )


def _data(turn: TurnRow) -> Json:
    ends = interval(turn)
    return {
        "turn": turn.number,
        "at": turn.at.isoformat(),
        "version": turn.version,
        "act": turn.act,
        "metric": turn.metric.name,
        "value": turn.metric.value,
        "gain": turn.metric.gain,
        "low": turn.metric.low,
        "high": turn.metric.high,
        "n": turn.metric.n,
        "whisker": list(ends) if ends else None,
        "baselines": dict(turn.baselines),
        "reasons": [dict(reason) for reason in turn.reasons],
        "seconds": turn.seconds,
    }

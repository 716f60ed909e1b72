"""Pictures 4 and 5: from what users did to what was learned from, and how learning went."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from upwell.interfaces.report import svg
from upwell.interfaces.report.markup import Markup, tag
from upwell.interfaces.report.picture import Picture
from upwell.interfaces.report.scale import Scale, figure, percent, ticks
from upwell.interfaces.report.story import Curve, Step, Story
from upwell.words import catalogue, say

BAR_LEFT, BAR_RIGHT, BAR_TOP, BAR_ROW = 190.0, 580.0, 10.0, 36.0
LEFT, RIGHT, TOP, BOTTOM, HEIGHT = 52.0, 560.0, 34.0, 270.0, 312.0


def funnel(story: Story, lang: str) -> Picture:
    """Rows at each step; what fell out stands pale below."""
    whole = max((step.rows for step in story.steps if step.kept), default=0) or 1
    ordered = sorted(story.steps, key=lambda step: not step.kept)
    title = say("report.funnel.title", lang)
    names = [_named(step, story, lang) for step in ordered]
    told = "; ".join(f"{name} {step.rows:,}" for name, step in zip(names, ordered, strict=True))
    marks = [
        _step(step, name, n, whole)
        for n, (step, name) in enumerate(zip(ordered, names, strict=True))
    ]
    return Picture(
        name="funnel",
        title=title,
        caption=say("report.funnel.caption", lang),
        svg=svg.picture(BAR_TOP * 2 + BAR_ROW * len(ordered), title, told, *marks),
        columns=tuple(say(f"report.column.{key}", lang) for key in ("step", "rows", "share")),
        rows=tuple(
            (name, f"{step.rows:,}", percent(step.rows / whole))
            for step, name in zip(ordered, names, strict=True)
        ),
        data=[{"step": step.name, "rows": step.rows, "kept": step.kept} for step in ordered],
    )


def _named(step: Step, story: Story, lang: str) -> str:
    """What a step is called; its own name where unheard of."""
    return catalogue(lang).get(story.key(f"report.step.{step.name}"), step.name)


def _step(step: Step, name: str, index: int, whole: int) -> Markup:
    y = BAR_TOP + BAR_ROW * index
    width = (BAR_RIGHT - BAR_LEFT) * min(step.rows / whole, 1.0)
    middle = y + BAR_ROW / 2 + 4
    colour = "a" if step.kept else "b"
    marks = [
        svg.text(BAR_LEFT - 14, middle, name, "", "end"),
        svg.bar(BAR_LEFT, y + 8, width, BAR_ROW - 16, colour if step.kept else f"pale {colour}"),
        svg.pair(BAR_LEFT + width + 10, middle, f"{step.rows:,}", percent(step.rows / whole)),
    ]
    return tag("g", {}, *marks)


def learning(curve: Curve, lang: str) -> Picture:
    """Loss by epoch: the part from labels, the part from feedback, validation."""
    share = "–" if curve.label_share is None else f"{curve.label_share:.2f}"
    heads = ("epoch", "labels", "feedback", "valid")
    return Picture(
        name="learning",
        title=say("report.learning.title", lang),
        caption=say("report.learning.caption", lang, share=share, version=curve.version),
        svg=_curve(curve, share, lang),
        columns=tuple(say(f"report.column.{key}", lang) for key in heads),
        rows=tuple(
            (str(p.epoch), *(_loss(v) for v in (p.labels, p.feedback, p.validation)))
            for p in curve.points
        ),
        data={
            "version": curve.version,
            "label_share": curve.label_share,
            "best": curve.best,
            "points": [dataclasses.asdict(point) for point in curve.points],
        },
    )


def _curve(curve: Curve, share: str, lang: str) -> Markup:
    values = [value for _, _, points in _series(curve, lang) for _, value in points]
    levels = ticks(min(values), max(values))
    epochs = [point.epoch for point in curve.points]
    x = Scale(min(epochs), max(*epochs, min(epochs) + 1), LEFT + 8, RIGHT - 8)
    y = Scale(levels[0], levels[-1], BOTTOM, TOP)
    marks = [
        svg.text(LEFT - 44, 16, say("report.learning.axis", lang), "soft small"),
        svg.side_axis(y, levels, LEFT, RIGHT),
        _epochs(epochs, x, lang),
        _best(curve, x, lang),
        *_lines(curve, x, y, lang),
    ]
    title, told = say("report.learning.title", lang), say("report.learning.told", lang, share=share)
    return svg.picture(HEIGHT, title, told, *marks)


def _series(curve: Curve, lang: str) -> list[tuple[str, str, list[tuple[int, float]]]]:
    """Name, style and points of each line that has any."""
    found = []
    for key, css in (("labels", "a"), ("feedback", "b"), ("validation", "c dashed thin")):
        points = [
            (point.epoch, value)
            for point in curve.points
            if (value := getattr(point, key)) is not None
        ]
        if points:
            found.append((say(f"report.learning.{key}", lang), css, points))
    return found


def _lines(curve: Curve, x: Scale, y: Scale, lang: str) -> list[Markup]:
    series = _series(curve, lang)
    heights = svg.apart([y(points[-1][1]) for _, _, points in series])
    marks = []
    for (label, css, points), height in zip(series, heights, strict=True):
        marks.append(svg.line([(x(epoch), y(value)) for epoch, value in points], css))
        said = f"{label} {figure(points[-1][1])}"
        marks.append(svg.text(RIGHT + 6, height + 4, said, css.split()[0]))
    return marks


def _epochs(epochs: Sequence[int], x: Scale, lang: str) -> Markup:
    every = max(1, -(-len(epochs) // 10))
    marks = [
        svg.text(x(epoch), BOTTOM + 18, str(epoch), "soft small", "middle")
        for epoch in epochs[::every]
    ]
    middle = (LEFT + RIGHT) / 2
    marks.append(
        svg.text(middle, BOTTOM + 36, say("report.column.epoch", lang), "soft small", "middle")
    )
    return tag("g", {}, *marks)


def _best(curve: Curve, x: Scale, lang: str) -> Markup:
    if curve.best is None:
        return Markup()
    place = x(curve.best)
    said = say("report.learning.best", lang)
    rule = svg.rule(place, TOP, place, BOTTOM, "u-zero")
    return tag("g", {}, rule, svg.text(place, TOP - 8, said, "soft small", "middle"))


def _loss(value: float | None) -> str:
    return "" if value is None else figure(value)

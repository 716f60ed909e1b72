"""Small SVG parts: every mark of every picture, styled by class so that one sheet themes all.

Coordinates are pixels from the top left. Pictures have a transparent background; the stand-alone
palette reads on white and on dark pages alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from upwell.interfaces.report.markup import Markup, tag
from upwell.interfaces.report.scale import Scale, labels

Point: TypeAlias = tuple[float, float]

WIDTH = 720.0
SIZE = 13.0
RADIUS = 4.5
FONTS = (
    "system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','Helvetica Neue',Arial,"
    "'PingFang SC','Microsoft YaHei','Noto Sans CJK SC',sans-serif"
)
ANYWHERE = {
    "ink": "#6e7781",
    "soft": "#7d8590",
    "grid": "#8b949e40",
    "a": "#2188c9",
    "b": "#d9661f",
    "c": "#12976f",
    "n": "#8b949e",
}
LIGHT = {
    "ink": "#1f2933",
    "soft": "#5f6b78",
    "grid": "#dfe4e9",
    "a": "#0a6ebd",
    "b": "#c4520c",
    "c": "#0b7d5b",
    "n": "#8792a0",
}
DARK = {
    "ink": "#e4e9ee",
    "soft": "#9aa5b1",
    "grid": "#2b343d",
    "a": "#56b0f0",
    "b": "#f2935c",
    "c": "#3fc79a",
    "n": "#77828e",
}


def style(palette: Mapping[str, str]) -> str:
    """The style sheet of all marks in one palette (colours told apart by the colour-blind)."""
    series = "".join(
        f".u-line.{name}{{stroke:{palette[name]}}}.u-fill.{name}{{fill:{palette[name]}}}"
        f".u-dot.{name}{{stroke:{palette[name]};fill:{palette[name]}}}"
        f".u-text.{name}{{fill:{palette[name]}}}"
        for name in ("a", "b", "c", "n")
    )
    return (
        f".u-text{{font:13px {FONTS};fill:{palette['ink']};font-variant-numeric:tabular-nums}}"
        f".u-text.soft,.u-text .soft{{fill:{palette['soft']}}}.u-text.small{{font-size:12px}}"
        ".u-text.strong,.u-text .strong{font-weight:600}"
        f".u-grid{{stroke:{palette['grid']};stroke-width:1}}"
        f".u-zero{{stroke:{palette['soft']};stroke-width:1}}"
        ".u-line{fill:none;stroke-width:2.25;stroke-linejoin:round;stroke-linecap:round}"
        ".u-line.thin{stroke-width:1.5}.u-line.dashed{stroke-dasharray:5 4;stroke-linecap:butt}"
        ".u-dot{stroke-width:1.75}.u-band{opacity:.14}.u-fill.pale{opacity:.3}"
        f"{series}.u-dot.hollow{{fill:none}}"
    )


def picture(height: float, title: str, told: str, *marks: str) -> Markup:
    """A whole picture; ``title`` and ``told`` are what a screen reader says."""
    head = (tag("title", {}, title), tag("desc", {}, told))
    box = f"0 0 {WIDTH:.0f} {height:.0f}"
    return tag("svg", {"viewBox": box, "role": "img", "class": "u-picture"}, *head, *marks)


def standalone(drawn: Markup) -> str:
    """A picture as a file of its own: name space, size and colours included."""
    box = drawn.split('viewBox="0 0 ')[1].split('"')[0].split()
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" width="{box[0]}" height="{box[1]}"'
    whole = drawn.replace("<svg", opening, 1)
    cut = whole.index(">") + 1
    return f"{whole[:cut]}<style>{style(ANYWHERE)}</style>{whole[cut:]}\n"


def text(x: float, y: float, said: str, css: str = "", anchor: str = "start") -> Markup:
    """A line of text with its base line at ``y``; ``anchor`` is start, middle or end."""
    css = f"u-text {css}".strip()
    side = None if anchor == "start" else anchor
    return tag("text", {"x": x, "y": y, "class": css, "text-anchor": side}, said)


def pair(x: float, y: float, first: str, second: str) -> Markup:
    """Two texts one after the other, the first strong and the second soft."""
    parts = (
        tag("tspan", {"class": "strong"}, first),
        tag("tspan", {"dx": 8, "class": "soft"}, second),
    )
    return tag("text", {"x": x, "y": y, "class": "u-text"}, *parts)


def line(points: Sequence[Point], css: str) -> Markup:
    """A line through the points."""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return tag("path", {"d": path, "class": f"u-line {css}"})


def band(upper: Sequence[Point], lower: Sequence[Point], css: str) -> Markup:
    """The area between two lines."""
    around = [*upper, *reversed(lower)]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in around) + "Z"
    return tag("path", {"d": path, "class": f"u-fill u-band {css}"})


def dot(x: float, y: float, css: str, hollow: bool = False) -> Markup:
    """A point; hollow where a candidate did not come to serve or a gain is not established."""
    shape = f"u-dot {css} hollow" if hollow else f"u-dot {css}"
    return tag("circle", {"cx": x, "cy": y, "r": RADIUS, "class": shape})


def upright(x: float, low: float, high: float, middle: float, css: str) -> Markup:
    """A vertical whisker that leaves room for its dot."""
    gap = RADIUS + 1
    parts = [((x, low), (x, middle + gap)), ((x, middle - gap), (x, high))]
    return _whisker([part for part in parts if part[0][1] > part[1][1]], css)


def level(y: float, low: float, high: float, middle: float, css: str) -> Markup:
    """A horizontal whisker that leaves room for its dot."""
    gap = RADIUS + 1
    parts = [((low, y), (middle - gap, y)), ((middle + gap, y), (high, y))]
    return _whisker([part for part in parts if part[0][0] < part[1][0]], css)


def bar(x: float, y: float, width: float, height: float, css: str) -> Markup:
    """A horizontal bar, never thinner than a hair."""
    size = {"width": max(width, 1.0), "height": height}
    return tag("rect", {"x": x, "y": y, **size, "rx": 2, "class": f"u-fill {css}"})


def rule(x1: float, y1: float, x2: float, y2: float, css: str = "u-grid") -> Markup:
    """A straight rule of the grid or of an axis."""
    return tag("line", {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "class": css})


def side_axis(scale: Scale, values: Sequence[float], left: float, right: float) -> Markup:
    """Horizontal grid lines with their labels at the left."""
    marks = []
    for value, label in zip(values, labels(values), strict=True):
        y = scale(value)
        marks.append(rule(left, y, right, y))
        marks.append(text(left - 8, y + 4, label, "soft small", "end"))
    return tag("g", {}, *marks)


def foot_axis(
    scale: Scale, values: Sequence[float], said: Sequence[str], top: float, bottom: float
) -> Markup:
    """Vertical grid lines with their labels below."""
    marks = []
    for value, label in zip(values, said, strict=True):
        x = scale(value)
        marks.append(rule(x, top, x, bottom))
        marks.append(text(x, bottom + 18, label, "soft small", "middle"))
    return tag("g", {}, *marks)


def apart(places: Sequence[float], gap: float = 16.0) -> list[float]:
    """Heights of labels moved just so far that none covers another, in their old order.

    >>> apart([10.0, 12.0, 60.0])
    [3.0, 19.0, 60.0]
    """
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = list(places)
    for _ in range(50):
        for one, two in pairwise(order):
            short = gap - (moved[two] - moved[one])
            if short > 1e-6:
                moved[one] -= short / 2
                moved[two] += short / 2
    return [round(place, 2) for place in moved]


def _whisker(parts: Sequence[tuple[Point, Point]], css: str) -> Markup:
    path = "".join(f"M{a[0]:.1f} {a[1]:.1f}L{b[0]:.1f} {b[1]:.1f}" for a, b in parts)
    return tag("path", {"d": path or "M0 0", "class": f"u-line thin {css}"})

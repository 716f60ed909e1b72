"""The runs as a table, as rows with intervals, and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.feedback.methods import ALIKE, CONTROL, METHODS, NOTHING, ORACLE, OTHERS, RELIABLE
from bench.feedback.users import NOISES
from bench.rows import Row

Floats = npt.NDArray[np.float64]
RESAMPLES = 5000
SHARES: Mapping[str, float] = {"clean": 0.90, "10 %": 0.75, "25 %": 0.45, "raters": 0.75}
"""Shares of the oracle's gain to recover after all turns."""
KNOWN: Mapping[str, float] = {"clean": 0.932, "10 %": 0.909, "25 %": 0.866, "raters": 0.887}
"""The best known accuracies on digits after one turn: 60 labels, 900 signs, a small network."""
COLOURS = {ORACLE: "#767676", RELIABLE: "#0a7c66", ALIKE: "#3aa88f", NOTHING: "#b0b0b0"}


class Cells:
    """Accuracies by (turns, noise, method, world), one number a seed, in order of seeds."""

    def __init__(self, runs: Sequence[Mapping[str, Any]]) -> None:
        self.worlds = list(dict.fromkeys(run["world"] for run in runs))
        self.turns = sorted({run["turns"] for run in runs})
        self._found: dict[tuple[int, str, str, str], list[float]] = {}
        self.seconds: dict[str, list[float]] = {}
        self.diverged: dict[str, list[bool]] = {}
        for run in runs:
            key = (run["turns"], run["noise"], run["method"], run["world"])
            self._found.setdefault(key, []).append(run["accuracy"])
            if run["turns"] == 1:
                self.seconds.setdefault(run["method"], []).append(run["seconds"])
                self.diverged.setdefault(run["method"], []).append(run["diverged"])

    def of(self, turns: int, noise: str, method: str) -> Floats:
        """(worlds, seeds) accuracies."""
        return np.array([self._found[turns, noise, method, name] for name in self.worlds])

    def render(self) -> str:
        """Mean accuracies after one turn, a line a method, a column a noise; then each world's."""
        lines = [f"{'after one turn':28}" + "".join(f"{noise:>10}" for noise in NOISES)]
        for method in METHODS:
            means = (self.of(1, noise, method).mean() for noise in NOISES)
            lines.append(f"{method:28}" + "".join(f"{mean:10.4f}" for mean in means))
        for place, world in enumerate(self.worlds):
            for method in (NOTHING, RELIABLE, ORACLE):
                means = (self.of(self.turns[-1] if method != NOTHING else 1, noise, method)[place]
                         .mean() for noise in NOISES)  # fmt: skip
                label = f"{world}, {method}, at the end"
                lines.append(f"{label:48}" + "".join(f"{mean:10.4f}" for mean in means))
        return "\n".join(lines)


def rows(cells: Cells) -> list[Row]:
    """Every figure: means, leads, worlds made worse, shares recovered, digits, seconds."""
    found = []
    for noise in NOISES:
        found += _means(cells, noise)
        found += [_lead(cells, noise, other) for other in OTHERS]
        found.append(_worst(cells, noise))
    for noise in NOISES:
        found += _recovered(cells, noise)
    if "digits" in cells.worlds:
        found += [_digits(cells, noise) for noise in NOISES]
    found += [
        Row(f"{method}: CPU seconds a turn", float(np.mean(cells.seconds[method])))
        for method in METHODS
    ]
    found += [
        Row(f"{method}: share of runs that ran away", float(np.mean(cells.diverged[method])))
        for method in METHODS
        if any(cells.diverged[method])
    ]
    return found


def _means(cells: Cells, noise: str) -> list[Row]:
    return [
        _row(f"{noise}, one turn, {method}: accuracy", cells.of(1, noise, method))
        for method in METHODS
    ]


def _lead(cells: Cells, noise: str, other: str) -> Row:
    lead = cells.of(1, noise, RELIABLE) - cells.of(1, noise, other)
    name = f"{noise}, one turn, lead of {RELIABLE} over {other}"
    return _row(name, lead, "above 0", bool(lead.mean() > 0))


def _worst(cells: Cells, noise: str) -> Row:
    """The smallest gain over no feedback on any set, and its interval over seeds."""
    gains = cells.of(1, noise, RELIABLE) - cells.of(1, noise, NOTHING)
    place = int(gains.mean(axis=1).argmin())
    low, high = _interval(gains[place : place + 1])
    name = f"{noise}, one turn, smallest gain over no feedback ({cells.worlds[place]})"
    value = float(gains[place].mean())
    return Row(name, value, low, high, "at least 0", value >= 0)


def _recovered(cells: Cells, noise: str) -> list[Row]:
    """(method − start) / (oracle − start), a world at a time, averaged; after one turn and all."""
    found = []
    for turns in cells.turns:
        start = cells.of(1, noise, NOTHING)
        gain = cells.of(turns, noise, RELIABLE) - start
        most = (cells.of(turns, noise, ORACLE) - start).mean(axis=1, keepdims=True)
        name = f"{noise}, {turns} turns, {RELIABLE}: share of the oracle's gain"
        value = float((gain / most).mean())
        judged = turns == cells.turns[-1]
        target = f"at least {SHARES[noise]:.2f}" if judged else ""
        found.append(_row(name, gain / most, target, value >= SHARES[noise] if judged else None))
    return found


def _digits(cells: Cells, noise: str) -> Row:
    seeds = cells.of(1, noise, RELIABLE)[cells.worlds.index("digits")]
    low, high = _interval(seeds[None])
    value, bar = float(seeds.mean()), KNOWN[noise]
    target = f"above the best known {bar:.3f}"
    return Row(f"{noise}, one turn, digits: accuracy", value, low, high, target, value > bar)


def _row(name: str, values: Floats, target: str = "", holds: bool | None = None) -> Row:
    low, high = _interval(values)
    return Row(name, float(values.mean()), low, high, target, holds)


def _interval(values: Floats) -> tuple[float, float]:
    """95 % of the mean over (worlds, seeds) when each world's seeds are drawn again."""
    rng = np.random.default_rng(0)
    worlds, seeds = values.shape
    drawn = rng.integers(seeds, size=(RESAMPLES, worlds, seeds))
    means = np.take_along_axis(values[None], drawn, axis=2).mean(axis=(1, 2))
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    return low, high


def plot(cells: Cells, path: Path) -> None:
    """Mean accuracy after one turn: a panel a noise, a bar a method."""
    methods = [name for name in METHODS if name != CONTROL]
    wide, high, left = 250, 22 * len(methods) + 60, 170
    parts = []
    for panel, noise in enumerate(NOISES):
        means = [cells.of(1, noise, method).mean() for method in methods]
        low, most = min(means) - 0.02, max(means)
        x = left + panel * wide
        parts.append(f'<text x="{x}" y="24" font-weight="bold">{noise}</text>')
        for line, (method, mean) in enumerate(zip(methods, means, strict=True)):
            y, width = 40 + 22 * line, (mean - low) / (most - low) * (wide - 90)
            colour = COLOURS.get(method, "#c8ccd0")
            parts.append(f'<rect x="{x}" y="{y}" width="{width:.1f}" height="16" fill="{colour}"/>')
            parts.append(f'<text x="{x + width + 5:.1f}" y="{y + 13}">{mean:.3f}</text>')
            if not panel:
                parts.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{method}</text>')
    size = f'width="{left + wide * len(NOISES)}" height="{high}"'
    style = 'font-family="system-ui, sans-serif" font-size="12"'
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n<title>Mean accuracy after one '
        f"turn of ±1 feedback</title>\n" + "\n".join(parts) + "\n</svg>\n",
        encoding="utf-8",
    )

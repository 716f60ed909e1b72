"""Rows of a benchmark: ``{name, value, low, high, target, holds}``, written, printed and judged."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure with its 95 % interval. ``target`` says in words what ``holds`` judged."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    target: str = ""
    holds: bool | None = None


def publish(bench: str, rows: Sequence[Row]) -> None:
    """Write ``results/<bench>.json`` and print the table; exit 1 when a row falls short."""
    keep(bench, rows)
    print(render(rows))
    if any(row.holds is False for row in rows):
        sys.exit(1)


def keep(bench: str, rows: Sequence[Row]) -> None:
    """Write ``results/<bench>.json``."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps([asdict(row) for row in rows], indent=1, ensure_ascii=False)
    (RESULTS / f"{bench}.json").write_text(text + "\n", encoding="utf-8")


def measured(bench: str, but: Sequence[Row]) -> list[Row]:
    """What ``results/<bench>.json`` holds from earlier, ``but`` for the rows of these names."""
    path, names = RESULTS / f"{bench}.json", {row.name for row in but}
    told = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return [Row(**row) for row in told if row["name"] not in names]


def render(rows: Sequence[Row]) -> str:
    """The table for a terminal.

    >>> print(render([Row("speed", 2.0, 1.5, 2.5, "at least 1", True)]))
    name   value  95 % interval  target      holds
    speed  2      1.5 to 2.5     at least 1  yes
    """
    verdict = {True: "yes", False: "NO", None: ""}
    cells = [("name", "value", "95 % interval", "target", "holds")]
    for row in rows:
        interval = "" if row.low is None else f"{row.low:.4g} to {row.high:.4g}"
        cells.append((row.name, f"{row.value:.4g}", interval, row.target, verdict[row.holds]))
    widths = [max(len(line[i]) for line in cells) for i in range(5)]
    padded = ("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in padded)

"""Mixed columns as numbers: what is learned once from training rows and applied to any row.

A column is a number, a date, a category or free text, told by its values. Numbers are
winsorised, scaled to mean 0 and variance 1 and, where rows are plenty, also encoded piecewise
linearly between quantiles (Gorishniy et al. 2022, "On embeddings for numerical features").
Missing values get an indicator where training rows had them, categories a place for the rest.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from upwell.errors import PluginError

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Kind = Literal["number", "date", "category", "text"]
Cells = Sequence[object]

MOSTLY = 0.95
"""The share of a column's values that decides what the column is."""
TAIL = 0.005
"""Share of values at either end that is pulled in, so that no cell outshouts the others."""
SPREAD = 0.25
"""Smallest scale of a number, as a share of its range: rare values must not shout."""
FARTHEST = 5.0
"""Largest scaled value of a number."""
BINS, FEWEST_BINS, ROWS_A_BIN, PLACES = 16, 6, 50, 256
"""Pieces of the piecewise-linear encoding: at most, at least, rows for each, and in all."""
CATEGORIES = 64
WORDS = 32
"""Places that the words of free text are hashed into."""
LONGEST_CATEGORY, LONGEST_TEXT = 256, 10_000
LARGEST = 1e30
"""Larger numbers count as this, so that their squares stay finite."""
FINEST = 1e-9
"""Quantiles nearer to each other than this share of the range are one."""
_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Column:
    """How one column is read. Which fields matter depends on ``kind``."""

    name: str
    kind: Kind
    low: float = 0.0
    high: float = 0.0
    center: float = 0.0
    scale: float = 1.0
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    missing: bool = False
    """Whether a missing value has a place of its own (training rows had some)."""

    def places(self) -> list[str]:
        """Names of the numbers that the column becomes."""
        gone = [f"{self.name}=missing"] if self.missing else []
        if self.kind == "category":
            return [f"{self.name}={one}" for one in self.categories] + [f"{self.name}=other", *gone]
        if self.kind == "text":
            return [f"{self.name}#{place}" for place in range(WORDS)]
        pieces = [f"{self.name}[{place}]" for place in range(max(len(self.edges) - 1, 0))]
        return [self.name, *pieces, *gone]

    def encode(self, cells: Cells) -> Floats:
        """(n, len(places)) numbers."""
        if self.kind == "category":
            return self._one_hot(cells)
        if self.kind == "text":
            return _hashed(cells)
        return self._scaled(numbers(cells) if self.kind == "number" else days(cells))

    def _scaled(self, values: Doubles) -> Floats:
        gone = np.isnan(values)
        value = np.where(gone, self.center, np.clip(values, self.low, self.high))
        found = [np.clip((value - self.center) / self.scale, -FARTHEST, FARTHEST)[:, None]]
        if self.edges:
            edges = np.array(self.edges)
            pieces = (value[:, None] - edges[:-1]) / np.diff(edges)
            found.append(np.where(gone[:, None], 0.0, np.clip(pieces, 0.0, 1.0)))
        if self.missing:
            found.append(gone[:, None])
        return np.concatenate(found, axis=1).astype(np.float32)

    def _one_hot(self, cells: Cells) -> Floats:
        other = len(self.categories)
        index = {name: place for place, name in enumerate(self.categories)}
        found = np.zeros((len(cells), other + 1 + self.missing), np.float32)
        for row, cell in enumerate(cells):
            name = _category(cell)
            if name is not None:
                found[row, index.get(name, other)] = 1.0
            elif self.missing:
                found[row, -1] = 1.0
        return found


def parse(inputs: Sequence[str | None]) -> list[dict[str, object]]:
    """Each input as its columns. Raises PluginError ``tabular.not_columns`` naming the row."""
    return [_parsed(place, text) for place, text in enumerate(inputs)]


def learn(rows: Sequence[Mapping[str, object]]) -> tuple[Column, ...]:
    """How to read the columns of ``rows``, in the order of their names.

    A column with one value is left out: it tells rows apart in nothing.
    """
    names = sorted({name for row in rows for name in row})
    bins = min(BINS, len(rows) // ROWS_A_BIN, PLACES // max(len(names), 1))
    found = (_learned(name, [row.get(name) for row in rows], bins) for name in names)
    return tuple(column for column in found if column is not None)


def encode(columns: Sequence[Column], rows: Sequence[Mapping[str, object]]) -> Floats:
    """(n, places) numbers of ``rows``; a column that a row lacks is missing there.

    >>> rows = [{"age": 20, "job": "cook"}, {"age": 40, "job": "smith"}, {"age": None}]
    >>> columns = learn(rows)
    >>> [place for column in columns for place in column.places()]
    ['age', 'age=missing', 'job=cook', 'job=smith', 'job=other', 'job=missing']
    >>> encode(columns, [{"age": 40, "job": "poet"}]).tolist()
    [[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]]
    """
    blocks = [column.encode([row.get(column.name) for row in rows]) for column in columns]
    return np.concatenate([np.zeros((len(rows), 0), np.float32), *blocks], axis=1)


def restored(plain: Mapping[str, Any]) -> Column:
    """The column of which ``plain`` is the JSON."""
    lists = {name: tuple(plain[name]) for name in ("edges", "categories")}
    return Column(**{**plain, **lists})


def number(cell: object) -> float:
    """A cell as a number: NaN where it is none."""
    try:
        return float(cell) if isinstance(cell, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return math.nan


def numbers(cells: Cells) -> Doubles:
    """(n,) numbers of a column within ±LARGEST, NaN where a cell is none."""
    try:
        found = np.array(cells, np.float64)
    except (TypeError, ValueError, OverflowError):
        found = np.empty(0)
    if found.shape != (len(cells),):
        found = np.array([number(cell) for cell in cells], np.float64)
    return np.clip(found, -LARGEST, LARGEST)


def days(cells: Cells) -> Doubles:
    """(n,) days since 1970-01-01 of ISO 8601 dates and times, NaN where a cell is none."""
    return np.array([_day(cell) for cell in cells], np.float64)


def _parsed(place: int, text: str | None) -> dict[str, object]:
    try:
        row = json.loads(text or "")
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise PluginError("tabular.not_columns", row=place, text=repr(text)[:80])
    return row


def _learned(name: str, cells: Cells, bins: int) -> Column | None:
    there = [cell for cell in cells if not _is_missing(cell)]
    missing = len(there) < len(cells)
    if not there:
        return None
    for kind, read in (("number", numbers), ("date", days)):
        values = read(there)
        if np.isfinite(values).mean() >= MOSTLY:
            whole = values[np.isfinite(values)]
            return _numeric(name, "date" if kind == "date" else "number", whole, missing, bins)
    named = [text for text in map(_category, there) if text is not None]
    counts = Counter(named)
    if len(counts) > CATEGORIES and len(counts) > len(named) / 2:
        return Column(name, "text")
    if len(counts) + missing < 2:
        return None
    fewest = 1 if len(named) < 200 else 2
    kept = [one for one, count in counts.most_common(CATEGORIES) if count >= fewest]
    return Column(name, "category", categories=tuple(sorted(kept)), missing=missing)


def _numeric(name: str, kind: Kind, values: Doubles, missing: bool, bins: int) -> Column | None:
    low, high = (float(one) for one in np.quantile(values, [TAIL, 1 - TAIL], method="nearest"))
    if low == high:
        low, high = float(values.min()), float(values.max())
    if low == high and not missing:
        return None
    inside = np.clip(values, low, high)
    center, scale = float(inside.mean()), max(float(inside.std()), SPREAD * (high - low)) or 1.0
    return Column(name, kind, low, high, center, scale, _edges(inside, bins), missing=missing)


def _edges(values: Doubles, bins: int) -> tuple[float, ...]:
    """Quantiles that bound the pieces; those of the distinct values where one value is common."""
    if bins < FEWEST_BINS:
        return ()
    shares = np.linspace(0.0, 1.0, bins + 1)
    edges = np.unique(np.quantile(values, shares))
    if len(edges) <= bins // 2:
        edges = np.unique(np.quantile(np.unique(values), shares))
    apart = np.diff(edges) > FINEST * (edges[-1] - edges[0])
    edges = edges[np.concatenate([[True], apart])]
    return tuple(edges.tolist()) if len(edges) > 2 else ()


def _is_missing(cell: object) -> bool:
    return cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell))


def _category(cell: object) -> str | None:
    """A cell's name as a category: text as it is, other values as JSON; None where missing."""
    if _is_missing(cell):
        return None
    text = cell if isinstance(cell, str) else json.dumps(cell, sort_keys=True)
    return text.strip()[:LONGEST_CATEGORY]


def _day(cell: object) -> float:
    if not isinstance(cell, str) or not re.match(r"\d{4}-?\d\d", cell):
        return math.nan
    try:
        when = datetime.fromisoformat(cell)
    except ValueError:
        return math.nan
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return aware.timestamp() / _DAY


def _hashed(cells: Cells) -> Floats:
    """(n, WORDS) bags of words, each word in a place told by its hash, of length 1."""
    found = np.zeros((len(cells), WORDS), np.float32)
    for row, cell in enumerate(cells):
        for word in re.findall(r"\w+", (_category_text(cell)).lower()):
            digest = hashlib.blake2b(word.encode(), digest_size=4).digest()
            found[row, int.from_bytes(digest) % WORDS] += 1.0
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.maximum(length, 1e-9), np.float32)


def _category_text(cell: object) -> str:
    if _is_missing(cell):
        return ""
    return (cell if isinstance(cell, str) else json.dumps(cell, sort_keys=True))[:LONGEST_TEXT]

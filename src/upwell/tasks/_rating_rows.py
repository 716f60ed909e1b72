"""Rows of ratings as numbers: targets, what each row states, and the scale they use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

from upwell.errors import PluginError
from upwell.tables import CORRECTED
from upwell.tasks._rating_net import CORRECTION, DIRECTION, LABEL

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_LEVELS = 21
"""Ordered levels at most: 0 to 10 by halves. Numbers with more are real."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The levels that targets take, rising; none where they are real numbers.

    Inside, real numbers are told by (value − centre) / unit.
    """

    levels: tuple[float, ...]
    centre: float
    unit: float

    @property
    def step(self) -> float:
        """What counts as one step: the smallest gap of levels, or half a standard deviation."""
        return float(np.diff(self.levels).min()) if self.levels else self.unit / 2


def scale_of(values: Floats) -> Scale:
    """Levels where few numbers come back again and again, else real numbers.

    >>> scale_of(np.array([1.0, 2.0, 2.0, 5.0, 5.0, 5.0])).levels
    (1.0, 2.0, 5.0)
    >>> scale_of(np.array([3.0, 3.0])).levels
    ()
    """
    levels = np.unique(values)
    if 2 <= len(levels) <= MOST_LEVELS and 2 * len(levels) <= len(values):
        return Scale(tuple(levels.tolist()), 0.0, 1.0)
    spread = float(values.std()) if len(values) else 0.0
    centre = float(values.mean()) if len(values) else 0.0
    return Scale((), centre, spread if spread > 1e-9 * max(abs(centre), 1.0) else 1.0)


def targets(rows: pa.Table) -> Floats:
    """(n,) the targets as numbers. Raises PluginError ``rating.bad_target`` for anything else."""
    found = np.empty(rows.num_rows)
    for place, text in enumerate(rows["target"].to_pylist()):
        found[place] = as_number(text)
    bad = np.flatnonzero(~np.isfinite(found))
    if len(bad):
        row = rows.slice(int(bad[0]), 1).to_pylist()[0]
        shown = str(row["target"])[:80]
        raise PluginError("rating.bad_target", rows=len(bad), id=row["id"], target=shown)
    return found


def as_number(text: str | None) -> float:
    """The number a text says; NaN where it says none.

    >>> as_number(" 4.5 "), as_number("four")
    (4.5, nan)
    """
    try:
        return float(text or "nan")
    except ValueError:
        return np.nan


def kinds(rows: pa.Table) -> Ints:
    """(n,) LABEL, CORRECTION (what a user said is right) or DIRECTION (higher or lower)."""
    signed = rows["sign"].is_valid().to_numpy()
    right = pc.and_kleene(pc.equal(rows["sign"], 1), pc.ends_with(rows["id"], CORRECTED))
    corrected = pc.fill_null(right, False).to_numpy()
    return np.where(signed, np.where(corrected, CORRECTION, DIRECTION), LABEL).astype(np.int64)


def features(rows: pa.Table) -> Floats:
    """(n, m) the behaviour features; m is the largest number of any row, what lacks is 0."""
    column = rows["features"].combine_chunks()
    width = int(pc.max(pc.list_value_length(column)).as_py() or 0)
    found = np.zeros((rows.num_rows, width))
    for row, told in enumerate(column.to_pylist() if width else ()):
        found[row, : len(told or ())] = told or ()
    return np.nan_to_num(found, posinf=0.0, neginf=0.0)


def seconds(rows: pa.Table) -> Ints:
    """(n,) when each row happened, in whole seconds since 1970."""
    return np.asarray(rows["at"].cast(pa.int64()).to_numpy() // 1_000_000, np.int64)


def codes(values: pa.ChunkedArray, index: dict[str, int]) -> Ints:
    """(n,) the number of each name; ``len(index)`` for names that are not in it."""
    names = values.combine_chunks().dictionary_encode()
    known = np.array([index.get(name, len(index)) for name in names.dictionary.to_pylist()], int)
    return known[names.indices.to_numpy()] if len(known) else np.zeros(0, np.int64)

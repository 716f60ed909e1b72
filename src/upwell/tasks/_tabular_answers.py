"""Answers of the tabular task as a table, and what they earn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.special import log_ndtr, ndtri

METRIC = "log_likelihood"
LEAST = 1e-6
"""The smallest probability that a mark counts with, so that no row outweighs all others."""
VALUE = "tabular.value"
"""The reason's key that tells a number from a class."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Outputs, their probabilities and reasons: a list each, by row."""

    outputs: Sequence[Sequence[str]]
    scores: Sequence[Sequence[float]]
    reasons: Sequence[Sequence[str]]


def listed(said: Listed) -> pa.Table:
    """The columns that ``answer`` promises."""
    return pa.table(
        {
            "output": pa.array(said.outputs, pa.list_(pa.string())),
            "score": pa.array(said.scores, pa.list_(pa.float64())),
            "reason": pa.array(said.reasons, pa.list_(pa.string())),
        }
    )


def baseline(targets: Sequence[str], rows: int, k: int) -> pa.Table:
    """The same answer for every row: classes by their share of ``targets``."""
    counts = sorted(Counter(targets).items(), key=lambda one: (-one[1], one[0]))[:k]
    names, shares = [name for name, _ in counts], [n / len(targets) for _, n in counts]
    return listed(Listed([names] * rows, [shares] * rows, [["tabular.less\t"] * len(names)] * rows))


def mark(rows: pa.Table, answers: pa.Table) -> pa.Table:
    """Marks of each row: of the probabilities, of the first answer, and of its distance.

    ``log_likelihood``: of the target, at least log(LEAST). ``accuracy``: whether the first answer
    is the target. ``negative_squared_error``: of a class, −Σ (p − y)² over the classes (the Brier
    score); of a number, −(answer − target)². ``negative_absolute_error``: of a class, −1 where
    wrong; of a number, −|answer − target|.
    """
    found = [
        _number(target, *said)
        if said[2][:1] and said[2][0].startswith(VALUE)
        else _class(target, *said)
        for target, *said in zip(
            rows["target"].to_pylist(),
            *(answers[name].to_pylist() for name in ("output", "score", "reason")),
            strict=True,
        )
    ]
    columns = np.array(found, np.float64).reshape(-1, 4)
    names = (METRIC, "accuracy", "negative_squared_error", "negative_absolute_error")
    return pa.table({name: columns[:, place] for place, name in enumerate(names)})


def _class(
    target: str, outputs: list[str], scores: list[float], reasons: list[str]
) -> tuple[float, float, float, float]:
    given = dict(zip(outputs, scores, strict=True))
    chance = given.get(target, 0.0)
    right = float(bool(outputs) and outputs[0] == target)
    brier = sum(score * score for score in scores) - chance * chance + (1.0 - chance) ** 2
    return math.log(min(max(chance, LEAST), 1.0)), right, -brier, right - 1.0


def _number(
    target: str, outputs: list[str], scores: list[float], reasons: list[str]
) -> tuple[float, float, float, float]:
    apart = abs(float(outputs[0]) - float(target))
    cell = abs(float(outputs[1]) - float(outputs[0])) if len(outputs) > 1 else math.inf
    right = float(apart < cell / 2)
    chance = _chance(apart, cell, scores[0]) if len(outputs) > 1 else right * scores[0]
    return math.log(min(max(chance, LEAST), 1.0)), right, -apart * apart, -apart


def _chance(apart: float, cell: float, first: float) -> float:
    """The probability of a target's cell, by the normal whose central cell has ``first``."""
    scale = cell / 2 / max(float(ndtri((1.0 + min(first, 1 - 1e-12)) / 2)), 1e-9)
    high, low = log_ndtr((cell / 2 - apart) / scale), log_ndtr((-cell / 2 - apart) / scale)
    return float(math.exp(high) - math.exp(low))

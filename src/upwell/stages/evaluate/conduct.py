"""How a model answers, whatever it is worth: length, silence, how much of a catalogue it shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

from upwell.stages.evaluate import paired, ranking
from upwell.stages.evaluate.guards import Finding, unmeasured
from upwell.stages.evaluate.marks import Judged

Floats = npt.NDArray[np.float64]

RESAMPLES = 500
CLOSED = 0.5
"""Answers are free text where at least this share of them differ from each other."""


def length(
    mine: Judged,
    before: Judged,
    users: pa.ChunkedArray,
    confidence: float,
    rng: np.random.Generator,
) -> Finding:
    """The change in the mean length of first answers (characters), as a share of what it was.

    Sure where the bootstrap interval of the difference over users leaves 0 out. Labels have no
    length worth watching: unmeasured where answers repeat themselves.
    """
    texts = [_first(judged) for judged in (mine, before)]
    if any(len(pc.unique(one)) < CLOSED * len(one) for one in texts):
        return unmeasured("closed")
    sizes = [np.asarray(pc.utf8_length(one), dtype=np.float64) for one in texts]
    found = _changed(sizes[0], sizes[1], users, confidence, rng)
    was = float(sizes[1].mean())
    return Finding((found.value or 0.0) / max(was, 1.0), found.sure, found.told)


def abstention(
    mine: Judged,
    before: Judged,
    below: float,
    users: pa.ChunkedArray,
    confidence: float,
    rng: np.random.Generator,
) -> Finding:
    """The change in the share of rows whose best answer is less probable than ``below``."""
    if not below:
        return unmeasured("never_abstains")
    silent = [
        (ranking.first_scores(judged.answers["score"]) < below).astype(np.float64)
        for judged in (mine, before)
    ]
    return _changed(silent[0], silent[1], users, confidence, rng)


def concentration(mine: Judged, before: Judged, catalogue: int) -> Finding:
    """The rise of the Gini coefficient of how often each item is shown."""
    now, was = (ranking.concentration(one.answers["output"], catalogue) for one in (mine, before))
    return Finding(now - was, told={"before": was, "after": now})


def coverage(mine: Judged, before: Judged, catalogue: int) -> Finding:
    """The fall of the share of the catalogue that is shown, as a share of what it was."""
    now, was = (ranking.coverage(one.answers["output"], catalogue) for one in (mine, before))
    return Finding(1.0 - now / was if was else 0.0, told={"before": was, "after": now})


def _changed(
    now: Floats,
    was: Floats,
    users: pa.ChunkedArray,
    confidence: float,
    rng: np.random.Generator,
) -> Finding:
    """The size of the change of a mean over rows, with its bootstrap over users."""
    per_user = paired.user_means(users, (now - was)[:, None])
    _, low, high = (float(x) for x in paired.intervals(per_user, RESAMPLES, confidence, rng)[0])
    ends = float(was.mean()), float(now.mean())
    told = {"before": ends[0], "after": ends[1], "rows": len(now)}
    return Finding(abs(ends[1] - ends[0]), low > 0.0 or high < 0.0, told)


def _first(judged: Judged) -> pa.Array:
    """Each row's first answer, '' where there is none."""
    lists = judged.answers["output"].combine_chunks()
    there = pc.greater(pc.list_value_length(lists), 0)
    padded = pc.if_else(there, lists, pa.scalar([""], lists.type))
    return pc.list_element(padded, 0)

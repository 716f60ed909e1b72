"""A request in; an answer with scores, reasons and its propensity out.

The policy is slot exploration. The ``k`` best candidates are shown as they are with probability
1 − ε. Otherwise one of the k slots, chosen evenly, gets one of the runners-up, chosen evenly
among the candidates of ranks k+1 … ``POOL``·k. Each list can arise in one way only, so its
propensity is exact: 1 − ε for the greedy list, ε / (k · runners-up) for every explored one; with
no runner-up there is nothing to explore and it is 1. For k = 1 this is ε-greedy.

Where the best candidate is less probable than ``abstain`` nothing is shown, and that is certain.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

from upwell.ports import Model

POOL = 2
"""Candidates asked of the task, as a multiple of ``k``, when exploring."""

_FIRST = pa.scalar(0, pa.int64())
Integers = npt.NDArray[np.int64]


class Answering(Protocol):
    """What serving needs of a task (see ``ports.Task``)."""

    def load(self, folder: Path) -> Model:
        """A model that was saved."""
        ...

    def answer(self, model: Any, inputs: pa.Table, k: int) -> pa.Table:
        """The ``k`` best outputs for each row."""
        ...


def answer(
    task: Answering,
    model: Model,
    inputs: pa.Table,
    k: int,
    explore: float,
    rng: np.random.Generator,
    abstain: float = 0.0,
) -> pa.Table:
    """What to show for each input row.

    Columns ``output``, ``score`` and ``reason`` (lists of at most ``k``, as the task gave them)
    and ``propensity``: the probability with which exactly this list was chosen. ``explore`` is ε;
    at 0 the generator is not used. A row is empty where the best score is below ``abstain``.
    ``explored`` is the slot (from 0) that chance has filled, null where none.
    """
    candidates = task.answer(model, inputs, POOL * k if explore else k)
    starts, lengths = _extent(candidates)
    lengths = np.where(_best(candidates["score"], lengths) < abstain, 0, lengths)
    sizes = np.minimum(k, lengths)
    shown = _greedy(starts, sizes)
    runners = lengths - sizes
    propensity = np.where(runners > 0, 1.0 - explore, 1.0)
    explored = np.full(len(sizes), -1)
    if explore:
        chosen = np.flatnonzero((runners > 0) & (rng.random(len(sizes)) < explore))
        ends = np.cumsum(sizes)
        slots = rng.integers(sizes[chosen])
        picks = rng.integers(runners[chosen])
        shown[ends[chosen] - sizes[chosen] + slots] = starts[chosen] + sizes[chosen] + picks
        explored[chosen] = slots
        propensity[chosen] = explore / (sizes[chosen] * runners[chosen])
    columns = {
        name: _picked(candidates[name], shown, sizes) for name in ("output", "score", "reason")
    }
    slot = pa.array(explored, pa.int64(), mask=explored < 0)
    return pa.table({**columns, "propensity": pa.array(propensity, pa.float64()), "explored": slot})


def _extent(candidates: pa.Table) -> tuple[Integers, Integers]:
    """(n,) where each row's list begins among the flattened values, and its length."""
    lengths = np.asarray(pc.list_value_length(candidates["output"]), dtype=np.int64)
    return np.cumsum(lengths) - lengths, lengths


def _best(scores: pa.ChunkedArray, lengths: Integers) -> npt.NDArray[np.float64]:
    """(n,) the first score of every list; infinite where there is none."""
    found = np.full(len(lengths), np.inf)
    some = lengths > 0
    found[some] = pc.list_element(scores.filter(pa.array(some, pa.bool_())), _FIRST).to_numpy()
    return found


def _greedy(starts: Integers, sizes: Integers) -> Integers:
    """Flat indices of the first ``sizes`` values of every list, list after list."""
    before = np.cumsum(sizes) - sizes
    return np.repeat(starts - before, sizes) + np.arange(int(sizes.sum()))


def _picked(column: pa.ChunkedArray, shown: Integers, sizes: Integers) -> pa.ListArray:
    """Lists of ``sizes`` made of the flattened values at ``shown``."""
    values = column.combine_chunks().flatten().take(pa.array(shown))
    ends = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), values)


def chances(
    task: Answering,
    model: Model,
    inputs: pa.Table,
    k: int,
    explore: float,
    outputs: Sequence[Sequence[str]],
    abstain: float = 0.0,
) -> npt.NDArray[np.float64]:
    """(n,) the probability with which ``answer`` of this model would show exactly ``outputs``."""
    candidates = task.answer(model, inputs, POOL * k if explore else k)
    _, lengths = _extent(candidates)
    lengths = np.where(_best(candidates["score"], lengths) < abstain, 0, lengths)
    listed = candidates["output"].to_pylist()
    pairs = zip(listed, lengths, outputs, strict=True)
    return np.array(
        [_chance(known[:size], list(shown), k, explore) for known, size, shown in pairs],
        dtype=np.float64,
    )


def _chance(candidates: Sequence[str], shown: Sequence[str], k: int, explore: float) -> float:
    """The probability of one list under the policy of this module."""
    best, runners = candidates[:k], candidates[k:]
    if shown == best:
        return 1.0 - explore if runners and explore else 1.0
    if len(shown) != len(best) or not explore:
        return 0.0
    changed = [item for item, usual in zip(shown, best, strict=True) if item != usual]
    is_explored = len(changed) == 1 and changed[0] in runners
    return explore / (len(best) * len(runners)) if is_explored else 0.0

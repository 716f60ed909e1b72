"""A model or a baseline on trial: its answers to the judged rows and the marks they earn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
import pyarrow as pa
from pyarrow import compute as pc

from upwell.errors import StageError
from upwell.ports import Baselined, Judging, Model, Task
from upwell.tables import Dataset

CHAMPION = "champion"
"""The name under which a Report shows the champion among opponents; no baseline may take it."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one contender said and earned; rows of the three tables belong together.

    ``name`` is a model version's id or a baseline's name. ``answers`` has columns ``output`` and
    ``score`` (lists, empty where the task judges without them); ``marks`` has one float column a
    metric, larger is better.
    """

    name: str
    rows: pa.Table
    answers: pa.Table
    marks: pa.Table


def judged_rows(rows: pa.Table, task: object = None) -> pa.Table:
    """The rows a model is judged on: weight > 0, and a label or a +1.

    A −1 says what was wrong, not what would have been right, so only a ``task`` that judges by
    what is probable is judged on it; a row of weight 0 is context.

    >>> from upwell.records import Example
    >>> judged_rows(pa.table({"weight": [1.0, 0.0, 1.0, 1.0], "sign": [None, 1, -1, 1]})).num_rows
    2
    """
    counts = pc.greater(rows["weight"], 0.0)
    if isinstance(task, Judging):
        return rows.filter(counts)
    return rows.filter(pc.and_(counts, pc.fill_null(pc.greater(rows["sign"], 0), True)))


def check_metric(task: Task, metric: str, rows: pa.Table) -> None:
    """Raise StageError ``evaluate.unknown_metric`` where the task gives no such mark to ``rows``.

    No model is needed: answers that are all right are marked. An empty name is the task's choice.
    """
    if not metric or not rows.num_rows:
        return
    few = rows.slice(0, 1)
    right = pa.table({"output": [few["target"].to_pylist()], "score": [[1.0]]})
    known = task.mark(few, right).column_names
    if metric not in known:
        nearest = (get_close_matches(metric, known, 1, 0.0) or known)[0]
        raise StageError(
            "evaluate.unknown_metric", metric=metric, nearest=nearest, known=", ".join(known)
        )


def spread(rows: pa.Table, per_user: int) -> pa.Table:
    """At most ``per_user`` rows of each user, evenly spread over the user's rows, in order.

    Users count alike whatever they did, so many rows of one user cost much and say little.

    >>> spread(pa.table({"user": ["a"] * 5 + ["b"], "n": [0, 1, 2, 3, 4, 5]}), 2)["n"].to_pylist()
    [0, 3, 5]
    """
    codes = rows["user"].combine_chunks().dictionary_encode().indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    places = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    size = np.repeat(sizes, sizes)
    step = places * per_user // np.maximum(size, per_user)
    first = np.append(True, (step[1:] != step[:-1]) | (places[1:] == 0))[: len(codes)]
    chosen = order[(size <= per_user) | first]
    return rows.take(np.sort(chosen))


def judge(
    task: Task, model: Model, rows: pa.Table, k: int, *, name: str, batch_rows: int = 1024
) -> Judged:
    """Answer and mark the rows that count (``judged_rows``), a batch at a time.

    Memory beyond the result is that of one batch. Raises StageError when no row counts or the
    task's answers or marks are not aligned with its rows.
    """
    chosen = judged_rows(rows, task)
    if not chosen.num_rows:
        raise StageError("evaluate.no_rows", rows=rows.num_rows)
    if isinstance(task, Judging):
        marked = _aligned(chosen, task.judge(model, chosen), "judge")
        return Judged(name, chosen, _no_answers(chosen.num_rows), marked)
    answers, marks = [], []
    for batch in _batches(chosen, batch_rows):
        said = task.answer(model, batch, k)
        answers.append(_aligned(batch, said, "answer").select(["output", "score"]))
        marks.append(_aligned(batch, task.mark(batch, said), "mark"))
    return Judged(name, chosen, pa.concat_tables(answers), pa.concat_tables(marks))


def judge_baselines(task: Task, data: Dataset, rows: pa.Table, k: int) -> list[Judged]:
    """The task's own baselines, judged on the same rows as ``judge``; none where it has none."""
    chosen = judged_rows(rows, task)
    if not chosen.num_rows:
        raise StageError("evaluate.no_rows", rows=rows.num_rows)
    offered = task.baselines(data, chosen, k) if isinstance(task, Baselined) else {}
    found = []
    for name, said in offered.items():
        if name == CHAMPION:
            raise StageError("evaluate.taken_name", name=name)
        answers = _aligned(chosen, said, "baselines").select(["output", "score"])
        marks = _aligned(chosen, task.mark(chosen, said), "mark")
        found.append(Judged(name, chosen, answers, marks))
    return found


def _no_answers(rows: int) -> pa.Table:
    """Answers of a model that was not asked for any."""
    none: list[list[str]] = [[]] * rows
    kinds = {"output": pa.string(), "score": pa.float64()}
    return pa.table({name: pa.array(none, pa.list_(kind)) for name, kind in kinds.items()})


def _batches(rows: pa.Table, size: int) -> Iterator[pa.Table]:
    for start in range(0, rows.num_rows, size):
        yield rows.slice(start, size)


def _aligned(rows: pa.Table, found: pa.Table, verb: str) -> pa.Table:
    if found.num_rows != rows.num_rows:
        raise StageError(
            "evaluate.unaligned", verb=verb, found=found.num_rows, wanted=rows.num_rows
        )
    return found

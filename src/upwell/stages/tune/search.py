"""Chooses λ: what the settings say, else a grid judged on validation, else the rule."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from upwell.ports import Model, Task
from upwell.settings import TuneSettings
from upwell.stages.tune import weights
from upwell.stages.tune.trainer import Progress, train
from upwell.tables import Dataset

SHORT = 4
"""A run of the grid has at most this part of the epochs."""
TRIED = pa.schema([("label_share", pa.float64()), ("validation", pa.float64())])


@dataclass(frozen=True, slots=True)
class LabelShare:
    """λ, where it comes from, and what each λ of the grid reached on validation."""

    value: float
    by: Literal["settings", "grid", "rule"]
    tried: pa.Table


def choose_label_share(
    task: Task,
    model: Model,
    data: Dataset,
    settings: TuneSettings,
    *,
    seed: int,
    progress: Callable[[Progress], None] = lambda _: None,
    metric: Callable[[Model], float] | None = None,
) -> LabelShare:
    """λ for training ``model``, which is not changed.

    With ``settings.label_share_grid`` each λ trains a copy for a quarter of the epochs and all are
    judged alike: by ``metric``, or by the held-out likelihood under the rule's λ. The frozen
    test is never looked at. Where nothing is held out, or there is only one kind of rows, the
    grid has nothing to choose by and the rule holds.
    """
    none = TRIED.empty_table()
    if settings.label_share != "auto":
        return LabelShare(settings.label_share, "settings", none)
    labels, feedback = weights.counts(data.train)
    rule = weights.label_share(labels, feedback)
    judged = metric is not None or any(weights.counts(data.validation))
    if not (settings.label_share_grid and labels and feedback and judged):
        return LabelShare(rule, "rule", none)
    short = settings.model_copy(update={"epochs": max(1, settings.epochs // SHORT)})
    rows = []
    for share in settings.label_share_grid:
        trained = train(
            task, copy.deepcopy(model), data, short,
            label_share=share, judged_share=rule, seed=seed, progress=progress, metric=metric,
        )  # fmt: skip
        reached = trained.curve["validation"][trained.best_epoch].as_py()
        rows.append({"label_share": share, "validation": reached})
    better = max if metric else min
    best = better(rows, key=lambda row: row["validation"])
    return LabelShare(best["label_share"], "grid", pa.Table.from_pylist(rows, schema=TRIED))

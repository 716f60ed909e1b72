"""Rows to batches: planned once from columns, collated once, kept while they fit in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from accelerate.utils import send_to_device
from numpy.typing import NDArray
from torch import Tensor, nn

from upwell.ports import Batch, Task
from upwell.settings import TuneSettings
from upwell.stages.tune.objective import Objective, Shown, label_loss

KEPT_BYTES = 1 << 30
"""Collated batches are kept for the next epoch up to this many bytes; others are made anew."""
BUCKET = 64
"""Users are sorted by length within random groups of this many batches."""

Order = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Part:
    """One batch: what the task sees, and where its labels and its feedback are.

    ``labels`` and ``feedback`` are positions in the batch; rows in neither are context.
    """

    inputs: Batch
    labels: Tensor
    label_weight: Tensor
    feedback: Tensor
    sign: Tensor
    weight: Tensor
    reliability: Tensor
    propensity: Tensor

    def sums(self, log_prob: Tensor, objective: Objective, settings: TuneSettings) -> Tensor:
        """(2,): Σ w ℓ over the labels, then over the feedback."""
        on_labels = (self.label_weight * label_loss(log_prob[self.labels])).sum()
        if not len(self.feedback):
            return torch.stack([on_labels, on_labels.new_zeros(())])
        shown = Shown(
            log_prob[self.feedback], self.sign, self.weight, self.reliability, self.propensity
        )
        return torch.stack([on_labels, (self.weight * objective(shown, settings)).sum()])


class Batches:
    """The batches of one split, in the order of ``plan``; each holds a row that is learned from."""

    def __init__(self, task: Task, model: nn.Module, rows: pa.Table, size: int, seed: int) -> None:
        self.task = task
        self.model = model
        self.rows = rows.combine_chunks()
        self.device = next((p.device for p in model.parameters()), torch.device("cpu"))
        weight = rows["weight"].to_numpy()
        self.label = rows["sign"].is_null().to_numpy()
        self.learned = weight > 0
        self.plan = plan(rows, self.learned, size, seed, by_user=task.BATCH_BY == "user")
        self.totals = torch.tensor(
            [weight[self.label].sum(), weight[~self.label].sum()], dtype=torch.float64
        )
        self._kept: dict[int, Part] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> Part:
        if number in self._kept:
            return self._kept[number]
        part = self._collate(self.plan[number])
        size = sum(tensor.nbytes for tensor in part.inputs.values())
        if self._bytes + size <= KEPT_BYTES:
            self._kept[number] = part
            self._bytes += size
        return part

    def most_mixed(self) -> int:
        """Number of the batch with the most rows of the rarer kind, labels or feedback."""
        fewer = [
            min(int((self.label[o] & self.learned[o]).sum()), int((~self.label[o]).sum()))
            for o in self.plan
        ]
        return int(np.argmax(fewer))

    def _collate(self, order: Order) -> Part:
        rows = self.rows.take(pa.array(order))
        label = self.label[order]
        (labels,) = np.nonzero(label & self.learned[order])
        (feedback,) = np.nonzero(~label & self.learned[order])
        numbers = {name: _floats(rows, name) for name in ("sign", "weight", "reliability")}
        part = {
            "inputs": self.task.collate(self.model, rows),
            "labels": torch.from_numpy(labels),
            "label_weight": numbers["weight"][labels],
            "feedback": torch.from_numpy(feedback),
            "propensity": _floats(rows, "propensity")[feedback],
            **{name: column[feedback] for name, column in numbers.items()},
        }
        moved: dict[str, Any] = send_to_device(part, self.device)
        return Part(**moved)


def plan(
    rows: pa.Table, learned: NDArray[np.bool_], size: int, seed: int, *, by_user: bool
) -> list[Order]:
    """Positions of the rows of each batch, about ``size`` rows in each.

    By row: rows that are learned from, in random order. By user: whole users, context rows
    included, in the table's order; users of similar length together; users of whom nothing is
    learned are left out.
    """
    rng = np.random.default_rng(seed)
    if not by_user:
        order = rng.permutation(np.nonzero(learned)[0])
        return [order[at : at + size] for at in range(0, len(order), size)]
    users = rows["user"].combine_chunks().dictionary_encode()
    code = users.indices.to_numpy()
    length = np.bincount(code, minlength=len(users.dictionary))
    start = np.cumsum(length) - length
    together = np.argsort(code, kind="stable")
    useful = np.unique(code[learned])
    shuffled = rng.permutation(useful)
    bucket = np.cumsum(length[shuffled]) // (BUCKET * size)
    chosen = shuffled[np.lexsort((length[shuffled], bucket))]
    batch = (np.cumsum(length[chosen]) - length[chosen]) // size
    members = np.split(chosen, np.nonzero(np.diff(batch))[0] + 1) if len(chosen) else []
    return [
        np.concatenate([together[start[u] : start[u] + length[u]] for u in one]) for one in members
    ]


def _floats(rows: pa.Table, name: str) -> Tensor:
    """A column as float32, missing values as NaN."""
    column = rows[name].to_numpy().astype(np.float32)
    return torch.from_numpy(column)

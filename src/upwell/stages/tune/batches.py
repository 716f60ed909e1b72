"""Rows to batches: planned once from columns, collated once, kept while they fit in memory."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from accelerate.utils import send_to_device
from numpy.typing import NDArray
from torch import Tensor, nn

from upwell.ports import Batch, Task
from upwell.settings import TuneSettings
from upwell.stages.tune.objective import CONTRASTED, HEEDING, PAIRED, label_loss
from upwell.stages.tune.plans import Order, by_row, by_user, pairs, partners, same_input
from upwell.stages.tune.shown import Objective, Shown

KEPT_BYTES = 1 << 30
"""Collated batches are kept for the next epoch up to this many bytes; others are made anew."""


@dataclass(frozen=True, slots=True)
class Part:
    """One batch: what the task sees, and where its labels and its feedback are.

    ``labels`` and ``feedback`` are positions in the batch; rows in neither are context. The
    fields below ``feedback`` are aligned with it (see ``Shown``).
    """

    inputs: Batch
    labels: Tensor
    label_weight: Tensor
    feedback: Tensor
    sign: Tensor
    weight: Tensor
    reliability: Tensor
    propensity: Tensor
    partner: Tensor | None = None
    reference: Tensor | None = None

    def sums(self, log_prob: Tensor, objective: Objective, settings: TuneSettings) -> Tensor:
        """(2,): Σ w ℓ over the labels, then over the feedback."""
        on_labels = (self.label_weight * label_loss(log_prob[self.labels])).sum()
        if not len(self.feedback):
            return torch.stack([on_labels, on_labels.new_zeros(())])
        shown = Shown(
            log_prob[self.feedback],
            self.sign,
            self.weight,
            self.reliability,
            self.propensity,
            self.reference,
            self.partner,
        )
        return torch.stack([on_labels, (self.weight * objective(shown, settings)).sum()])

    def weighted(self, rows: Tensor) -> Tensor:
        """(2,): Σ w·x of one number a row of the batch, over the labels, then the feedback."""
        on_labels = (self.label_weight * rows[self.labels]).sum()
        return torch.stack([on_labels, (self.weight * rows[self.feedback]).sum()])


class Batches:
    """The batches of one split, in the order of ``plan``; each holds a row that is learned from.

    What is read is what ``objective`` learns from: where there are likes or labels, ``positives``
    read no dislikes, and ``PAIRED`` none without a partner, which nothing would balance.
    ``CONTRASTED`` ones have what was said to one input beside each other, ``size`` rows of it at
    most. All but ``HEEDING`` count feedback by how reliable its user is besides.
    """

    def __init__(
        self, task: Task, model: nn.Module, rows: pa.Table, size: int, seed: int,
        objective: str = "likelihood",
    ) -> None:  # fmt: skip
        self.task = task
        self.model = model
        self.rows = rows.combine_chunks()
        self.device = _device(model)
        self.label = rows["sign"].is_null().to_numpy()
        self.weight = rows["weight"].to_numpy().copy()
        if objective not in HEEDING:
            self.weight[~self.label] *= rows["reliability"].to_numpy()[~self.label]
        self.partner = partners(rows)
        self.learned = self._read(objective)
        if task.BATCH_BY == "user":
            self.plan = by_user(rows, self.learned, size, seed)
        else:
            contrasts = objective in CONTRASTED
            units = same_input(rows, self.learned, size) if contrasts else pairs(self.partner)
            self.plan = by_row(rows, self.learned, units, size, seed)
        sides = (self.learned & self.label, self.learned & ~self.label)
        self.totals = torch.tensor([self.weight[side].sum() for side in sides], dtype=torch.float64)
        self.reference: Tensor | None = None
        self._kept: dict[int, Part] = {}
        self._bytes = 0

    def _read(self, objective: str) -> NDArray[np.bool_]:
        """(n,) booleans: the row is learned from."""
        there: NDArray[np.bool_] = self.weight > 0
        liked: NDArray[np.bool_] = there & (self.rows["sign"].fill_null(1).to_numpy() >= 0)
        if objective not in ("positives", PAIRED) or not liked.any():
            return there
        partner = self.partner.clip(min=0)
        paired = there & (self.partner >= 0) & there[partner]
        return liked | paired if objective == PAIRED else liked

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> Part:
        if number in self._kept:
            return self._kept[number]
        part = self.collated(self.plan[number])
        size = sum(tensor.nbytes for tensor in part.inputs.values())
        if self._bytes + size <= KEPT_BYTES:
            self._kept[number] = part
            self._bytes += size
        return part

    def like(self, model: nn.Module) -> Batches:
        """The same batches, made for another model."""
        other = copy(self)
        other.model, other.device = model, _device(model)
        other._kept, other._bytes = {}, 0
        return other

    def refer(self, log_prob: Tensor) -> None:
        """From now on, ``log_prob`` (one a row of the split) is what the losses stand on."""
        self.reference = log_prob.cpu()
        for number, part in self._kept.items():
            found = self._referred(self.plan[number], part.feedback.cpu())
            self._kept[number] = replace(part, reference=send_to_device(found, self.device))

    def most_mixed(self, rows: int) -> list[int]:
        """Numbers of the batches with the most rows of the rarer kind, labels or feedback.

        As few of them as hold ``rows`` rows.
        """
        fewer = [
            min(int((self.label[o] & self.learned[o]).sum()), int((~self.label[o]).sum()))
            for o in self.plan
        ]
        ranked = np.argsort(-np.array(fewer), kind="stable")
        held = np.cumsum([len(self.plan[number]) for number in ranked])
        return [int(number) for number in ranked[: int(np.searchsorted(held, rows)) + 1]]

    def spread(self, rows: int) -> list[int]:
        """Numbers of batches from all of the plan, with about ``rows`` rows, the first included."""
        size = max(1, sum(map(len, self.plan)) // max(len(self.plan), 1))
        wanted = min(-(-rows // size), len(self.plan))
        return [number * len(self.plan) // wanted for number in range(wanted)]

    def collated(self, order: Order) -> Part:
        """The rows at ``order`` as one batch, which is not kept."""
        rows = self.rows.take(pa.array(order))
        label = self.label[order]
        (labels,) = np.nonzero(label & self.learned[order])
        (feedback,) = np.nonzero(~label & self.learned[order])
        numbers = {name: _floats(rows, name) for name in ("sign", "reliability")}
        numbers["weight"] = torch.from_numpy(self.weight[order].astype(np.float32))
        part = {
            "inputs": self.task.collate(self.model, rows),
            "labels": torch.from_numpy(labels),
            "label_weight": numbers["weight"][labels],
            "feedback": torch.from_numpy(feedback),
            "propensity": _floats(rows, "propensity")[feedback],
            "partner": self._partners(order[feedback]),
            "reference": self._referred(order, torch.from_numpy(feedback)),
            **{name: column[feedback] for name, column in numbers.items()},
        }
        moved: dict[str, Any] = send_to_device(part, self.device)
        return Part(**moved)

    def _partners(self, rows: Order) -> Tensor | None:
        """(n,) where in ``rows`` each row's partner is, −1: not there; None: no row has one."""
        wanted = self.partner[rows]
        if not (wanted >= 0).any():
            return None
        order = np.argsort(rows)
        place = order[np.searchsorted(rows, wanted, sorter=order).clip(max=len(rows) - 1)]
        return torch.from_numpy(np.where(rows[place] == wanted, place, -1))

    def _referred(self, order: Order, feedback: Tensor) -> Tensor | None:
        return None if self.reference is None else self.reference[torch.from_numpy(order)][feedback]


def _device(model: nn.Module) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def _floats(rows: pa.Table, name: str) -> Tensor:
    """A column as float32, missing values as NaN."""
    column: NDArray[np.float32] = rows[name].to_numpy().astype(np.float32)
    return torch.from_numpy(column)

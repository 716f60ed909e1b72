"""What changes while a model learns: its weights, their moving average and the optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import Tensor, nn

from upwell.errors import StageError
from upwell.ports import Batch, Model, Task
from upwell.settings import TuneSettings
from upwell.stages.tune import checkpoint
from upwell.stages.tune.batches import Batches, Part
from upwell.stages.tune.objective import OBJECTIVES, Objective, combined

CLIP = 1.0
"""Largest norm of a step's gradient."""
LAST_RATE = 0.05
"""The learning rate falls to this share of itself."""


class Scorer(nn.Module):
    """A task's ``log_prob`` as a module, so that processes and precision wrap around it."""

    def __init__(self, task: Task, model: Model, precision: torch.dtype | None) -> None:
        super().__init__()
        self.task = task
        self.model = model
        self.precision = precision

    def forward(self, inputs: Batch) -> Tensor:
        """(n,) log-probabilities in at least single precision."""
        device = next(iter(inputs.values())).device.type
        with torch.autocast(device, self.precision, enabled=self.precision is not None):
            log_prob = self.task.log_prob(self.model, inputs)
        return log_prob.float() if log_prob.dtype.itemsize < torch.float32.itemsize else log_prob


class Learner:
    """One model in training on this process's device."""

    def __init__(self, task: Task, model: Model, settings: TuneSettings, seed: int) -> None:
        parallel = DistributedDataParallelKwargs(find_unused_parameters=True)
        # Told that there is no GPU, accelerate joins the processes of torchrun through gloo.
        alone = not torch.accelerator.is_available()
        self.accelerator = Accelerator(cpu=alone, mixed_precision="no", kwargs_handlers=[parallel])
        self.settings = settings
        self.seed = seed
        self.objective = OBJECTIVES[settings.objective]
        self.precision = _precision(settings, self.accelerator.device)
        self.scorer = Scorer(task, model, self.precision)
        self.weights = {n: p for n, p in model.named_parameters() if p.requires_grad}
        if not self.weights:
            raise StageError("tune.nothing_to_train")
        self.buffers = dict(model.named_buffers())
        self.prepared = self.accelerator.prepare(self.scorer)
        # Prepared too, it would cost half a millisecond a step and do nothing more without fp16.
        self.optimizer = _optimizer(list(self.weights.values()), settings)
        self.average = (
            {n: p.detach().clone() for n, p in self.weights.items()} if settings.average else {}
        )
        self.steps = 0

    @property
    def processes(self) -> int:
        """How many processes train together."""
        return int(self.accelerator.num_processes)

    def learn(self, batches: Batches, label_share: float, epoch: int) -> Tensor:
        """One epoch (from 1) of steps; (2,) sums of losses on labels and feedback, everywhere."""
        rank, processes = self.accelerator.process_index, self.processes
        torch.manual_seed(_seed(self.seed, epoch, rank))
        order = np.random.default_rng([_plain(self.seed), epoch]).permutation(len(batches))
        steps = math.ceil(len(order) / processes)
        self.scorer.train()
        sums = torch.zeros(2, device=self.accelerator.device)
        for step in range(steps):
            place = step * processes + rank
            part = batches[int(order[place % len(order)])]
            losses = part.sums(self.prepared(part.inputs), self.objective, self.settings)
            # Processes step together; one that has run out of batches adds nothing.
            share = float(place < len(order))
            loss = combined(label_share, losses, batches.totals.to(losses)) * len(order) * share
            sums += losses.detach() * share
            self._step(loss, steps * self.settings.epochs)
        return cast("Tensor", self.accelerator.reduce(sums))

    def measure(self, batches: Batches, objective: Objective) -> Tensor:
        """(2,) sums of losses on labels and feedback of a split, without learning."""
        rank, processes = self.accelerator.process_index, self.processes
        self.scorer.eval()
        sums = torch.zeros(2, device=self.accelerator.device)
        with torch.no_grad():
            for number in range(rank, len(batches), processes):
                part = batches[number]
                sums += part.sums(self.scorer(part.inputs), objective, self.settings)
        return cast("Tensor", self.accelerator.reduce(sums))

    def gradients(self, part: Part) -> tuple[Tensor, Tensor]:
        """Flat gradients of one batch's label loss and feedback loss, without learning."""
        self.scorer.eval()
        weights = list(self.weights.values())
        sums = part.sums(self.scorer(part.inputs), self.objective, self.settings)
        flat = [
            torch.cat(
                [
                    torch.zeros_like(w).flatten() if g is None else g.flatten()
                    for w, g in zip(weights, found, strict=True)
                ]
            )
            for found in (
                torch.autograd.grad(sums[side], weights, retain_graph=side == 0, allow_unused=True)
                for side in (0, 1)
            )
        ]
        return flat[0], flat[1]

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The model with the moving average of its weights, for as long as the block runs."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def tensors(self) -> dict[str, Tensor]:
        """Copies of all that learning changes in the model, by name."""
        return {name: t.detach().clone() for name, t in (self.weights | self.buffers).items()}

    def put(self, tensors: Mapping[str, Tensor]) -> None:
        """Give the model the values that ``tensors`` returned."""
        with torch.no_grad():
            for name, tensor in (self.weights | self.buffers).items():
                tensor.copy_(tensors[name])

    def groups(self) -> checkpoint.Groups:
        """All tensors that a checkpoint needs."""
        return {
            "model": dict(self.weights | self.buffers),
            "average": self.average,
            "optimizer": checkpoint.optimizer_tensors(self.optimizer),
        }

    def restore(self, groups: checkpoint.Groups, steps: int) -> None:
        """Go on where ``groups`` was taken, after ``steps`` steps."""
        self.put(groups["model"])
        for name, tensor in groups.get("average", {}).items():
            self.average[name].copy_(tensor)
        checkpoint.restore_optimizer(self.optimizer, groups.get("optimizer", {}))
        self.steps = steps

    def _step(self, loss: Tensor, of: int) -> None:
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.weights.values(), CLIP)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * rate(self.steps, of, self.settings.warmup)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.steps += 1
        # Early steps count for less, so that the average soon forgets the start.
        decay = min(self.settings.average, (self.steps + 1) / (self.steps + 10))
        with torch.no_grad():
            for name, mean in self.average.items():
                mean.lerp_(self.weights[name], 1 - decay)

    def _swap(self) -> None:
        for name, mean in self.average.items():
            weight = self.weights[name]
            weight.data, self.average[name] = mean, weight.data


def rate(step: int, of: int, warmup: float) -> float:
    """Share of the learning rate at a step (from 0): a straight rise, then half a cosine.

    >>> [round(rate(step, 100, 0.1), 3) for step in (0, 9, 10, 55, 99)]
    [0.1, 1.0, 1.0, 0.525, 0.05]
    """
    rising = int(of * warmup)
    if step < rising:
        return (step + 1) / rising
    done = (step - rising) / max(of - rising, 1)
    return LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * done)) / 2


def _optimizer(weights: list[nn.Parameter], settings: TuneSettings) -> torch.optim.Optimizer:
    """AdamW; weights of one dimension (biases, norms) do not decay."""
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]
    used = [group for group in groups if group["params"]]
    return torch.optim.AdamW(used, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)


def _precision(settings: TuneSettings, device: torch.device) -> torch.dtype | None:
    """bfloat16 when asked for, or by itself on a GPU that has it; None: as the model is."""
    able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    chosen = settings.precision == "bf16" or (settings.precision == "auto" and able)
    return torch.bfloat16 if chosen else None


def _seed(seed: int, epoch: int, rank: int) -> int:
    """A seed of its own for each epoch and process, so that resuming needs no generator state."""
    return int(np.random.SeedSequence([_plain(seed), epoch, rank]).generate_state(1, np.uint64)[0])


def _plain(seed: int) -> int:
    return seed % 2**63

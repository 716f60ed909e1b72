"""What changes while a model learns: its weights, their moving average and the optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
from upwell.stages.tune.objective import OBJECTIVES, combined
from upwell.stages.tune.precision import chosen
from upwell.stages.tune.regularise import Regularisers, disagreement
from upwell.stages.tune.shown import Objective
from upwell.stages.tune.vocabulary import Vocabulary, vocabulary

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
        self.vocabulary: Vocabulary | None = None

    def forward(self, inputs: Batch) -> Tensor:
        """(n,) log-probabilities in at least single precision."""
        device = next(iter(inputs.values())).device.type
        with torch.autocast(device, self.precision, enabled=self.precision is not None):
            log_prob = self.task.log_prob(self.model, inputs)
        return log_prob.float() if log_prob.dtype.itemsize < torch.float32.itemsize else log_prob


def processes() -> Accelerator:
    """Those of torchrun, if it started this one; else this one alone."""
    parallel = DistributedDataParallelKwargs(find_unused_parameters=True)
    # Told that there is no GPU, accelerate joins the processes of torchrun through gloo.
    alone = not torch.accelerator.is_available()
    # Its state is the process's: naming a precision would clash with another trainer's.
    return Accelerator(cpu=alone, kwargs_handlers=[parallel])


class Learner:
    """One model in training on this process's device, to learn ``batches``.

    Until ``release``, parts of the model may be replaced by others that learn faster.
    """

    def __init__(
        self,
        task: Task,
        model: Model,
        settings: TuneSettings,
        seed: int,
        accelerator: Accelerator,
        batches: Batches,
    ) -> None:
        self.accelerator = accelerator
        self.settings = settings
        self.seed = seed
        self.objective = OBJECTIVES[settings.objective]
        self.precision = chosen(settings, accelerator.device, model)
        self.scorer = Scorer(task, model, self.precision)
        if not any(p.requires_grad for p in model.parameters()):
            raise StageError("tune.nothing_to_train")
        self.regularisers = Regularisers(model, settings)
        self.scorer.vocabulary = vocabulary(self.scorer, model, batches)
        self.weights = {n: p for n, p in model.named_parameters() if p.requires_grad}
        if self.scorer.vocabulary is not None:
            self.weights[self.scorer.vocabulary.name] = self.scorer.vocabulary.weight
        self.buffers = dict(model.named_buffers())
        runner = torch.compile(self.scorer, dynamic=True) if settings.compile else self.scorer
        self.prepared = accelerator.prepare(runner) if self.processes > 1 else runner
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
        """One epoch (from 1) of steps; (2,) sums of losses on labels and feedback, everywhere.

        ``settings.accumulate`` batches make a step, fewer in the last one.
        """
        rank, processes = self.accelerator.process_index, self.processes
        torch.manual_seed(_seed(self.seed, epoch, rank))
        order = np.random.default_rng([_plain(self.seed), epoch]).permutation(len(batches))
        turns, together = math.ceil(len(order) / processes), self.settings.accumulate
        steps = math.ceil(turns / together) * self.settings.epochs
        totals = batches.totals.to(self.accelerator.device, torch.float32)
        self.scorer.train()
        sums = torch.zeros(2, device=self.accelerator.device)
        for turn in range(turns):
            place = turn * processes + rank
            # Processes step together; one that has run out of batches adds nothing.
            share = float(place < len(order))
            begun = turn - turn % together
            scale = len(order) * share / min(together, turns - begun)
            part = batches[int(order[place % len(order)])]
            sums += self._taught(part, label_share, totals, scale) * share
            if turn + 1 == min(begun + together, turns):
                self._step(steps)
        return self.added(sums)

    def added(self, found: Tensor) -> Tensor:
        """The sum of what each process found."""
        return cast("Tensor", self.accelerator.reduce(found))

    def measure(self, batches: Batches, objective: Objective) -> Tensor:
        """(2,) sums of losses on labels and feedback of a split, without learning."""
        rank, processes = self.accelerator.process_index, self.processes
        self.scorer.eval()
        sums = torch.zeros(2, device=self.accelerator.device)
        with torch.no_grad():
            for number in range(rank, len(batches), processes):
                part = batches[number]
                sums += part.sums(self.scorer(part.inputs), objective, self.settings)
        return self.added(sums)

    def gradients(self, parts: Sequence[Part]) -> tuple[Tensor, Tensor]:
        """Flat gradients of some batches' label loss and feedback loss, without learning."""
        found = [self._gradients(part) for part in parts]
        return (
            torch.stack([one for one, _ in found]).sum(0),
            torch.stack([other for _, other in found]).sum(0),
        )

    def _gradients(self, part: Part) -> tuple[Tensor, Tensor]:
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

    def release(self) -> None:
        """Make the model whole again: what stood in for its parts goes, what it learned stays."""
        self.regularisers.remove()
        if self.scorer.vocabulary is not None:
            self.scorer.vocabulary.give_back()

    def _taught(self, part: Part, label_share: float, totals: Tensor, scale: float) -> Tensor:
        """(2,) sums of losses of a batch, whose gradients, times ``scale``, were added."""
        adversary = self.regularisers.adversary
        if adversary is None:
            sums = self._sums(part)
            torch.autograd.backward(combined(label_share, sums, totals) * scale)
            return sums.detach()
        # Half of the loss on the batch as it is, half of it with the worst step.
        with adversary.watch():
            sums = self._sums(part)
        torch.autograd.backward(combined(label_share, sums, totals) * (scale / 2))
        with adversary.attack():
            hard = combined(label_share, self._sums(part), totals)
        torch.autograd.backward(hard * (scale / 2))
        return sums.detach()

    def _sums(self, part: Part) -> Tensor:
        """(2,) sums of losses with two passes' disagreement, if that is asked for."""
        log_prob = self.prepared(part.inputs)
        sums = part.sums(log_prob, self.objective, self.settings)
        if not self.settings.rdrop:
            return sums
        again = self.prepared(part.inputs)
        apart = part.weighted(disagreement(log_prob, again))
        both = (sums + part.sums(again, self.objective, self.settings)) / 2
        return both + self.settings.rdrop * apart

    def _step(self, of: int) -> None:
        weights = [w for w in self.weights.values() if w.grad is not None]
        norm = nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])
        # Asking costs nothing on a CPU, and saves writing every gradient where none is too long.
        if self.accelerator.device.type != "cpu" or not norm <= CLIP - 1e-5:
            nn.utils.clip_grads_with_norm_(weights, CLIP, norm)
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


def _seed(seed: int, epoch: int, rank: int) -> int:
    """A seed of its own for each epoch and process, so that resuming needs no generator state."""
    return int(np.random.SeedSequence([_plain(seed), epoch, rank]).generate_state(1, np.uint64)[0])


def _plain(seed: int) -> int:
    return seed % 2**63

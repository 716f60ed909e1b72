"""The one training loop: any task, any objective, one or several processes."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import pyarrow as pa
import torch
from torch import Tensor

from upwell.errors import StageError
from upwell.memory import give_back
from upwell.ports import Model, Task
from upwell.records import Json
from upwell.settings import TuneSettings
from upwell.stages.tune import checkpoint as disk
from upwell.stages.tune import diagnostics, guard
from upwell.stages.tune.batches import Batches
from upwell.stages.tune.learner import Learner, processes
from upwell.stages.tune.objective import PAIRED, REFERENCED, combined, likelihood
from upwell.stages.tune.preferences import missed
from upwell.stages.tune.reference import reference
from upwell.tables import Dataset, canonical_json

CURVE = pa.schema(
    [
        ("epoch", pa.int64()),
        ("label_loss", pa.float64()),
        ("feedback_loss", pa.float64()),
        ("combined", pa.float64()),
        ("validation", pa.float64()),
        ("seconds", pa.float64()),
    ]
)
"""Epoch 0 is the model before training. Losses are means in nats (the objective's unit for
feedback); ``validation`` is the held-out combined negative log-likelihood, or the metric given."""


@dataclass(frozen=True, slots=True)
class Progress:
    """An epoch is done: its number, of how many at most, and its row of the curve."""

    epoch: int
    of: int
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Trained:
    """The model with the weights of its best epoch, and how it got there."""

    model: Model
    curve: pa.Table
    diagnostics: Mapping[str, Json]
    seconds: float
    best_epoch: int


@dataclass(slots=True)
class _Course:
    """How far a training has come; ``best_score`` is larger for a better model."""

    epoch: int = 0
    best_epoch: int = 0
    best_score: float = -math.inf
    curve: list[guard.Row] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)


def train(
    task: Task,
    model: Model,
    data: Dataset,
    settings: TuneSettings,
    *,
    label_share: float,
    seed: int,
    checkpoint: Path | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    metric: Callable[[Model], float] | None = None,
    judged_share: float | None = None,
    champion: Model | None = None,
) -> Trained:
    """Teach ``model`` (in place) the rows of ``data.train``; the same seed gives the same numbers.

    The weights kept are those of the epoch with the best validation: the held-out likelihood of
    labels and feedback with λ = ``judged_share`` (by default ``label_share``), for ``dpo`` the
    held-out pairs that it misses, or ``metric`` (larger is better). Every label is replayed in
    every epoch with the share λ of the loss, so that feedback cannot make a model forget what it
    was taught. With ``checkpoint``, each epoch is saved in that folder and a call with the same
    arguments goes on to the same numbers. ``champion`` is the live model: diagnostics measure the
    distance to it, and objectives that have a reference take it (else ``model`` as it comes).
    Raises StageError ``tune.`` and
    ``no_rows``, ``nothing_to_train``, ``nothing_pooled``, ``no_embeddings``,
    ``textbook_diverged``, ``not_finite``, ``bad_checkpoint`` or ``other_checkpoint``.
    """
    began = perf_counter()
    home = next((p.device for p in model.parameters()), torch.device("cpu"))
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        judge = label_share if judged_share is None else judged_share
        run = _Training(task, model, data, settings, seed, label_share, judge, metric)
        try:
            course, found = run.whole(checkpoint, progress, champion)
        finally:
            run.learner.release()
            give_back()
    model.to(home).eval()
    curve = pa.Table.from_pylist(course.curve, schema=CURVE)
    return Trained(model, curve, found, perf_counter() - began, course.best_epoch)


class _Training:
    """The parts of one call of ``train``."""

    def __init__(
        self,
        task: Task,
        model: Model,
        data: Dataset,
        settings: TuneSettings,
        seed: int,
        label_share: float,
        judged_share: float,
        metric: Callable[[Model], float] | None,
    ) -> None:
        accelerator = processes()
        model.to(accelerator.device)
        self.settings = settings
        self.label_share = label_share
        self.judged_share = judged_share
        self.metric = metric
        size, learns = settings.batch_rows, settings.objective
        judges = PAIRED if learns == PAIRED else "likelihood"
        self.train = Batches(task, model, data.train, size, seed, learns)
        self.held_out = Batches(task, model, data.validation, size, seed, judges)
        if not len(self.train):
            raise StageError("tune.no_rows", rows=data.train.num_rows)
        self._referred = {"reference": self.train, "held_out_reference": self.held_out}
        self.learner = Learner(task, model, settings, seed, accelerator, self.train)
        self.start = self.learner.tensors() if settings.blend else {}

    def whole(
        self,
        folder: Path | None,
        progress: Callable[[Progress], None],
        champion: Model | None,
    ) -> tuple[_Course, dict[str, Json]]:
        """Train and keep the best weights; the diagnostics of before and after."""
        self.refer(champion)
        found = diagnostics.before(self.learner, self.train, self.label_share)
        course = self.course(folder, progress)
        found |= self.blended(course)
        self.learner.put(course.best)
        return course, found | diagnostics.after(self.learner, self.held_out, champion)

    def refer(self, champion: Model | None) -> None:
        """Give the objective its reference, if it stands on one."""
        if self.settings.objective in REFERENCED:
            self.train.refer(reference(self.learner, self.train, champion))
        if self.settings.objective == PAIRED:
            self.held_out.refer(reference(self.learner, self.held_out, champion))

    def course(self, folder: Path | None, progress: Callable[[Progress], None]) -> _Course:
        """Train to the end, from the checkpoint if there is one."""
        course = self._resumed(folder)
        if not course.curve:
            self._judge(course, dict.fromkeys(CURVE.names) | {"epoch": 0})
        while course.epoch < self.settings.epochs and not self._exhausted(course):
            began = perf_counter()
            course.epoch += 1
            sums = self.learner.learn(self.train, self.label_share, course.epoch)
            row = self._losses(course.epoch, sums)
            self._judge(course, row)
            row["seconds"] = perf_counter() - began
            guard.watch(
                self.settings.objective, course.curve, course.best_epoch, self.settings.patience
            )
            if folder:
                self._save(folder, course)
            numbers = {name: value for name, value in row.items() if value is not None}
            progress(Progress(course.epoch, self.settings.epochs, numbers))
        return course

    def blended(self, course: _Course) -> dict[str, Json]:
        """Try the settings' shares of what was learned, the rest from the start; keep the best.

        Start and end of a fine-tuning lie in one valley, and between them there often is a model
        that forgot less and knows as much (WiSE-FT; Wortsman et al. 2021, arXiv:2109.01903).
        ``blend`` is the share kept, ``blend_gain`` what it won on validation. Where nothing was
        held out there is nothing to choose by, and all that was learned is kept.
        """
        if not self.settings.blend:
            return {}
        share, gain = 1.0, 0.0
        learned, whole = course.best, course.best_score
        for tried in self.settings.blend if math.isfinite(whole) else ():
            mixed = learned | {
                name: torch.lerp(self.start[name], learned[name], tried)
                for name in self.learner.weights
            }
            self.learner.put(mixed)
            _, score = self._validation()
            if score - whole > gain:
                share, gain, course.best = tried, score - whole, mixed
        return {"blend": share, "blend_gain": gain}

    def _losses(self, epoch: int, sums: Tensor) -> guard.Row:
        totals = self.train.totals
        label, feedback = (sums.double().cpu() / totals).tolist()
        whole = combined(self.label_share, sums.double().cpu(), totals).item()
        return {
            "epoch": epoch,
            "label_loss": label if totals[0] > 0 else None,
            "feedback_loss": feedback if totals[1] > 0 else None,
            "combined": whole,
        }

    def _judge(self, course: _Course, row: guard.Row) -> None:
        """Add the row with its validation to the curve; keep the weights if they are the best."""
        course.curve.append(row)
        with self.learner.averaged():
            value, score = self._validation()
            row["validation"] = value
            if score > course.best_score or value is None or not course.best:
                course.best_epoch, course.best_score = course.epoch, score
                course.best = self.learner.tensors()

    def _validation(self) -> tuple[float | None, float]:
        """The number to show and the score to compare; None where nothing was held out."""
        if self.metric:
            self.learner.scorer.eval()
            value = self.metric(self.learner.scorer.model)
            return value, value
        if not len(self.held_out):
            return None, -math.inf
        # What learns a difference makes both sides less probable, and is no worse for it.
        objective = missed if self.settings.objective == PAIRED else likelihood
        sums = self.learner.measure(self.held_out, objective).double().cpu()
        value = combined(self.judged_share, sums, self.held_out.totals).item()
        return value, -value

    def _exhausted(self, course: _Course) -> bool:
        return course.epoch - course.best_epoch >= self.settings.patience

    def _save(self, folder: Path, course: _Course) -> None:
        if self.learner.accelerator.is_main_process:
            groups = {**self.learner.groups(), "best": course.best, "start": self.start}
            for name, of in self._referred.items():
                if of.reference is not None:
                    groups[name] = {"log_prob": of.reference}
            state = {
                "epoch": course.epoch,
                "best_epoch": course.best_epoch,
                "best_score": course.best_score,
                "curve": course.curve,
                "steps": self.learner.steps,
            }
            disk.save(folder, self._identity(), groups, canonical_json(state))
        self.learner.accelerator.wait_for_everyone()

    def _resumed(self, folder: Path | None) -> _Course:
        found = disk.load(folder, self._identity()) if folder else None
        if found is None:
            return _Course()
        groups, text = found
        state = json.loads(text)
        best = groups.pop("best")
        self.start = groups.pop("start", {})
        for name, of in self._referred.items():
            for log_prob in groups.pop(name, {}).values():
                of.refer(log_prob)
        self.learner.restore(groups, state.pop("steps"))
        return _Course(best=best, **state)

    def _identity(self) -> str:
        """A digest of all that decides the numbers of this training, apart from the weights."""
        facts: dict[str, Json] = {
            "settings": self.settings.model_dump(mode="json"),
            "shares": [self.label_share, self.judged_share],
            "seed": self.learner.seed,
            "processes": self.learner.processes,
            "precision": str(self.learner.precision),
            "totals": self.train.totals.tolist() + self.held_out.totals.tolist(),
            "shapes": {name: list(w.shape) for name, w in self.learner.weights.items()},
        }
        digest = hashlib.sha256(canonical_json(facts).encode())
        for order in (*self.train.plan, *self.held_out.plan):
            digest.update(order.tobytes())
        return digest.hexdigest()

"""The textbook's own loss without early stopping or guard, as it is, on one world."""

from __future__ import annotations

import numpy as np
import torch

from bench.feedback.methods import METHODS, TEXTBOOK
from bench.feedback.simulate import EMPTY, Bench
from bench.feedback.users import flip_rates
from bench.feedback.worlds import world
from bench.rows import Row
from upwell.stages.tune.objective import OBJECTIVES
from upwell.stages.tune.shown import Shown
from upwell.tables import Dataset

WORLD, SEED, STEPS, SHARE = "digits", 0, 2000, 0.5
REQUESTS = 900


def rows() -> list[Row]:
    """Loss and accuracy before and after, for the textbook's loss and for the bounded one."""
    found = []
    for objective in (TEXTBOOK, "bounded"):
        before, after, loss = descend(objective)
        label = f"{objective} loss, {STEPS} steps on {WORLD}, 10 % flips:"
        found += [
            Row(f"{label} accuracy before", before),
            Row(f"{label} accuracy after", after),
            Row(f"{label} loss at the end", loss),
        ]
    return found


def descend(objective: str) -> tuple[float, float, float]:
    """Accuracy before and after full-batch AdamW on λ = ½, and the loss at the end."""
    bench = Bench(world(WORLD, SEED), SEED)
    before = bench.accuracy()
    rng = np.random.default_rng(SEED)
    log = bench.serve(np.arange(REQUESTS), flip_rates("10 %", rng), rng)
    task, model, settings = bench.task, bench.model, METHODS[objective_method(objective)]
    labels = task.collate(model, bench.labels)
    shown = task.collate(model, bench.rows(settings, log))
    sign = torch.from_numpy(log.sign).float()
    one, chance = torch.ones(len(sign)), torch.from_numpy(log.propensity).float()
    steps = torch.optim.AdamW(model.parameters(), lr=3e-3)
    tune = bench.settings(settings, Dataset(bench.labels, EMPTY, EMPTY, EMPTY))
    loss = torch.zeros(())
    model.train()
    for _ in range(STEPS):
        heard = Shown(task.log_prob(model, shown), sign, one, one, chance)
        loss = SHARE * -task.log_prob(model, labels).mean()
        loss = loss + (1 - SHARE) * OBJECTIVES[objective](heard, tune).mean()
        steps.zero_grad()
        torch.autograd.backward(loss)
        steps.step()
    return before, bench.accuracy(), float(loss.detach())


def objective_method(objective: str) -> str:
    """The method of the table that has this objective and no estimates."""
    return next(
        name for name, one in METHODS.items() if one.objective == objective and not one.truth
    )

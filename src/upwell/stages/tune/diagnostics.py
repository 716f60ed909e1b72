"""What to know about a training beside its curve; each value is a number, a text or null."""

from __future__ import annotations

import torch
from torch import Tensor

from upwell.ports import Model, Task
from upwell.records import Json
from upwell.stages.tune import weights
from upwell.stages.tune.batches import Batches
from upwell.stages.tune.learner import Learner, Scorer

ROWS = 256
"""Rows that gradients and distances are measured on, at least, where there are so many."""


def before(learner: Learner, batches: Batches, label_share: float) -> dict[str, Json]:
    """What the rows promise.

    Effective counts, λ, the share of inputs where the textbook loss would diverge, and whether
    labels and feedback pull the same way: the cosine of their gradients before training, on the
    batches that mix them most; null where there is only one kind.
    """
    rows, task = batches.rows, batches.task
    labels, feedback = weights.counts(rows)
    device = learner.accelerator.device.type
    mixed = batches.most_mixed(ROWS) if labels and feedback else []
    return {
        "label_share": label_share,
        "effective_labels": labels,
        "effective_feedback": feedback,
        "negative_mass": weights.negative_mass(rows, label_share, _key(task)),
        "gradient_cosine": (
            cosine(*learner.gradients([batches[number] for number in mixed])) if mixed else None
        ),
        "batches": len(batches),
        "device": device,
        "precision": "bf16" if learner.precision else "fp32",
        "processes": learner.processes,
    }


def after(learner: Learner, held_out: Batches, champion: Model | None) -> dict[str, Json]:
    """How far the model moved from the live one: ``kl_to_live`` in nats, on held-out batches."""
    if champion is None or not len(held_out):
        return {"kl_to_live": None}
    live = held_out.like(champion)
    scorer = Scorer(held_out.task, champion, learner.precision)
    learner.scorer.eval()
    champion.eval()
    numbers = held_out.spread(ROWS)
    with torch.no_grad():
        new = torch.cat([learner.scorer(held_out[number].inputs).cpu() for number in numbers])
        old = torch.cat([scorer(live[number].inputs).cpu() for number in numbers])
    return {"kl_to_live": divergence(old, new)}


def cosine(one: Tensor, other: Tensor) -> float | None:
    """Cosine of two gradients; None where one of them is 0.

    >>> cosine(torch.tensor([1.0, 0.0]), torch.tensor([-2.0, 0.0]))
    -1.0
    """
    length = one.norm() * other.norm()
    return float(one @ other / length) if length > 0 else None


def divergence(old: Tensor, new: Tensor) -> float | None:
    """Mean KL(old‖new) in nats of the event 'the target' from its log-probabilities.

    The full divergence between the models' answers is at least as large (data processing). Rows
    that a model knows nothing of (not finite) do not count; None where no row is left.

    >>> half, fifth = torch.tensor([0.5]).log(), torch.tensor([0.2]).log()
    >>> round(divergence(half, fifth), 4), divergence(half, half)
    (0.2231, 0.0)
    """
    known = old.isfinite() & new.isfinite()
    if not known.any():
        return None
    p, q = (t[known].double().exp().clamp(1e-12, 1 - 1e-12) for t in (old, new))
    return float((p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean())


def _key(task: Task) -> weights.Key:
    return "user" if task.BATCH_BY == "user" else "input"

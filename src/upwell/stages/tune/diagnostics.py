"""What to know about a training beside its curve; each value is a number, a text or null."""

from __future__ import annotations

import pyarrow as pa
import torch
from torch import Tensor

from upwell.ports import Model, Task
from upwell.records import Json
from upwell.stages.tune import weights
from upwell.stages.tune.batches import Batches
from upwell.stages.tune.learner import Learner, Scorer


def before(
    learner: Learner, batches: Batches, rows: pa.Table, label_share: float, task: Task
) -> dict[str, Json]:
    """What the rows promise.

    Effective counts, λ, the share of inputs where the textbook loss would diverge, and whether
    labels and feedback pull the same way: the cosine of their gradients before training, on the
    batch that mixes them most.
    """
    labels, feedback = weights.counts(rows)
    device = learner.accelerator.device.type
    return {
        "label_share": label_share,
        "effective_labels": labels,
        "effective_feedback": feedback,
        "negative_mass": weights.negative_mass(rows, label_share, _key(task)),
        "gradient_cosine": cosine(*learner.gradients(batches[batches.most_mixed()])),
        "batches": len(batches),
        "device": device,
        "precision": "bf16" if learner.precision else "fp32",
        "processes": learner.processes,
    }


def after(
    learner: Learner, held_out: Batches, task: Task, champion: Model | None
) -> dict[str, Json]:
    """How far the model moved from the live one: ``kl_to_live`` in nats, on a held-out batch."""
    if champion is None or not len(held_out):
        return {"kl_to_live": None}
    live = Batches(task, champion, held_out.rows, len(held_out.rows), 0)
    live.plan = held_out.plan[:1]
    learner.scorer.eval()
    champion.eval()
    with torch.no_grad():
        new = learner.scorer(held_out[0].inputs).cpu()
        old = Scorer(task, champion, None)(live[0].inputs).cpu()
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

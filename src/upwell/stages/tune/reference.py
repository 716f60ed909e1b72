"""What the losses that stand on a reference stand on."""

from __future__ import annotations

import torch
from torch import Tensor

from upwell.ports import Model
from upwell.stages.tune.batches import Batches
from upwell.stages.tune.learner import Learner, Scorer


def reference(learner: Learner, batches: Batches, champion: Model | None) -> Tensor:
    """(n,) log-probabilities of the rows of ``batches``; 0 where nothing is learned from a row.

    Under the live model, or, of rows that it knows nothing of and where there is none, under the
    model as it is now. Made in one pass without gradients, shared by the processes.
    """
    if champion is None:
        return _log_probs(learner, learner.scorer, batches)
    known = _log_probs(
        learner, Scorer(batches.task, champion, learner.precision), batches.like(champion)
    )
    if bool(known.isfinite().all()):
        return known
    return torch.where(known.isfinite(), known, _log_probs(learner, learner.scorer, batches))


def _log_probs(learner: Learner, scorer: Scorer, batches: Batches) -> Tensor:
    found = torch.zeros(batches.rows.num_rows, device=learner.accelerator.device)
    scorer.eval()
    with torch.no_grad():
        for number in range(learner.accelerator.process_index, len(batches), learner.processes):
            order = batches.plan[number]
            log_prob = scorer(batches.collated(order).inputs)
            found[torch.from_numpy(order).to(found.device)] = log_prob.to(found)
    return learner.added(found)

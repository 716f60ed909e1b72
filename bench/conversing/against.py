"""Training beside TRL: speed, memory and what is learned, from the same pairs that people judged.

SmolLM2-135M-Instruct with the same adapter learns from PandaLM's pairs as thumbs (KTO), as pairs
(DPO) and as labels (SFT); TRL's trainers do so beside it, in processes of their own: by their
defaults, for speed and memory, and by their best settings on this machine. Both see each row once,
Upwell thumbs and pairs at the rates of its own (3e-4 and 5e-4), all else at 1e-3. Held-out
preference accuracy is the share of pairs whose chosen answer became more probable, beside the model
as it was, than the rejected one: by the whole answer, which TRL learns by, and by token, which
Upwell does. Each seed holds other instructions out; all their pairs count.
Intervals are paired bootstraps over the instructions of all seeds. Tokens are those of the rows,
prompts included, fill not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from bench.conversing import beside
from bench.conversing.beside import Floats, Run
from bench.conversing.pairs import Pair, known, split
from bench.conversing.turned import interval, mean
from bench.rows import Row

SEEDS, PAIRS = 3, 60
FEW = 4
"""Pairs of a run by TRL's defaults, which is about speed and memory alone: bf16 is emulated."""
EPOCHS, RATE = 1, 1e-3
_ONCE: Mapping[str, Any] = {"epochs": EPOCHS, "average": 0.0, "batch_rows": 8}
OURS: Mapping[str, Mapping[str, Any]] = {
    "kto": {**_ONCE, "objective": "kto"},
    "dpo": {**_ONCE, "objective": "dpo"},
    "sft": {**_ONCE, "objective": "positives", "learning_rate": RATE},
}
DEFAULTS: Mapping[str, Any] = {"num_train_epochs": 1}
_PLAIN: Mapping[str, Any] = {
    "bf16": False, "gradient_checkpointing": False, "num_train_epochs": EPOCHS,
    "learning_rate": RATE, "lr_scheduler_type": "cosine", "warmup_steps": 0.1,
}  # fmt: skip
BEST: Mapping[str, Mapping[str, Any]] = {
    # This CPU has no bf16, and recomputing what fits in memory takes longer.
    "kto": {**_PLAIN, "precompute_ref_log_probs": True},
    "dpo": {**_PLAIN, "precompute_ref_log_probs": True, "per_device_train_batch_size": 4},
    "sft": _PLAIN,
}


def rows(kind: str, seeds: int = SEEDS) -> Iterator[Row]:
    """Speed, memory and what was learned by one kind of training, ours beside TRL's."""
    pairs, ours, best = known(), list[Run](), list[Run]()
    splits = [split(pairs, PAIRS, len(pairs), seed) for seed in range(seeds)]
    for seed, (train, held_out) in enumerate(splits):
        ours.append(beside.upwell(kind, train, held_out, OURS[kind], seed))
        best.append(beside.trl(kind, train, held_out, BEST[kind], seed))
    usual = beside.trl(kind, splits[0][0][:FEW], [], DEFAULTS, 0)
    yield from costs(kind, ours, best, usual)
    yield from learned(kind, ours, best, [held_out for _, held_out in splits])


def costs(kind: str, ours: Sequence[Run], best: Sequence[Run], usual: Run) -> list[Row]:
    """Speed and memory of one kind of training."""
    mine, other, default = (_speed(runs) for runs in (ours, best, [usual]))
    peak, their_peak = (max(run.peak_mib for run in runs) for runs in (ours, best))
    return [
        Row(f"{kind}: upwell, tokens a second", mine),
        Row(f"{kind}: TRL's defaults, tokens a second", default),
        Row(f"{kind}: TRL at its best, tokens a second", other),
        Row(f"{kind}: speed over TRL's defaults", mine / default, target="≥ 1.5",
            holds=mine >= 1.5 * default),
        Row(f"{kind}: speed over TRL at its best", mine / other, target="≥ 1", holds=mine >= other),
        Row(f"{kind}: upwell, peak MiB", peak),
        Row(f"{kind}: TRL's defaults, peak MiB", usual.peak_mib),
        Row(f"{kind}: peak memory of TRL's at its best", peak / their_peak, target="≤ 0.8",
            holds=peak <= 0.8 * their_peak),
    ]  # fmt: skip


def learned(
    kind: str, ours: Sequence[Run], best: Sequence[Run], held_out: Sequence[Sequence[Pair]]
) -> Iterator[Row]:
    """Held-out preference accuracy of one kind of training, by token and by whole answer."""
    before = [_before(tuple(pairs)) for pairs in held_out]
    asked = [pair.asked for pairs in held_out for pair in pairs]
    groups = np.unique(asked, return_inverse=True)[1]
    for measure in ("token", "answer"):
        mine, other = (
            np.concatenate(
                [_right(run, *at, measure) for run, at in zip(runs, before, strict=True)]
            )
            for runs in (ours, best)
        )
        label = f"{kind}: held-out preference accuracy by {measure}, {len(ours)} seeds"
        yield mean(f"{label}, upwell", mine, groups, 0)
        yield mean(f"{label}, TRL", other, groups, 0)
        gain, apart = float((mine - other).mean()), interval(mine - other, groups, 0)
        yield Row(f"{label}, gain over TRL", gain, *apart, "≥ 0", gain >= 0)


@cache
def _before(pairs: tuple[Pair, ...]) -> tuple[Floats, Floats]:
    """(m, 2) log-probabilities of the answers before any training, and their tokens."""
    model = beside.base()
    return beside.log_probs(model, pairs), beside.lengths(model, pairs)


def _right(run: Run, before: Floats, tokens: Floats, measure: str) -> Floats:
    """(m,) 1 where the chosen answer gained more than the rejected one."""
    gained = (run.log_prob - before) / (tokens if measure == "token" else 1.0)
    return (gained[:, 0] > gained[:, 1]).astype(np.float64)


def _speed(runs: Sequence[Run]) -> float:
    return float(np.median([run.tokens / run.seconds for run in runs]))

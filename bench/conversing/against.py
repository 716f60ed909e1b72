"""Training beside TRL: speed, memory and what is learned, from the same pairs that people judged.

SmolLM2-135M-Instruct with the same adapter learns from PandaLM's pairs as thumbs (KTO), as pairs
(DPO) and as labels (SFT); TRL's trainers do so beside it, in processes of their own: by their
defaults, for speed and memory, and by their best settings on this machine. Both see each row once,
Upwell thumbs and pairs at the rates of its own (3e-4 and 5e-4), all else at 1e-3. Held-out
preference accuracy is the share of pairs whose chosen answer became more probable, beside the model
as it was, than the rejected one: by the whole answer, which TRL learns by, and by token, which
Upwell does.
Intervals are paired bootstraps over the pairs, of the means of the seeds. Tokens are those of the
rows, prompts included, fill not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bench import protocol
from bench.conversing import beside
from bench.conversing.beside import Floats, Run
from bench.conversing.pairs import known, split
from bench.rows import Row

SEEDS, PAIRS, HELD_OUT = 3, 60, 100
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
    pairs, model = known(), beside.base()
    splits = [split(pairs, PAIRS, HELD_OUT, seed) for seed in range(seeds)]
    before = [beside.log_probs(model, held_out) for _, held_out in splits]
    sizes = [beside.lengths(model, held_out) for _, held_out in splits]
    del model
    ours, best = list[Run](), list[Run]()
    for seed, (train, held_out) in enumerate(splits):
        ours.append(beside.upwell(kind, train, held_out, OURS[kind], seed))
        best.append(beside.trl(kind, train, held_out, BEST[kind], seed))
    usual = beside.trl(kind, splits[0][0][:FEW], [], DEFAULTS, 0)
    yield from costs(kind, ours, best, usual)
    yield from learned(kind, ours, best, before, sizes)


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
    kind: str, ours: Sequence[Run], best: Sequence[Run], before: Sequence[Floats],
    sizes: Sequence[Floats],
) -> Iterator[Row]:  # fmt: skip
    """Held-out preference accuracy of one kind of training, by token and by whole answer."""
    for measure, tokens in (("token", sizes), ("answer", [np.ones_like(one) for one in sizes])):
        mine, other = (
            np.mean([_right(*one) for one in zip(runs, before, tokens, strict=True)], axis=0)
            for runs in (ours, best)
        )
        gain = protocol.paired_interval(mine, other, 0)
        chance = protocol.paired_interval(mine, np.full(len(mine), 0.5), 0)
        label = f"{kind}: held-out preference accuracy by {measure}, {len(ours)} seeds"
        yield Row(f"{label}, upwell", float(mine.mean()), 0.5 + chance.low, 0.5 + chance.high)
        yield Row(f"{label}, TRL", float(other.mean()))
        yield Row(f"{label}, gain over TRL", gain.gain, gain.low, gain.high, "≥ 0", gain.gain >= 0)


def _right(run: Run, before: Floats, tokens: Floats) -> Floats:
    """(m,) 1 where the chosen answer gained more than the rejected one."""
    gained = (run.log_prob - before) / tokens
    return (gained[:, 0] > gained[:, 1]).astype(np.float64)


def _speed(runs: Sequence[Run]) -> float:
    return float(np.median([run.tokens / run.seconds for run in runs]))

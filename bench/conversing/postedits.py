"""What is learned from edits: translations put right, and edits taken or turned down.

Of post-edits (MLQE-PE, English to German) what the machine wrote is what was shown, what the
translator made of it is its correction; each segment is a user's, since nobody says whose it is.
Sentences that no turn saw are held out. A pair counts as right where the
post-edit became more probable, beside the base, than the machine's words (TRL's reward accuracy),
per token as the product learns, and of the whole text. By symmetry chance is ½; the best plain
rule, fitted on the pairs to learn from, is that the longer or the shorter text is the edit.

Intervals are bootstraps over sentences. ``decisions`` has the other half.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from bench.conversing import decisions
from bench.conversing.beside import base
from bench.conversing.pairs import Pair, edits, examples
from bench.conversing.turned import Floats, above, mean, scored, turned
from bench.rows import Row
from upwell.tasks import chat
from upwell.tasks._chat_model import Talker
from upwell.tasks._chat_pack import IGNORED

PAIRS, HELD_OUT = 400, 240
_ALIKE = 1e-4
LETTERS = 80
"""Of a sentence to translate: what two cores learn from in minutes."""


def rows(seed: int = 0) -> Iterator[Row]:
    """Accuracies on what was held out, beside what needs no learning."""
    yield from post_edits(seed)
    yield from decisions.said(seed)
    for task in ("text_classification", "tabular"):
        yield from decisions.classified(task, seed)


def post_edits(seed: int) -> Iterator[Row]:
    """Is the post-edit of another sentence what became more probable?"""
    train, held_out = (
        _pairs(part, count, seed) for part, count in (("train", PAIRS), ("test", HELD_OUT))
    )
    told = [
        {"kind": "correction", "user": f"editor-{n}", "payload": {
            "input": one.asked, "target": one.rejected, "correction": one.chosen}}
        for n, one in enumerate(train)
    ]  # fmt: skip
    with TemporaryDirectory() as folder:
        learned = turned("chat", Path(folder) / "edits", told, seed)
    before, after = (_log_probs(model, held_out) for model in (base(), learned))
    gained, sentences = after - before, np.arange(len(held_out))
    longer = np.array([len(one.chosen) - len(one.rejected) for one in held_out], np.float64)
    rule = np.sign(sum(np.sign(len(one.chosen) - len(one.rejected)) for one in train)) or 1
    plain_rule = (1 + np.sign(rule * longer)) / 2
    per_token = _won(gained[:, :2])
    label = "edits, en-de: held-out pairs right"
    yield above(f"{label}, over chance", per_token - 0.5, sentences, seed)
    yield above(f"{label}, over the rule of length", per_token - plain_rule, sentences, seed)
    for name, right in (
        ("per token", per_token), ("of whole texts", _won(gained[:, 2:])),
        ("by the learned model alone", _won(after[:, :2])),
        ("by the base alone", _won(before[:, :2])), ("by the rule of length", plain_rule),
    ):  # fmt: skip
        yield mean(f"{label}, {name}", right, sentences, seed)


def _pairs(part: str, count: int, seed: int) -> list[Pair]:
    found = edits(part, LETTERS)
    mixed = [found[place] for place in np.random.default_rng(seed).permutation(len(found))[:count]]
    return [
        Pair(f"Translate into German: {one.source}", one.translator, one.machine) for one in mixed
    ]


def _log_probs(model: Talker, pairs: list[Pair]) -> Floats:
    """(m, 4): of the post-edit and the machine's text the mean of the tokens', then the sum."""
    both = scored(model, examples(pairs, "dpo"), _mean_and_sum)
    return both.reshape(-1, 2, 2)[:, ::-1].transpose(0, 2, 1).reshape(-1, 4)


def _mean_and_sum(model: Talker, batch: Mapping[str, Tensor]) -> Tensor:
    whole = chat.sums(model, batch)
    tokens = (batch["target"] != IGNORED).sum(dim=1).clamp(min=1)
    return torch.stack([whole / tokens, whole], dim=1)


def _won(values: Floats) -> Floats:
    """1 where the first is larger, ½ where both are as large but for rounding."""
    apart = values[:, 0] - values[:, 1]
    return (1 + np.where(np.abs(apart) < _ALIKE, 0.0, np.sign(apart))) / 2

"""Chat: replies in conversation, by a language model that learns what its users like.

An input is a conversation, JSON of messages ``[{"role": "user", "content": "…"}]``, or a plain
text, which is one message; a target is the reply to it.

The log-probability of a reply is the *mean* of its tokens': the logarithm of their geometric mean,
the sum at the temperature of its length. A sum over fifty tokens is e^−50 for good and bad alike:
what looks at p would see nothing (1 − p = 1, and the slope of a bounded loss on p is 0), labels
would outweigh ±1 by the length of a reply, and long replies all others. ``sums`` has the sum.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
from pyarrow import compute as pc
from torch import Tensor

from upwell.errors import PluginError
from upwell.ports import Manner, Pieces
from upwell.settings import TuneSettings
from upwell.tables import Dataset, canonical_json
from upwell.tasks import _chat_base, _chat_groups, _encoder
from upwell.tasks._chat_marks import METRIC, mark, marks
from upwell.tasks._chat_model import SHORTEST, Talker, groups, together
from upwell.tasks._chat_pack import IGNORED
from upwell.tasks._chat_reply import Said, likeliest, others, stream
from upwell.tasks._chat_rows import can_be_read, checked, messages
from upwell.tasks._chat_suited import BIG, CHOOSES, LOW, of_group, suited
from upwell.tasks._chat_toy import toy
from upwell.tasks._quantised import quantise

__all__ = [
    "ABOUT", "BATCH_BY", "CHOOSES", "METRIC", "Talker", "adapt", "answer", "collate", "groups",
    "judge", "load", "log_prob", "mark", "readable", "save", "special", "start", "sums", "talk",
    "together", "toy",
]  # fmt: skip

BATCH_BY: Literal["row", "user"] = "row"
ABOUT: Literal["item", "answer", "value"] = "answer"
FILE = "upwell.json"
_USUAL = (32, 512)
UNKNOWN = 128
"""Tokens of a reply, at most, where there are no replies to know it from."""
_AT_ONCE = 8


def start(base: str, data: Dataset, seed: int) -> Talker:
    """The model of ``base`` as it is; an empty base is a tiny one with random weights.

    Raises PluginError ``chat.no_base`` and ``chat.no_model``, StageError ``chat.tokenizer`` and
    ``chat.template``.
    """
    if base:
        body, tokenizer = _chat_base.loaded(base)
    else:
        # Only a model from scratch needs what makes one.
        from upwell.tasks._chat_scratch import scratch

        body, tokenizer = scratch(seed)
    told = data.train.filter(pc.greater(data.train["weight"], 0.0))["target"]
    size = np.asarray(pc.utf8_length(told), np.float64)
    usual = UNKNOWN
    if len(size):
        sample = "".join(told.slice(0, 64).to_pylist())
        dense = len(tokenizer(sample)["input_ids"]) / max(len(sample), 1)
        usual = int(np.clip(2 * float(np.quantile(size, 0.95)) * dense, *_USUAL))
    return Talker(body, tokenizer, usual).eval()


def adapt(model: Talker, data: Dataset, settings: TuneSettings) -> TuneSettings:
    """Choose what learns by the size of the model, and from what by the amount of feedback.

    See ``_chat_suited``; ``head`` is the output layer. Raises PluginError ``chat.objective`` for
    those that stand on the probability of a whole reply, and as ``quantise`` does.
    """
    if settings.objective in ("ips", "snips"):
        raise PluginError("chat.objective", objective=settings.objective)
    size = sum(weight.numel() for weight in model.parameters())
    tuning = settings.tuning
    if tuning == "auto":
        tuning = "lora" if size >= BIG else "full"
    if tuning == "qlora":
        quantise(model.body, settings.precision)
    if tuning in LOW:
        from upwell.tasks._adapters import add

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            add(model, settings.rank)
    elif tuning == "head":
        model.requires_grad_(False)
        model.body.get_output_embeddings().requires_grad_(True)
    _encoder.freeze(model, settings.freeze_layers)
    learned = data.train.filter(pc.greater(data.train["weight"], 0.0))
    objective = settings.objective if "objective" in settings.model_fields_set else None
    chosen = settings.filled(suited(size, tuning, learned, objective))
    model.asked = chosen.asked if chosen.objective == "positives" else 0.0
    return chosen


def special(
    model: Talker, group: str, data: Dataset, settings: TuneSettings
) -> tuple[Talker, TuneSettings]:
    """See ``ports.Specialising``: low-rank adapters, whatever the tuning of what is shared."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        body = _chat_groups.beside(model.body, settings.rank)
    learned = data.train.filter(pc.greater(data.train["weight"], 0.0))
    size = sum(weight.numel() for weight in model.parameters())
    found = of_group(size, learned)
    made = Talker(body, model.tokenizer, model.usual, [group]).eval()
    return made, settings.filled(found)


def readable(rows: pa.Table) -> pa.Array:
    """(n,) booleans: the input is a conversation that ends with a user's word, the target text."""
    pairs = zip(rows["input"].to_pylist(), rows["target"].to_pylist(), strict=True)
    return pa.array([can_be_read(text, reply) for text, reply in pairs], pa.bool_())


def load(folder: Path) -> Talker:
    """The model that ``save`` wrote. Raises as ``start`` does."""
    told = json.loads((folder / FILE).read_text(encoding="utf-8"))
    body, tokenizer = _chat_base.loaded(str(folder))
    named = told.get("groups", [])
    body = _chat_groups.read(body, len(named), folder) if named else body
    model = Talker(body, tokenizer, int(told["usual"]), named).eval()
    return model.requires_grad_(False)


def save(model: Talker, folder: Path) -> None:
    """In Hugging Face layout, adapters merged: ``AutoModelForCausalLM`` reads it.

    Those of groups stay apart, in ``groups/1`` and on, as PEFT reads them.
    """
    body, named = model.body, dict[str, object]()
    if model.groups:
        _chat_groups.write(body, len(model.groups), folder)
        body, named = _chat_groups.bare(body), {"groups": model.groups}
    if _encoder.is_adapted(model):
        from upwell.tasks._adapters import merged

        body = merged(body)
    _chat_base.write(body, model.tokenizer, folder)
    told = canonical_json({"task": "chat", "usual": model.usual, **named})
    (folder / FILE).write_text(told, encoding="utf-8")


def collate(model: Talker, rows: pa.Table) -> dict[str, Tensor]:
    """Lines of conversations with their replies, see ``_chat_pack.packed``; ``target`` is (n, t).

    Raises StageError ``chat.empty``, ``chat.role``, ``chat.template``.
    """
    numbers = model.numbered(rows["group"].to_pylist())
    told = zip(rows["input"].to_pylist(), rows["target"].to_pylist(), numbers, strict=True)
    return model.batch([model.row(messages(text), reply, of) for text, reply, of in told])


def log_prob(model: Talker, batch: Mapping[str, Tensor]) -> Tensor:
    """(n,) mean log-probability of the reply's tokens, its end included; ≤ 0.

    While a model learns whose ``asked`` is not 0, that share of the mean of the conversation's
    tokens is added ("prompt loss weight", Huerta-Enochian and Ko 2024, arXiv:2401.13586): who only
    learns to reply forgets how people write.
    """
    found, size = model(batch), batch["target"].shape[1]
    mean = _mean(found[:, :size], batch["target"])
    if found.shape[1] > size:
        mean = mean + model.asked * _mean(found[:, size:], batch["asked"])
    return mean


def _mean(said: Tensor, target: Tensor) -> Tensor:
    return said.sum(dim=1) / (target != IGNORED).sum(dim=1).clamp(min=1)


def sums(model: Talker, batch: Mapping[str, Tensor]) -> Tensor:
    """(n,) log-probability of the whole reply: the sum of its tokens'; ≤ 0."""
    found: Tensor = model(batch)[:, : batch["target"].shape[1]].sum(dim=1)
    return found


def judge(model: Talker, rows: pa.Table) -> pa.Table:
    """Marks of rows that users liked or disliked, by how probable the replies are to the model."""
    model.eval()
    order = np.argsort(np.asarray(pc.utf8_length(rows["input"])), kind="stable")
    said = np.zeros(rows.num_rows)
    with torch.inference_mode():
        for at in range(0, len(order), _AT_ONCE):
            chosen = order[at : at + _AT_ONCE]
            batch = collate(model, rows.take(pa.array(chosen)))
            there = {name: part.to(model.device) for name, part in batch.items()}
            said[chosen] = log_prob(model, there).double().exp().cpu().numpy()
    return marks(rows, said)


def answer(model: Talker, inputs: pa.Table, k: int) -> pa.Table:
    """The likeliest reply to each conversation, and ``k`` − 1 that turn from it somewhere.

    Each word of the first is the likeliest at its place. A score is the geometric mean of the
    tokens' probabilities, and no more than that of the reply before it. Without a column ``group``
    nobody has one.
    """
    model.eval()
    prompts = [
        model.prompt(messages(text), model.context - _reserved(model, model.usual))
        for text in inputs["input"].to_pylist()
    ]
    there = "group" in inputs.column_names
    whose = inputs["group"].to_pylist() if there else [""] * len(prompts)
    found: dict[str, list[list[Any]]] = {"output": [], "score": [], "reason": []}
    best = likeliest(model, prompts, whose, model.usual)
    rest = others(model, prompts, whose, best, k - 1, model.usual)
    for first, more in zip(best, rest, strict=True):
        said = [first, *more]
        # The last digits depend on where in memory the weights lie.
        scores = np.minimum.accumulate([round(math.exp(one.mean), 6) for one in said])
        found["output"].append([model.text(one.tokens) for one in said])
        found["score"].append(scores.tolist())
        found["reason"].append(["chat.likely\t", *(_instead(model, one) for one in said[1:])])
    kinds = {"output": pa.string(), "score": pa.float64(), "reason": pa.string()}
    return pa.table({name: pa.array(found[name], pa.list_(kind)) for name, kind in kinds.items()})


def _instead(model: Talker, said: Said) -> str:
    """Where a reply turns from the likeliest one: the word that it says there."""
    place = said.rivals[0][1]
    return f"chat.instead\t{model.text(said.tokens[place : place + 4]).strip()[:40]}"


def talk(model: Talker, told: Sequence[Mapping[str, str]], manner: Manner) -> Pieces:
    """The reply to ``told``, at least one piece; see ``ports.Talking``."""
    known = checked(told)
    prompt = model.prompt(known, model.context - _reserved(model, manner.max_tokens))
    return stream(
        model, prompt, manner, max(1, min(manner.max_tokens, model.context - len(prompt)))
    )


def _reserved(model: Talker, wanted: int) -> int:
    """Tokens of the context that are kept for a reply: what is wanted, at most a quarter."""
    return max(min(wanted, model.context // 4), min(SHORTEST, model.context // 2))

"""Replies: the likeliest ones of many conversations at once, and one, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from upwell.ports import Manner, Piece
from upwell.tasks._chat_model import Talker, batch_of, places
from upwell.tasks._chat_pack import Row

RIVALS = 32
"""Other tokens that are remembered at each place of a reply."""
_AT_ONCE = 16
_BROKEN = "\ufffd"


@dataclass(slots=True)
class Said:
    """A reply's tokens with the logarithm of each one's probability, and what else was near.

    ``rivals`` are (nats less likely than what was said, place, token).
    """

    tokens: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    rivals: list[tuple[float, int, int]] = field(default_factory=list)

    @property
    def mean(self) -> float:
        """Logarithm of the geometric mean of the tokens' probabilities."""
        return min(0.0, sum(self.log_probs) / max(len(self.log_probs), 1))


def likeliest(model: Talker, prompts: Sequence[Sequence[int]], most: int) -> list[Said]:
    """A reply to each prompt, at most ``most`` tokens: the likeliest token each time."""
    found = [Said() for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    for at in range(0, len(order), _AT_ONCE):
        chosen = order[at : at + _AT_ONCE]
        together = _greedy(model, [Row(prompts[row], ()) for row in chosen], most)
        for row, said in zip(chosen, together, strict=True):
            found[row] = said
    return found


def others(
    model: Talker, prompts: Sequence[Sequence[int]], said: Sequence[Said], k: int, most: int
) -> list[list[Said]]:
    """To each prompt, up to ``k`` replies that say something else: each takes another turn once.

    The first turns from ``said`` where it was least sure. After the turn they too take the
    likeliest token each time. Of more, the first are the same.
    """
    turns = [sorted(one.rivals) for one in said]
    spoken = [{model.text(one.tokens)} for one in said]
    found: list[list[Said]] = [[] for _ in said]
    while True:
        now = [
            (row, turn) for row, left in enumerate(turns) for turn in left[: k - len(found[row])]
        ]
        if not now:
            return found
        turns = [left[k - len(found[row]) :] for row, left in enumerate(turns)]
        begun = [[*said[row].tokens[: turn[1]], turn[2]] for row, turn in now]
        open_ = [place for place, one in enumerate(begun) if _goes_on(model, one, most)]
        asked = [[*prompts[now[place][0]], *begun[place]] for place in open_]
        rests = dict(zip(open_, likeliest(model, asked, most), strict=True))
        for place, (row, turn) in enumerate(now):
            one = _joined(said[row], begun[place], turn, rests.get(place, Said()), most)
            text = model.text(one.tokens)
            if text.strip() and text not in spoken[row]:
                spoken[row].add(text)
                found[row].append(one)


def _goes_on(model: Talker, begun: Sequence[int], most: int) -> bool:
    return begun[-1] not in model.ends and len(begun) < most


def _joined(
    said: Said, begun: Sequence[int], turn: tuple[float, int, int], rest: Said, most: int
) -> Said:
    """The reply that begins like ``said``, takes the turn, and goes on with ``rest``."""
    apart, place, _ = turn
    room = most - len(begun)
    log_probs = [*said.log_probs[:place], said.log_probs[place] - apart, *rest.log_probs[:room]]
    return Said([*begun, *rest.tokens[:room]], log_probs, [turn])


@torch.inference_mode()
def _greedy(model: Talker, rows: Sequence[Row], most: int) -> list[Said]:
    batch = batch_of(rows, model.tokenizer.pad_token_id or 0)
    ids, mask = batch["ids"].to(model.device), batch["mask"].to(model.device)
    place, kept = places(mask), _remembered(model)
    found, going = [Said() for _ in rows], list(range(len(rows)))
    for step in range(most):
        out = model.body(
            input_ids=ids, attention_mask=mask, position_ids=place, use_cache=True,
            logits_to_keep=1, **kept,
        )  # fmt: skip
        log_prob = out.logits[:, -1].double().log_softmax(dim=1)
        top = _allowed(model, log_prob, step).topk(min(RIVALS + 1, log_prob.shape[1]), dim=1)
        values, tokens = top.values.tolist(), top.indices.tolist()
        for row in going:
            said = found[row]
            said.tokens.append(tokens[row][0])
            said.log_probs.append(values[row][0])
            said.rivals += [
                (values[row][0] - value, step, token)
                for value, token in zip(values[row][1:], tokens[row][1:], strict=True)
                if value > -torch.inf
            ]
        going = [row for row in going if found[row].tokens[-1] not in model.ends]
        if not going:
            break
        ids, place = top.indices[:, :1], place[:, -1:] + 1
        mask = torch.cat([mask, mask.new_ones((len(rows), 1))], dim=1)
    return found


def _remembered(model: Talker) -> dict[str, Any]:
    """The argument in which the body keeps what it has read; its name depends on transformers."""
    known = signature(type(model.body).forward).parameters
    name = "cache" if "cache" in known else "past_key_values"
    return {name: DynamicCache(config=model.body.config)}


def _allowed(model: Talker, log_prob: Tensor, step: int) -> Tensor:
    """The same without special tokens that are not said; no reply begins blank, or with its end."""
    log_prob[:, [*model.marks, *(() if step else model.ends)]] = -torch.inf
    if not step:
        near = log_prob.topk(min(RIVALS, log_prob.shape[1]), dim=1).indices.flatten().tolist()
        log_prob[:, [token for token in {*near} if not model.text([token]).strip()]] = -torch.inf
    return log_prob


def stream(model: Talker, prompt: Sequence[int], manner: Manner, most: int) -> Iterator[Piece]:
    """The reply as it comes; text that may be the beginning of a stop string is held back.

    Where tokens are drawn, ``log_prob`` is the probability with which they were drawn; at
    temperature 0 it is the model's.
    """
    chance = torch.Generator().manual_seed(manner.seed)
    tokens: list[int] = []
    total, sent, end = 0.0, 0, "length"
    ids, kept = list(prompt), _remembered(model)
    while len(tokens) < most:
        token, log_prob = _next(model, ids, kept, manner, chance, len(tokens))
        tokens.append(token)
        ids, total = [token], total + log_prob
        if token in model.ends:
            end = "stop"
            break
        text = model.text(tokens)
        stopped = _stopped(text, manner.stop)
        if stopped is not None:
            yield Piece(text[sent:stopped], "stop", len(prompt), len(tokens), total)
            return
        safe = _safe(text, manner.stop)
        if safe > sent:
            yield Piece(text[sent:safe], "", len(prompt), len(tokens), total)
            sent = safe
    yield Piece(model.text(tokens)[sent:], end, len(prompt), len(tokens), total)


@torch.inference_mode()
def _next(
    model: Talker,
    ids: Sequence[int],
    kept: Mapping[str, Any],
    manner: Manner,
    chance: torch.Generator,
    step: int,
) -> tuple[int, float]:
    """The token after ``ids``, which follow what is ``kept``, and the log of its probability."""
    asked = torch.tensor([list(ids)], device=model.device)
    out = model.body(input_ids=asked, use_cache=True, logits_to_keep=1, **kept)
    log_prob = out.logits[:, -1].double().cpu().log_softmax(dim=1)
    allowed = _allowed(model, log_prob, step)[0]
    if manner.temperature <= 0:
        token = int(allowed.argmax())
        return token, min(0.0, float(allowed[token]))
    drawn = _nucleus((allowed / manner.temperature).softmax(dim=0), manner.top_p)
    token = int(torch.multinomial(drawn, 1, generator=chance))
    return token, min(0.0, float(drawn[token].log()))


def _nucleus(chances: Tensor, top_p: float) -> Tensor:
    """The likeliest tokens that together have ``top_p``, at least one, as chances of their own.

    >>> _nucleus(torch.tensor([0.5, 0.25, 0.25]), 0.7).round(decimals=2)
    tensor([0.6700, 0.3300, 0.0000])
    """
    if top_p >= 1.0:
        return chances
    ordered, order = chances.sort(descending=True, stable=True)
    beyond = ordered.cumsum(0) - ordered >= top_p
    beyond[0] = False
    left = torch.zeros_like(chances)
    left[order[~beyond]] = ordered[~beyond]
    return left / left.sum()


def _stopped(text: str, stops: Sequence[str]) -> int | None:
    """Where the first stop string begins."""
    found = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return min(found, default=None)


def _safe(text: str, stops: Sequence[str]) -> int:
    """How much of the text cannot become part of a stop string or of a broken character.

    >>> _safe("well, ST", ["STOP"]), _safe("well", ["STOP"])
    (6, 4)
    """
    whole = text.rstrip(_BROKEN)
    held = [
        size
        for stop in stops
        for size in range(1, min(len(stop), len(whole) + 1))
        if whole.endswith(stop[:size])
    ]
    return len(whole) - max(held, default=0)

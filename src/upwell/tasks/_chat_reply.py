"""Replies: the likeliest ones of many conversations at once, and one, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import DynamicCache

from upwell.ports import Manner, Piece
from upwell.tasks._chat_choose import RIVALS, allowed
from upwell.tasks._chat_engine import engine_of
from upwell.tasks._chat_kept import forward
from upwell.tasks._chat_model import Talker

_AT_ONCE = 16
_NEAR = 16
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


def likeliest(
    model: Talker, prompts: Sequence[Sequence[int]], groups: Sequence[str], most: int
) -> list[Said]:
    """A reply to each prompt, at most ``most`` tokens: the likeliest token each time.

    Each is made with the adapter of its group.
    """
    found = [Said() for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
    for at in range(0, len(order), _AT_ONCE):
        chosen = order[at : at + _AT_ONCE]
        with model.speaking([groups[row] for row in chosen]):
            together = _greedy(model, [prompts[row] for row in chosen], most)
        for row, said in zip(chosen, together, strict=True):
            found[row] = said
    return found


def others(
    model: Talker,
    prompts: Sequence[Sequence[int]],
    groups: Sequence[str],
    said: Sequence[Said],
    k: int,
    most: int,
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
        whose = [groups[now[place][0]] for place in open_]
        rests = dict(zip(open_, likeliest(model, asked, whose, most), strict=True))
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
def _greedy(model: Talker, prompts: Sequence[Sequence[int]], most: int) -> list[Said]:
    ids, mask = _filled(prompts, model)
    place, kept = (mask.cumsum(1) - 1).clamp(min=0), DynamicCache(config=model.body.config)
    found, going = [Said() for _ in prompts], list(range(len(prompts)))
    for step in range(most):
        log_prob = forward(model, ids, kept, mask, place).double().log_softmax(dim=1)
        top = allowed(model, log_prob, step).topk(min(RIVALS + 1, log_prob.shape[1]), dim=1)
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
        mask = torch.cat([mask, mask.new_ones((len(prompts), 1))], dim=1)
    return found


def _filled(prompts: Sequence[Sequence[int]], model: Talker) -> tuple[Tensor, Tensor]:
    """(n, T) tokens, filled from the left, and 1 where there is one."""
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), model.tokenizer.pad_token_id or 0)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids.to(model.device), mask.to(model.device)


def stream(model: Talker, prompt: Sequence[int], manner: Manner, most: int) -> Iterator[Piece]:
    """The reply as it comes; text that may be the beginning of a stop string is held back.

    It is made together with others by the same model (see ``Engine``). Where tokens are drawn,
    ``log_prob`` is the probability with which they were drawn; at temperature 0 it is the model's.
    """
    engine, words = engine_of(model), Words(model)
    seat = engine.join(prompt, manner, most)
    total, sent, count, end = 0.0, 0, 0, "length"
    reach = max(map(len, manner.stop), default=0)
    try:
        while (made := engine.take(model, seat)) is not None:
            token, log_prob = made
            count, total = count + 1, total + log_prob
            if token in model.ends:
                end = "stop"
                break
            text = words.add(token)
            stopped = _stopped(text, manner.stop, max(0, sent - reach))
            if stopped is not None:
                yield Piece(text[sent:stopped], "stop", len(prompt), count, total)
                return
            safe = _safe(text, manner.stop)
            if safe > sent:
                yield Piece(text[sent:safe], "", len(prompt), count, total)
                sent = safe
        yield Piece(words.text[sent:], end, len(prompt), count, total)
    finally:
        engine.leave(seat)


class Words:
    """What a reply's tokens say, token by token, in time that does not grow with the reply."""

    def __init__(self, model: Talker) -> None:
        self._model = model
        self._settled, self._known = "", ""
        self._near: list[int] = []
        self.text = ""

    def add(self, token: int) -> str:
        """The text with one more token."""
        self._near.append(token)
        said = self._model.text(self._near)
        self.text = self._settled + said[len(self._known) :]
        if len(self._near) >= _NEAR and not said.endswith(_BROKEN):
            # How a token is written may depend on the one before it: some of them stay.
            self._near = self._near[-_NEAR // 2 :]
            self._settled, self._known = self.text, self._model.text(self._near)
        return self.text


def _stopped(text: str, stops: Sequence[str], since: int) -> int | None:
    """Where the first stop string begins that does not begin before ``since``."""
    found = [place for stop in stops if stop and (place := text.find(stop, since)) >= 0]
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

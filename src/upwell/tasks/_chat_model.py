"""A model that converses: conversations and replies as tokens, and how probable a reply is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from upwell.errors import StageError
from upwell.tasks._chat_rows import Messages, shortened
from upwell.tasks._chat_template import Template

LONGEST = 1024
"""Tokens of a conversation with its reply that are learned from and judged by."""
SHORTEST = 16
"""Tokens that a conversation always leaves for the reply."""
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Row:
    """A conversation and the reply to it, in tokens."""

    prompt: Sequence[int]
    reply: Sequence[int]


class Talker(nn.Module):
    """``body`` is any ``AutoModelForCausalLM``; ``tokenizer`` has a chat template.

    ``usual`` is how many tokens a reply has at most where nobody says. ``ends`` are the tokens
    that end a reply, ``end`` the one that is learned; ``marks`` are other special tokens, which
    are never said.
    """

    def __init__(self, body: Any, tokenizer: Any, usual: int) -> None:
        super().__init__()
        self.body, self.tokenizer, self.usual = body, tokenizer, usual
        places = getattr(body.config, "max_position_embeddings", None) or 2048
        self.context = int(min(places, tokenizer.model_max_length))
        special = {
            number: str(token)
            for number, token in tokenizer.added_tokens_decoder.items()
            if token.special
        }
        marks = {name: str(mark) for name, mark in tokenizer.special_tokens_map.items()}
        self.template = Template(tokenizer.chat_template, marks)
        self._written = sorted(special.values(), key=len, reverse=True)
        ends = getattr(body.generation_config, "eos_token_id", None)
        known = {*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id} - {None}
        self.end = self._closing(special, known)
        self.ends = frozenset({self.end, *known})
        self.marks = sorted(set(special) - self.ends)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        found: torch.device = next(self.body.parameters()).device
        return found

    def prompt(self, told: Messages, room: int) -> list[int]:
        """The conversation up to where the reply begins, in at most ``room`` tokens.

        What is oldest is left off; what the system says and the last word stay. Raises StageError
        ``chat.too_long`` where these alone need more room, and ``chat.template``.
        """
        left: Messages | None = told
        while left is not None:
            ids = self._ids(self._rendered(left))
            if len(ids) <= room:
                return ids
            told, left = left, shortened(left)
        raise StageError("chat.too_long", tokens=len(ids), room=room)

    def row(self, told: Messages, reply: str) -> Row:
        """Both in at most ``LONGEST`` tokens: never an empty reply, and its beginning if not all.

        Where even the last word is too long, its end is read.
        """
        longest = min(LONGEST, self.context)
        said = [*self._ids(self.plain(reply)), self.end][: longest // 2]
        room = longest - len(said)
        try:
            asked = self.prompt(told, room)
        except StageError as error:
            if error.code != "chat.too_long":
                raise
            system = [one for one in told if one["role"] == "system"]
            start = self._ids(self._rendered(system))[: room // 4] if system else []
            whole = self._ids(self._rendered([*system, told[-1]]))
            asked = [*start, *whole[len(start) - room :]]
        return Row(asked, said)

    def plain(self, text: str) -> str:
        """The text with the names of special tokens broken: nobody speaks for another by them."""
        for written in self._written:
            text = text.replace(written, f"{written[:1]} {written[1:]}")
        return text

    def text(self, ids: Sequence[int]) -> str:
        """What a reply's tokens say."""
        said = [one for one in ids if one not in self.ends]
        found: str = self.tokenizer.decode(said, clean_up_tokenization_spaces=False)
        return found

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(n, t) log-probabilities of the last t tokens, 0 where ``target`` is ``IGNORED``."""
        target = batch["target"]
        logits = self.body(
            input_ids=batch["ids"], attention_mask=batch["mask"], position_ids=batch["place"],
            use_cache=False, logits_to_keep=target.shape[1] + 1,
        ).logits[:, :-1]  # fmt: skip
        there = target != IGNORED
        losses = nn.functional.cross_entropy(logits[there].float(), target[there], reduction="none")
        found = losses.new_zeros(target.shape)
        return found.masked_scatter(there, -losses).clamp(max=0.0)

    def _rendered(self, told: Messages) -> str:
        said = [{"role": one["role"], "content": self.plain(one["content"])} for one in told]
        text = self.template.render(said, asks=True)
        if said[-1]["content"].strip() not in text:
            raise StageError("chat.template", why=f"… {text[-40:]}")
        return text

    def _ids(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def _closing(self, special: Mapping[int, str], known: set[int]) -> int:
        """The token after a reply, by the template; else the first that ends a text.

        Raises StageError ``chat.tokenizer`` where there is none.
        """
        asked = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "~"}]
        text = self.template.render(asked, asks=False)
        after = [one for one in self._ids(text.rpartition("~")[2])[:1] if one in special]
        found = [*after, *sorted(known)]
        if not found:
            raise StageError("chat.tokenizer", words=len(self.tokenizer), rows=0)
        return found[0]


def batch_of(rows: Sequence[Row], fill: int) -> dict[str, Tensor]:
    """``ids``, ``mask`` and ``place`` (n, T), filled from the left, and ``target`` (n, t).

    Replies end in the last column, so that ``target`` is about the last t tokens.
    """
    width = max((len(row.prompt) + len(row.reply) for row in rows), default=1)
    last = max((len(row.reply) for row in rows), default=1)
    ids = torch.full((len(rows), width), fill)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    target = torch.full((len(rows), last), IGNORED)
    for place, row in enumerate(rows):
        whole = [*row.prompt, *row.reply]
        ids[place, width - len(whole) :] = torch.tensor(whole)
        mask[place, width - len(whole) :] = 1
        target[place, last - len(row.reply) :] = torch.tensor(row.reply)
    return {"ids": ids, "mask": mask, "place": places(mask), "target": target}


def places(mask: Tensor) -> Tensor:
    """(n, T) where each token stands in its own text."""
    return (mask.cumsum(1) - 1).clamp(min=0)

"""A model that converses: conversations and replies as tokens, and how probable a reply is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from upwell.errors import StageError
from upwell.tasks import _chat_groups, _chat_room, _chat_words
from upwell.tasks._chat_pack import IGNORED, Row, packed, sees
from upwell.tasks._chat_rows import Messages, in_turn, since, starts
from upwell.tasks._chat_template import Template

LONGEST = 1024
"""Tokens of a conversation with its reply that are learned from and judged by."""
SHORTEST = 16
"""Tokens that a conversation always leaves for the reply."""
ALIKE = 0.02
"""Nats by which a log-probability may depend on how texts are packed: rounding, in bfloat16."""


class Talker(nn.Module):
    """``body`` is any ``AutoModelForCausalLM``; ``tokenizer`` has a chat template.

    ``usual`` is how many tokens a reply has at most where nobody says. ``ends`` are the tokens
    that end a reply, ``end`` the one that is learned; ``marks`` are other special tokens, which
    are never said. ``groups`` are those of users that have an adapter beside the body's layers;
    they are numbered from 1, and 0 is who has none. ``asked`` is what the words of a conversation
    count for, beside those of the reply, while the model learns.
    """

    def __init__(self, body: Any, tokenizer: Any, usual: int, groups: Sequence[str] = ()) -> None:
        super().__init__()
        self.body, self.tokenizer, self.usual = body, tokenizer, usual
        self.groups, self.asked = tuple(groups), 0.0
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
        self._packs: bool | None = None

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
        return self._fitted(told, room)[1]

    def numbered(self, groups: Sequence[str]) -> list[int]:
        """The number of each group's adapter."""
        known = {name: number for number, name in enumerate(self.groups, start=1)}
        return [known.get(name, 0) for name in groups]

    def speaking(self, groups: Sequence[str]) -> AbstractContextManager[None]:
        """Let the body read each of n rows with the adapter of its group, in this thread."""
        if not self.groups:
            return nullcontext()
        numbers = torch.tensor(self.numbered(groups), dtype=torch.long)[:, None]
        return _chat_groups.speaking(self._scales(numbers))

    def row(self, told: Messages, reply: str, group: int = 0) -> Row:
        """Both in at most ``LONGEST`` tokens: never an empty reply, and its beginning if not all.

        Where even the last word is too long, its end is read. ``group`` is an adapter's number.
        """
        longest = min(LONGEST, self.context)
        said = [*self._ids(self.plain(reply)), self.end][: longest // 2]
        room = longest - len(said)
        try:
            told, asked = self._fitted(told, room)
        except StageError as error:
            if error.code != "chat.too_long":
                raise
            system = [one for one in told if one["role"] == "system"]
            start = self._ids(self._rendered(system))[: room // 4] if system else []
            whole = self._ids(self._rendered([*system, told[-1]]))
            told, asked = told[-1:], [*start, *whole[len(start) - room :]]
        return Row(asked, said, group, self._replies(told) if self.asked else ())

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

    def batch(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """The rows packed, as ``forward`` reads them."""
        fill = self.tokenizer.pad_token_id or 0
        return packed(rows, fill, together=self.packs, asked=self.asked > 0)

    @property
    def packs(self) -> bool:
        """Whether the body reads packed texts as it would read each alone: seen once, by trying.

        Bodies that look at a few words back only, or that keep a state, do not; nor do those that
        do more to their logits than a linear layer.
        """
        if self._packs is None:
            window = getattr(self.body.config, "sliding_window", None)
            self._packs = (window is None or window >= LONGEST) and self._reads_packed()
        return self._packs

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(n, t) log-probabilities of the replies' tokens, 0 where ``target`` is ``IGNORED``.

        While the model learns, those of what was asked stand behind them, where ``batch`` has it.
        """
        target, source = batch["target"], batch["source"]
        if self.training and "asked" in batch:
            target = torch.cat([target, batch["asked"]], dim=1)
            source = torch.cat([source, batch["heard"]], dim=1)
        there = target != IGNORED
        source, words = source[there], target[there]
        read, numbers = self._packed if self.packs else self._apart, batch.get("group")
        scales = None if numbers is None else self._scales(numbers)
        with _chat_groups.speaking(scales), _chat_room.within(self.body, *batch["ids"].shape):
            said = read(batch, source, words)
        found = said.new_zeros(there.shape)
        return found.masked_scatter(there, said).clamp(max=0.0)

    def _packed(self, batch: Mapping[str, Tensor], source: Tensor, words: Tensor) -> Tensor:
        hidden = self.body.base_model(
            input_ids=batch["ids"], position_ids=batch["place"], use_cache=False,
            attention_mask=self._mask(sees(batch)),
        ).last_hidden_state  # fmt: skip
        head = self.body.get_output_embeddings()
        return _chat_words.log_probs(head, hidden.flatten(0, 1)[source], words)

    def _apart(self, batch: Mapping[str, Tensor], source: Tensor, words: Tensor) -> Tensor:
        logits = self.body(
            input_ids=batch["ids"], attention_mask=(batch["text"] >= 0).long(),
            position_ids=batch["place"], use_cache=False,
        ).logits.flatten(0, 1)[source]  # fmt: skip
        return -nn.functional.cross_entropy(logits.float(), words, reduction="none")

    def _scales(self, numbers: Tensor) -> Tensor | None:
        return _chat_groups.scales(self.body, len(self.groups), numbers)

    def _mask(self, seen: Tensor) -> Tensor:
        """What is added to the attention's logits."""
        kind = self.body.get_input_embeddings().weight.dtype
        return torch.zeros_like(seen, dtype=kind).masked_fill(~seen, torch.finfo(kind).min)

    @torch.no_grad()
    def _reads_packed(self) -> bool:
        if self.body.base_model is self.body or self.body.get_output_embeddings() is None:
            return False
        size = int(self.body.get_input_embeddings().weight.shape[0])
        some = [7 * number % size for number in range(1, 13)]
        rows = [Row(some[:4], some[4:6]), Row(some[:4], some[6:9]), Row(some[8:10], some[9:12])]
        batch = {
            name: part.to(self.device) for name, part in packed(rows, 0, together=True).items()
        }
        there = batch["target"] != IGNORED
        learns = self.training
        self.eval()
        try:
            found = self._packed(batch, batch["source"][there], batch["target"][there])
            alone = torch.cat([self._alone(row) for row in rows])
        except (AttributeError, IndexError, RuntimeError, TypeError, ValueError):
            return False
        finally:
            self.train(learns)
        return bool((found - alone).abs().max() <= ALIKE)

    def _alone(self, row: Row) -> Tensor:
        """(t,) log-probabilities of a reply's tokens, by the body alone."""
        whole = torch.tensor([[*row.prompt, *row.reply]], device=self.device)
        logits = self.body(input_ids=whole, use_cache=False).logits[0, len(row.prompt) - 1 : -1]
        words = whole[0, len(row.prompt) :, None]
        found: Tensor = logits.float().log_softmax(dim=1).gather(1, words)[:, 0]
        return found

    def _fitted(self, told: Messages, room: int) -> tuple[Messages, list[int]]:
        """What of a conversation is read in at most ``room`` tokens, and these."""
        ids, begins = self._ids(self._rendered(told)), starts(told)
        if len(ids) > room and begins:

            def read(start: int) -> list[int]:
                return self._ids(self._rendered(since(told, start)))

            # Halving reads a long conversation a few times, not once for each word left off.
            at = bisect_left(begins, True, key=lambda start: len(read(start)) <= room)
            told = since(told, begins[min(at, len(begins) - 1)])
            ids = self._ids(self._rendered(told))
        if len(ids) > room:
            raise StageError("chat.too_long", tokens=len(ids), room=room)
        return told, ids

    def _replies(self, told: Messages) -> Collection[int]:
        """The places of the conversation's tokens that say what was replied in it before.

        All of them where that cannot be told: where the template changes what was said, or the
        tokenizer does not tell where in a text its tokens stand.
        """
        if all(one["role"] != "assistant" for one in told):
            return ()
        text, at, found = self._rendered(told), 0, set[int]()
        everything = range(len(self._ids(text)))
        if not self.tokenizer.is_fast:
            return everything
        read = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        for one in told:
            said = self.plain(one["content"]).strip()
            begin = text.find(said, at)
            if begin < 0:
                return everything
            at = begin + len(said)
            if one["role"] == "assistant":
                found |= {
                    place for place, (start, end) in enumerate(read["offset_mapping"])
                    if start < at and end > begin
                }  # fmt: skip
        return found

    def _rendered(self, told: Messages) -> str:
        said = [{"role": one["role"], "content": self.plain(one["content"])} for one in told]
        try:
            text = self.template.render(said, asks=True)
        except StageError as error:
            if error.code != "chat.refused":
                raise
            # Gemma's takes no system message, and Mistral's nobody who speaks twice in a row.
            text = self.template.render(in_turn(said), asks=True)
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


def groups(model: Talker) -> tuple[str, ...]:
    """The groups of users that have an adapter."""
    return model.groups


def together(model: Talker, specials: Mapping[str, Talker]) -> Talker:
    """The model with the adapters of ``specials``; see ``ports.Specialising``."""
    body = _chat_groups.joined(model.body, [one.body for one in specials.values()])
    return Talker(body, model.tokenizer, model.usual, [*specials]).eval()

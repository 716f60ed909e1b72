"""The network that tags words, and texts as the tensors that it reads.

Below the encoder each piece of a word gets an embedding of how the word is written; above it the
first piece's state is joined with a convolution over the word's characters (Ma and Hovy 2016).
A text longer than the encoder reads is cut into windows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from upwell.tasks._encoder import Encoder, pad
from upwell.tasks._kept import Kept
from upwell.tasks._shapes import CODES, SHAPES, characters, shape
from upwell.tasks._spans import Place, words

WINDOW = 254
"""Pieces of a window, at most; fewer where the encoder reads fewer."""
PIECES = 8
"""Pieces of a word that are read."""
CHARACTERS, LETTERS = 96, 32
"""Width of what is made of a word's characters, and of each character."""
DROPOUT = 0.1


@dataclass(frozen=True, slots=True)
class Text:
    """A text cut into words: where each stands, how it is written, and its pieces."""

    words: tuple[str, ...]
    places: tuple[Place, ...]
    pieces: tuple[tuple[int, ...], ...]


class Tagger(nn.Module):
    """``labels`` of spans; tag 0 is outside, 1 + 2·i begins label i, 2 + 2·i is inside of it."""

    def __init__(self, encoder: Encoder, labels: Sequence[str]) -> None:
        super().__init__()
        self.encoder = encoder
        if not torch.accelerator.is_available():
            # Fused attention is made for long texts and GPUs: here it costs a CPU a sixth more.
            encoder.body.set_attn_implementation("eager")
        self.labels = tuple(labels)
        self.names = ("O", *(f"{side}-{label}" for label in self.labels for side in "BI"))
        self.index = {name: number for number, name in enumerate(self.names)}
        self.kept = Kept[str, np.int32]()
        self.shape = nn.Embedding(SHAPES, encoder.width)
        self.letters = nn.Embedding(CODES, LETTERS)
        self.read = nn.Conv1d(LETTERS, CHARACTERS, 3, padding=1)
        self.dropout = nn.Dropout(DROPOUT)
        self.out = nn.Linear(encoder.width + CHARACTERS, len(self.names))
        nn.init.normal_(self.shape.weight, 0.0, 0.02)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(x, w, tags) logits of the words of x texts."""
        known = self.encoder.body.get_input_embeddings()(batch["ids"])
        raised = known + self.shape(batch["shape"]).to(known.dtype)
        hidden = self.encoder.body(
            inputs_embeds=raised, attention_mask=batch["mask"]
        ).last_hidden_state
        flat = hidden.flatten(0, 1)
        states = nn.functional.embedding(batch["first"], flat)
        letters = self.letters(batch["characters"]).transpose(1, 2)
        seen = self.read(letters).masked_fill(batch["characters"][:, None] == 0, -1e4)
        spelled = nn.functional.embedding(batch["word"], seen.amax(dim=2).relu())
        joined = torch.cat([states, spelled.to(states.dtype)], dim=2)
        logits: Tensor = self.out(self.dropout(joined))
        return logits

    def texts(self, inputs: Sequence[str]) -> list[Text]:
        """Each input cut into words and pieces; pieces of a word are made once a process."""
        places = [tuple(words(text)) for text in inputs]
        cut = [tuple(text[a:b] for a, b in at) for text, at in zip(inputs, places, strict=True)]
        flat = [word for one in cut for word in one]
        pieces = iter([tuple(found.tolist()) for found in self.kept.of(flat, self._pieces)])
        return [
            Text(one, at, tuple(next(pieces) for _ in one))
            for one, at in zip(cut, places, strict=True)
        ]

    def _pieces(self, new: list[str]) -> list[np.ndarray[tuple[int], np.dtype[np.int32]]]:
        tokenizer = self.encoder.tokenizer
        # A space before the word, as it has in a text: some tokenizers tell the difference.
        found = tokenizer(
            [f" {word}" for word in new], add_special_tokens=False,
            return_attention_mask=False, return_token_type_ids=False,
        )["input_ids"]  # fmt: skip
        none = [tokenizer.unk_token_id or 0]
        return [np.asarray(ids[:PIECES] or none, np.int32) for ids in found]


def tensors(model: Tagger, texts: Sequence[Text]) -> dict[str, Tensor]:
    """What ``forward`` reads of x texts with up to w words, in m windows of up to t pieces.

    ``ids``, ``mask`` and ``shape`` are (m, t); ``first`` (x, w) is the place of each word's first
    piece in the windows laid end to end, ``word`` (x, w) its row in ``characters`` (u, c), and
    ``there`` (x, w) whether there is a word.
    """
    size = min(WINDOW, model.encoder.max_length - 2)
    opening, closing = _ends(model)
    ids: list[list[int]] = []
    shapes: list[list[int]] = []
    first: list[list[tuple[int, int]]] = []
    for text in texts:
        first.append([])
        room = 0
        for word, pieces in zip(text.words, text.pieces, strict=True):
            if len(pieces) > room:
                ids.append([*opening])
                shapes.append([0] * len(opening))
                room = size
            first[-1].append((len(ids) - 1, len(ids[-1])))
            ids[-1].extend(pieces)
            shapes[-1].extend([shape(word)] * len(pieces))
            room -= len(pieces)
    windows = [np.asarray([*one, *closing], np.int32) for one in ids or [[0]]]
    padded, mask = pad(windows, model.encoder.tokenizer.pad_token_id or 0)
    written, _ = pad([np.asarray(one, np.int32) for one in shapes or [[0]]])
    written = nn.functional.pad(written, (0, padded.shape[1] - written.shape[1]))
    named = {word: place for place, word in enumerate({w: None for t in texts for w in t.words})}
    where = [[m * padded.shape[1] + place for m, place in one] for one in first]
    number = [[named[word] for word in text.words] for text in texts]
    place, there = _table(where)
    return {
        "ids": padded, "mask": mask, "shape": written, "first": place, "there": there,
        "word": _table(number)[0], "characters": torch.from_numpy(characters(list(named) or [""])),
    }  # fmt: skip


def _table(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """(n, w) numbers and whether they are there, as wide as the longest row, at least 1."""
    found, there = pad([np.asarray(row, np.int32) for row in rows])
    return found, there.bool()


def _ends(model: Tagger) -> tuple[list[int], list[int]]:
    """The special tokens that open and close what the encoder reads, where it has any."""
    tokenizer = model.encoder.tokenizer
    opening = [tokenizer.cls_token_id, tokenizer.bos_token_id]
    closing = [tokenizer.sep_token_id, tokenizer.eos_token_id]
    return _one(opening), _one(closing)


def _one(ids: Sequence[int | None]) -> list[int]:
    return [one for one in ids if one is not None][:1]

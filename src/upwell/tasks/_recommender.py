"""The recommender's network: how probable each item of a catalogue is as a user's next one.

    p(j | user) = (1 − share) · softmax_j(user · item(j) + popularity(j)) + share · near(j)
    near(j) ∝ (max(0, Σ_i recency_i · B[i, j]) + FLOOR)²

* The item tower is a projected text embedding plus an id part. In training the id parts of random
  items are dropped, so that the text alone can stand for an item nobody knows (DropoutNet,
  Volkovs et al. 2017).
* The user tower is a causal transformer over the history, with behaviour features.
* B is the closed-form neighbour matrix of ``_neighbours``. The towers learn without it: B has met
  the very rows they learn from, and would leave them nothing to learn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

NEVER = -1e4
FLOOR = 1e-3
BAR = 100.0
FULL, SAMPLED = 20_000, 2_048
TOKEN = 4
"""Numbers told about each event of a history: gap, sign, whether it is known, place."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes that fix the parameters: a saved model needs them to be loaded."""

    items: int
    text: int
    features: int
    width: int = 64
    heads: int = 2
    layers: int = 2
    inner: int = 128
    length: int = 60
    dropout: float = 0.2
    id_dropout: float = 0.2
    share: float = 0.5
    """Weight of the neighbours in the mixture."""


class Block(nn.Module):
    """A LiGR block (Borisyuk et al. 2024): sublayers enter the residual through learned gates."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.before_attention, self.before_inner = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention_in, self.attention_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.attention_gate, self.inner_gate = nn.Linear(width, width), nn.Linear(width, width)
        self.inner_in = nn.Linear(width, 2 * shape.inner)
        self.inner_out = nn.Linear(shape.inner, width)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(b, l, width) to the same; no position sees a later one."""
        b, length, width = x.shape
        parts = self.attention_in(self.before_attention(x))
        q, k, v = parts.view(b, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        mixed = self.attention_out(mixed.transpose(1, 2).reshape(b, length, width))
        x = x + torch.sigmoid(self.attention_gate(x)) * self.dropout(mixed)
        up, gate = self.inner_in(self.before_inner(x)).chunk(2, dim=-1)
        inner = self.inner_out(up * functional.silu(gate))
        return torch.as_tensor(x + torch.sigmoid(self.inner_gate(x)) * self.dropout(inner))


class Network(nn.Module):
    """Two towers and a neighbour matrix over one catalogue.

    Buffers: ``text`` (items, text), centred and of length 1; ``known`` (items,), the items that
    training meets; ``near`` (m + 1, c), B and a row of zeros; ``row`` (items + 1,), an item's row
    in B; ``column`` (c,), the items of B's columns.
    """

    text: Tensor
    known: Tensor
    near: Tensor
    row: Tensor
    column: Tensor

    def __init__(self, shape: Shape, near_shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = shape
        width = shape.width
        self.id_part = nn.Embedding(shape.items, width)
        self.text_part = nn.Linear(shape.text, width, bias=False)
        self.popularity = nn.Parameter(torch.zeros(shape.items))
        self.text_popularity = nn.Linear(shape.text, 1)
        self.start = nn.Parameter(torch.zeros(width))
        self.position = nn.Embedding(shape.length + 1, width)
        self.token = nn.Linear(TOKEN, width)
        self.behaviour = nn.Linear(shape.features, width)
        self.blocks = nn.ModuleList([Block(shape) for _ in range(shape.layers)])
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(shape.dropout)
        for part, spread in ((self.id_part, 0.05), (self.text_part, 0.05), (self.position, 0.02)):
            nn.init.normal_(part.weight, std=spread)
        for zero in (self.text_popularity.weight, self.behaviour.weight, self.behaviour.bias):
            nn.init.zeros_(zero)
        self._answering: tuple[Tensor, Tensor] | None = None
        self._places: Tensor | None = None
        self.register_buffer("text", torch.zeros(shape.items, shape.text))
        self.register_buffer("known", torch.ones(shape.items, dtype=torch.bool))
        self.register_buffer("near", torch.zeros(near_shape))
        self.register_buffer("row", torch.zeros(shape.items + 1, dtype=torch.int64))
        self.register_buffer("column", torch.zeros(near_shape[1], dtype=torch.int64))

    def train(self, mode: bool = True) -> Self:
        """Change between learning and answering; weights may have changed in between."""
        self._answering = self._places = None
        return super().train(mode)

    def catalogue(self) -> tuple[Tensor, Tensor]:
        """Vectors (items, width) and popularity (items,).

        An item that training never met, and in training a random share of the others, has only
        what its text says. While answering they are made once.
        """
        if self.training or torch.is_grad_enabled():
            return self._catalogue()
        if self._answering is None:
            self._answering = self._catalogue()
        return self._answering

    def _catalogue(self) -> tuple[Tensor, Tensor]:
        keep = self.known[:, None].to(self.text.dtype)
        if self.training:
            keep = keep * (torch.rand_like(keep) >= self.shape.id_dropout)
        vectors = self.id_part.weight * keep + self.text_part(self.text)
        popularity = self.text_popularity(self.text) + keep * self.popularity[:, None]
        return vectors, popularity[:, 0]

    def states(self, items: Tensor, tokens: Tensor, vectors: Tensor) -> Tensor:
        """(b, l + 1, width): the user before any event, and after each of the history.

        ``items`` (b, l) int64, padded at the end with the number of items; ``tokens`` (b, l, 4).
        """
        padded = torch.cat([vectors, vectors.new_zeros(1, vectors.shape[1])])
        events = functional.embedding(items, padded) + self.token(tokens)
        first = self.start.expand(len(items), 1, -1)
        places = torch.arange(items.shape[1] + 1, device=items.device)
        x = self.dropout(torch.cat([first, events], dim=1) + self.position(places))
        for block in self.blocks:
            x = block(x)
        return torch.as_tensor(self.norm(x))

    def asked(self, batch: Mapping[str, Tensor], vectors: Tensor) -> Tensor:
        """(n, width): the user at each asked place, by history and behaviour.

        ``user`` (n,) and ``place`` (n,): which sequence, and how many of its events are known;
        ``features`` (n, f): the user's behaviour just then.
        """
        states = self.states(batch["items"], batch["tokens"], vectors)
        behaviour: Tensor = self.behaviour(batch["features"])
        return states[batch["user"], batch["place"]] + behaviour

    def towers(self, batch: Mapping[str, Tensor], hidden: Tensor) -> Tensor:
        """(n, items) log-probabilities by the towers alone; ``hidden`` (n, items) get NEVER."""
        vectors, popularity = self.catalogue()
        scores = self.asked(batch, vectors) @ vectors.T + popularity
        return torch.log_softmax(scores.masked_fill(hidden, NEVER), dim=1)

    def target(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(n,) log-probability by the towers of each row's ``target`` (n,); 0 for other rows.

        ``wanted`` (w,) are the rows that are asked for: context has no target to learn.

        Other items of the user's sequence are out of the running, as they are in answers. Beyond
        FULL items the softmax is estimated in training from SAMPLED even draws, with the
        correction log(items / SAMPLED) for what was not drawn (Bengio and Senécal 2008).
        """
        vectors, popularity = self.catalogue()
        wanted = batch["wanted"]
        asked, target = self.asked(batch, vectors)[wanted], batch["target"][wanted]
        found = torch.zeros(len(batch["target"]), device=asked.device, dtype=asked.dtype)
        if self.training and self.shape.items > FULL:
            return found.index_put((wanted,), self._sampled(asked, target, vectors, popularity))
        if self.training:
            popularity = popularity.masked_fill(~self.known, NEVER)
        scores = asked @ vectors.T + popularity
        rows, items = self._earlier(batch, wanted)
        repeated = items == target[rows]
        scores = scores.index_put((rows[~repeated], items[~repeated]), scores.new_tensor(NEVER))
        return found.index_put(
            (wanted,), -functional.cross_entropy(scores, target, reduction="none")
        )

    def _sampled(
        self, asked: Tensor, target: Tensor, vectors: Tensor, popularity: Tensor
    ) -> Tensor:
        own = (asked * vectors[target]).sum(1) + popularity[target]
        drawn = torch.randint(self.shape.items, (SAMPLED,), device=own.device)
        others = asked @ vectors[drawn].T + popularity[drawn]
        others = others.masked_fill(drawn == target[:, None], NEVER)
        correction = math.log(self.shape.items / SAMPLED)
        return own - torch.logaddexp(own, torch.logsumexp(others, 1) + correction)

    def _earlier(self, batch: Mapping[str, Tensor], wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs (row, item) of items that stand before the place that a wanted row asks about."""
        items = batch["items"]
        user, place = batch["user"][wanted], batch["place"][wanted]
        earlier = torch.arange(items.shape[1], device=items.device)[None] < place[:, None]
        rows, at = earlier.nonzero(as_tuple=True)
        found = items[user[rows], at]
        inside = found < self.shape.items
        return rows[inside], found[inside]

    def mixture(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(n, items) log-probabilities of towers and neighbours together; what was seen is out.

        ``seen`` (s,), ``recency`` (s,) and ``offsets`` (n,): all earlier items of each asked row,
        one after the other, with their weights for B.
        """
        seen, offsets = batch["seen"], batch["offsets"]
        sums = functional.embedding_bag(
            self.row[seen], self.near, offsets, mode="sum", per_sample_weights=batch["recency"]
        )
        near = sums.new_zeros(len(sums), self.shape.items)
        near[:, self.column] = sums
        asked = torch.bucketize(torch.arange(len(seen)), offsets, right=True) - 1
        hidden = torch.zeros(len(sums), self.shape.items + 1, dtype=torch.bool)
        hidden[asked, seen] = True
        hidden = hidden[:, :-1]
        near = 2 * torch.log(near.clamp(min=0) + FLOOR)
        near = near.masked_fill(hidden, NEVER).log_softmax(dim=1)
        share = self.shape.share
        if share == 1.0:
            return near
        towers = self.towers(batch, hidden)
        mixed = torch.logaddexp(towers + math.log1p(-share), near + math.log(share))
        return mixed.masked_fill(hidden, NEVER)

    def columns(self) -> Tensor:
        """(items,): the place of each item among B's columns, −1 for none; made once."""
        if self._places is None:
            self._places = torch.full((self.shape.items,), -1, device=self.column.device)
            self._places[self.column] = torch.arange(len(self.column), device=self.column.device)
        return self._places

    def because(self, batch: Mapping[str, Tensor], chosen: Tensor) -> Tensor:
        """(n, k): the seen item that B names most for each of ``chosen`` (n, k); −1 for none."""
        column = self.columns()
        found = torch.full_like(chosen, -1)
        bounds = [*batch["offsets"].tolist(), len(batch["seen"])]
        for row, (start, end) in enumerate(pairwise(bounds)):
            if start == end or not len(self.column):
                continue
            seen, places = batch["seen"][start:end], column[chosen[row]]
            by = self.near[self.row[seen]][:, places] * batch["recency"][start:end, None]
            best = by.max(dim=0)
            speaks = (best.values > 0) & (places >= 0)
            found[row] = torch.where(speaks, seen[best.indices], -1)
        return found


def accepts(log_prob: Tensor) -> Tensor:
    """Log-probability (n,) that a user accepts an item, from the item's log-probability (n,).

    A softmax over a catalogue gives every item a tiny probability, on which a bounded loss has no
    slope. So an item is held against a bar, the place of about the BAR-th best item:
    σ(log(BAR · p)) = p / (p + 1 / BAR).

    >>> round(accepts(torch.tensor([0.01]).log()).exp().item(), 3)
    0.5
    """
    return functional.logsigmoid(log_prob + torch.log(torch.tensor(BAR)))

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

from upwell.tasks import _retrieval as retrieval
from upwell.tasks._chances import NEVER, by_neighbours
from upwell.tasks._ligr import Block
from upwell.tasks._retrieval import POOL, Index, without_repeats

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
        self.blocks = nn.ModuleList(
            [Block(width, shape.heads, shape.inner, shape.dropout) for _ in range(shape.layers)]
        )
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(shape.dropout)
        for part, spread in ((self.id_part, 0.05), (self.text_part, 0.05), (self.position, 0.02)):
            nn.init.normal_(part.weight, std=spread)
        for zero in (self.text_popularity.weight, self.behaviour.weight, self.behaviour.bias):
            nn.init.zeros_(zero)
        self._answering: tuple[Tensor, Tensor] | None = None
        self._places: Tensor | None = None
        self._index: Index | None = None
        self.register_buffer("text", torch.zeros(shape.items, shape.text))
        self.register_buffer("known", torch.ones(shape.items, dtype=torch.bool))
        self.register_buffer("near", torch.zeros(near_shape))
        self.register_buffer("row", torch.zeros(shape.items + 1, dtype=torch.int64))
        self.register_buffer("column", torch.zeros(near_shape[1], dtype=torch.int64))

    def train(self, mode: bool = True) -> Self:
        """Change between learning and answering; weights may have changed in between."""
        self._answering, self._places, self._index = None, None, None
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
        sums = self._nearness(batch)
        near = sums.new_zeros(len(sums), self.shape.items)
        near[:, self.column] = sums
        hidden = self._seen(batch, len(sums))
        if self.shape.share == 1.0:
            return by_neighbours(near, hidden)
        return self._mixed(self.towers(batch, hidden), by_neighbours(near, hidden), hidden)

    def shortlist(self, batch: Mapping[str, Tensor], index: Index) -> tuple[Tensor, Tensor]:
        """Items (n, c) worth a look and their log-probabilities (n, c) among themselves.

        The best by the towers (from ``index``) and the best by the neighbours; what was seen, and
        places that are left over, have NEVER.
        """
        vectors, popularity = self.catalogue()
        asked, sums = self.asked(batch, vectors), self._nearness(batch)
        alike = self.column[sums.topk(min(POOL, sums.shape[1]), dim=1).indices]
        nobody = self.shape.items
        items = without_repeats(index.nearest(asked, POOL), alike, nobody)
        hidden = self._seen(batch, len(items), nobody_too=True).gather(1, items)
        known = items.clamp(max=nobody - 1)
        scores = torch.einsum("nd,ncd->nc", asked, vectors[known]) + popularity[known]
        places = self.columns()[known]
        near = sums.gather(1, places.clamp(min=0)).masked_fill(places < 0, 0.0)
        towers = torch.log_softmax(scores.masked_fill(hidden, NEVER), dim=1)
        return items, self._mixed(towers, by_neighbours(near, hidden), hidden)

    def _mixed(self, towers: Tensor, near: Tensor, hidden: Tensor) -> Tensor:
        share = self.shape.share
        mixed = torch.logaddexp(towers + math.log1p(-share), near + math.log(share))
        return mixed.masked_fill(hidden, NEVER)

    def _nearness(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(n, c): what all that was seen says by B for the items of its columns."""
        found = functional.embedding_bag(
            self.row[batch["seen"]],
            self.near,
            batch["offsets"],
            mode="sum",
            per_sample_weights=batch["recency"],
        )
        return torch.as_tensor(found)

    def _seen(self, batch: Mapping[str, Tensor], rows: int, nobody_too: bool = False) -> Tensor:
        """(n, items): what each asked row has seen; with a last column for no item at all."""
        seen = batch["seen"]
        asked = torch.bucketize(torch.arange(len(seen)), batch["offsets"], right=True) - 1
        hidden = torch.zeros(rows, self.shape.items + 1, dtype=torch.bool)
        hidden[asked, seen] = True
        hidden[:, -1] = True
        return hidden if nobody_too else hidden[:, :-1]

    def best(self, batch: Mapping[str, Tensor], k: int) -> tuple[Tensor, Tensor]:
        """Log-probabilities and items, (n, ≤ k) each, best first: of all, or of a shortlist."""
        count = min(k, self.shape.items)
        if self.shape.items <= retrieval.INDEXED or self.shape.share == 1.0:
            found = self.mixture(batch).topk(count, dim=1)
            return found.values, found.indices
        if self._index is None:
            self._index = Index(*self.catalogue())
        items, log_prob = self.shortlist(batch, self._index)
        found = log_prob.topk(min(count, log_prob.shape[1]), dim=1)
        return found.values, items.gather(1, found.indices).clamp(max=self.shape.items - 1)

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

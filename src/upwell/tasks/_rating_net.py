"""What a rating model holds: a posterior mean that stands, and a small part that goes on learning.

    μ = (posterior mean of the factorization) + offset_u + offset_i + text_i · w + features · v

The target is a level between learned cuts, or a number; the spread of μ grows where a user or
item is little known. The mean of a training row is the one it has when left out, so that what
learns on top learns from what the factorization does not know yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from upwell.tasks._ordinal import FAR, chances, latent_of, log_between, log_level

CELL = 0.1
"""Width of the cell around a real target whose probability is told, in standard deviations."""
NEAR = 0.25
"""Half the width around a corrected real number."""
PER_DEVIATION = 1000.0
"""A real number is told to a thousandth of a standard deviation."""
LABEL, CORRECTION, DIRECTION = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes that fix the tensors of a saved model. ``levels`` is 0 where targets are real."""

    users: int
    items: int
    user_rows: int
    item_rows: int
    rank: int
    user_side: int
    features: int
    text: int
    levels: int
    days: int
    sittings: int
    seen: int


class Net(nn.Module):
    """The tensors by name; see ``rating.start`` for what fills them."""

    user: Tensor
    item: Tensor
    values: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        whole, real = torch.int64, torch.float32
        sizes: dict[str, tuple[tuple[int, ...], torch.dtype]] = {
            "user": ((shape.user_rows, shape.rank + 1), real),
            "item": ((shape.item_rows, shape.rank + 1), real),
            "user_side": ((shape.features, shape.user_side), real),
            "feature_scale": ((2, shape.features), real),
            "text": ((shape.items + 1, shape.text), real),
            "counts": ((shape.users + shape.items + 2,), real),
            "values": ((shape.levels,), real),
            "unit": ((2,), torch.float64),
            "days": ((3, shape.days), whole),
            "sittings": ((3, shape.sittings), whole),
            "day_effect": ((shape.days + 1,), real),
            "sitting_effect": ((shape.sittings + 1,), real),
            "seen": ((2, shape.seen), whole),
            "left_out": ((shape.seen,), real),
        }
        for name, (size, kind) in sizes.items():
            self.register_buffer(name, torch.zeros(size, dtype=kind))
        self.user_offset = nn.Embedding(shape.users + 1, 1)
        self.item_offset = nn.Embedding(shape.items + 1, 1)
        self.by_text = nn.Parameter(torch.zeros(shape.text))
        self.by_features = nn.Parameter(torch.zeros(shape.features))
        self.offset = nn.Parameter(torch.zeros(1))
        self.first_cut = nn.Parameter(torch.zeros(1))
        self.log_gaps = nn.Parameter(torch.zeros(max(shape.levels - 2, 0)))
        self.log_scale = nn.Parameter(torch.zeros(3))
        for part in (self.user_offset, self.item_offset):
            nn.init.zeros_(part.weight)

    def cuts(self) -> Tensor:
        """(L − 1,) rising cuts."""
        return torch.cumsum(torch.cat([self.first_cut, self.log_gaps.exp()]), 0)

    def place(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(n,) mean and (n,) scale of the latent value behind each row."""
        mean = batch["mean"]
        mean = mean + self.user_offset(batch["user"])[:, 0] + self.item_offset(batch["item"])[:, 0]
        mean = mean + self.get_buffer("text")[batch["item"]] @ self.by_text
        mean = mean + batch["features"] @ self.by_features + self.offset
        scale = (self.log_scale[0] + batch["rarity"] @ self.log_scale[1:]).clamp(-4.0, 4.0).exp()
        return mean, scale

    def log_prob(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(n,) of a label its level or cell, of a correction what is near, else the direction."""
        mean, scale = self.place(batch)
        value = batch["value"]
        if self.shape.levels:
            cuts = self.cuts()
            here = latent_of(value, self.values, cuts)
            nearest = (value[:, None] - self.values).abs().argmin(1)
            exact = log_level(mean, scale, cuts, nearest)
        else:
            here = value
            half = torch.where(batch["kind"] == CORRECTION, NEAR, CELL / 2)
            low, high = ((value + sign * half - mean) / scale for sign in (-1, 1))
            exact = log_between(low.clamp(-FAR, FAR), high.clamp(-FAR, FAR + 1))
        above = torch.special.log_ndtr((mean - here) / scale)
        return torch.where(batch["kind"] == DIRECTION, above, exact)

    def told(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(n,) predictive mean and standard deviation of the target, in its own unit."""
        mean, scale = self.place(batch)
        centre, unit = self.get_buffer("unit").tolist()
        if not self.shape.levels:
            return mean.double() * unit + centre, scale.double() * unit
        each = chances(mean.double(), scale.double(), self.cuts().double())
        values = self.values.double()
        expected = each @ values
        return expected, (each @ values**2 - expected**2).clamp(min=1e-6).sqrt()

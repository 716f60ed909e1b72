"""A causal transformer block whose sublayers enter the residual through learned gates."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """A LiGR block (Borisyuk et al. 2024): sublayers enter the residual through learned gates."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_inner = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention_in, self.attention_out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.attention_gate, self.inner_gate = nn.Linear(width, width), nn.Linear(width, width)
        self.inner_in = nn.Linear(width, 2 * inner)
        self.inner_out = nn.Linear(inner, width)
        self.dropout = nn.Dropout(dropout)

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

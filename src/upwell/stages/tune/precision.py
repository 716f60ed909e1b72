"""Half precision where it pays: matrix products of large models on hardware that has them."""

from __future__ import annotations

import torch
from torch import nn

from upwell.ports import Model
from upwell.settings import TuneSettings

LARGE = 4_000_000
"""Weights of linear layers from which a model spends most of its time on their products."""


def chosen(settings: TuneSettings, device: torch.device, model: Model) -> torch.dtype | None:
    """bfloat16 when asked for, or by itself where it pays; None: as the model is.

    By itself on a GPU that has it, and on a CPU with AVX-512 BF16 or AMX for a model of a certain
    size. It follows from machine and model, not from a measurement, so that the same training
    gives the same numbers.
    """
    if settings.precision == "auto":
        return torch.bfloat16 if able(device) and worth(model, device) else None
    return torch.bfloat16 if settings.precision == "bf16" else None


def able(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 without emulation."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def worth(model: Model, device: torch.device) -> bool:
    """Whether products fill the time: always on a GPU; on a CPU, in a large model.

    Parts of the model in which nothing learns (an encoder whose vectors are known) do not count;
    an encoder with adapters does, as a whole.
    """
    if device.type != "cpu":
        return True
    alive = [part for part in model.children() if any(p.requires_grad for p in part.parameters())]
    linear = (layer for part in alive for layer in part.modules() if isinstance(layer, nn.Linear))
    return sum(layer.weight.numel() for layer in linear) >= LARGE

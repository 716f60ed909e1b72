"""Weights of four bits beside which adapters learn, and whole weights made of them again.

QLoRA (Dettmers et al. 2023, arXiv:2305.14314): each linear layer's weights are NF4, in blocks of
64, whose scales take eight bits ("double quantisation"). They are the same wherever it learns.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from upwell.errors import PluginError

NEEDED = ("peft", "bitsandbytes")
APART = 0.05
"""By which numbers of a device may be off, as a share of the largest: rounding, in bfloat16."""


def quantise(body: Any, precision: str) -> None:
    """Keep all linear layers but the output layer in four bits, in place; they do not learn.

    Products are made in bfloat16 on a GPU that has it, unless ``precision`` is ``fp32``; else in
    single precision. Raises PluginError ``chat.no_qlora`` where a package is missing, where its
    kernels do not do on the device that will learn, and where there is no linear layer.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise PluginError("chat.no_qlora", why=", ".join(missing))
    device = _device()
    products = _products(device, precision)
    try:
        _try(device, products)
    # What libraries raise where a kernel is missing is as good as anything.
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise PluginError("chat.no_qlora", why=why) from error
    head = body.get_output_embeddings()
    names = [
        name
        for name, part in body.named_modules()
        if isinstance(part, nn.Linear) and part is not head
    ]
    if not names:
        raise PluginError("chat.no_qlora", why=type(body).__name__)
    for name in names:
        layer = body.get_submodule(name)
        body.set_submodule(name, _four_bits(layer.weight, layer.bias, products))


def whole(layer: Any) -> Any:
    """A linear layer that says what one of four bits does, in single precision; any other as is."""
    state = getattr(layer.weight, "quant_state", None)
    if state is None:
        return layer
    from bitsandbytes.functional import dequantize_4bit

    biased = layer.bias is not None
    found = nn.Linear(layer.in_features, layer.out_features, bias=biased, device="meta")
    weight = dequantize_4bit(layer.weight.data, state).float()
    found.weight = nn.Parameter(weight, requires_grad=False)
    if biased:
        found.bias = nn.Parameter(layer.bias.detach().float(), requires_grad=False)
    return found


def _four_bits(weight: Tensor, bias: Any, products: torch.dtype) -> Any:
    from bitsandbytes.nn import Linear4bit, Params4bit

    outside, inside = weight.shape
    found = Linear4bit(
        inside, outside, bias=False, compute_dtype=products, quant_type="nf4", device="meta"
    )
    found.weight = Params4bit(weight.detach(), quant_type="nf4").to(weight.device)
    found.bias = bias
    # Weights that a CPU has packed anew to answer with pass no gradient on any more.
    found.support_avx512bf16_for_cpu = False
    return found


def _device() -> torch.device:
    """The one that will learn."""
    there = torch.accelerator.is_available()
    return (torch.accelerator.current_accelerator() if there else None) or torch.device("cpu")


def _products(device: torch.device, precision: str) -> torch.dtype:
    able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if able and precision != "fp32" else torch.float32


def _try(device: torch.device, products: torch.dtype) -> None:
    """Raises what the kernels raise, or RuntimeError where their numbers are wrong."""
    some = torch.linspace(-1, 1, 64 * 64).reshape(64, 64).sin()
    layer = _four_bits(some, None, products).to(device)
    read = some.T.to(device).requires_grad_(True)

    def numbers(of: nn.Module) -> Tensor:
        made = of(read)
        return torch.stack([made, *torch.autograd.grad(made.sum(), read)]).detach()

    found, expected = numbers(layer), numbers(whole(layer))
    off = (found - expected).abs().amax((1, 2))
    if not bool((off <= APART * expected.abs().amax((1, 2))).all()):
        raise RuntimeError(f"wrong products on {device}")

"""Adapters for groups of users beside one shared body: each row is read by its group's, or by none.

Beside a layer stand the adapters of all groups as one: its ranks are theirs, side by side, and what
a row makes of the ranks of other groups is taken times 0. So rows of different groups share a
batch, whoever asks changes nothing in place, and a row of no group gets what the layer gives.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import linear

from upwell.tables import canonical_json

SCALE = 2.0
FOLDER = "groups"
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_BEFORE, _PART = "base_model.model.", "lora_{}.weight"
_scales: ContextVar[Tensor | None] = ContextVar("scales", default=None)


class Adapted(nn.Module):
    """A linear layer with ``ranks`` of adapters beside it, which begin as no change."""

    def __init__(self, base: Any, ranks: int) -> None:
        super().__init__()
        self.base = base
        inside, outside = _sizes(base)
        self.down = nn.Parameter(base.weight.new_empty((ranks, inside)))
        self.up = nn.Parameter(base.weight.new_zeros((outside, ranks)))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    @property
    def weight(self) -> Tensor:
        """The layer's own, which bodies look at."""
        found: Tensor = self.base.weight
        return found

    def forward(self, states: Tensor) -> Tensor:
        """What the layer makes of ``states`` (n, t, d), and what the rows' adapters add."""
        said: Tensor = self.base(states)
        scales = spoken()
        if scales is None:
            return said
        return said + linear(linear(states, self.down) * scales, self.up)


def beside(body: Any, rank: int) -> Any:
    """A body with the same weights, which do not learn, and an adapter beside each linear layer."""
    found = _twin(body)
    found.requires_grad_(False)
    for name in _layers(found):
        _put(found, name, Adapted(found.get_submodule(name), rank))
    return found


def bare(body: Any) -> Any:
    """A body with the same weights and nothing beside its layers."""
    found = _twin(body)
    for name, layer in _adapted(found).items():
        _put(found, name, layer.base)
    return found


def joined(body: Any, bodies: Sequence[Any]) -> Any:
    """A body with the same weights, and beside its layers the adapters of all ``bodies``."""
    found, parts = _twin(body), [_adapted(one) for one in bodies]
    for name in parts[0]:
        its = [part[name] for part in parts]
        layer = Adapted(found.get_submodule(name), sum(len(one.down) for one in its))
        with torch.no_grad():
            layer.down.copy_(torch.cat([one.down for one in its]))
            layer.up.copy_(torch.cat([one.up for one in its], dim=1))
        _put(found, name, layer)
    return found.requires_grad_(False)


def scales(body: Any, groups: int, numbers: Tensor) -> Tensor | None:
    """(…, ranks) what to take ranks times for rows of groups by number, 0 for none of ``groups``.

    None where no row has a group.
    """
    if not groups or not bool(numbers.any()):
        return None
    like = next(iter(_adapted(body).values())).up
    each = torch.eye(groups, dtype=like.dtype, device=like.device) * SCALE
    table = torch.cat([torch.zeros_like(each[:1]), each])
    return table.repeat_interleave(like.shape[1] // groups, dim=1)[numbers.to(like.device)]


def spoken() -> Tensor | None:
    """What ``speaking`` was told in this thread."""
    return _scales.get()


@contextmanager
def speaking(found: Tensor | None) -> Iterator[None]:
    """Let layers take their ranks times ``found``, in this thread, for as long as the block runs.

    It is (n, 1, ranks), or (n, t, ranks) where the tokens of a line belong to different rows.
    """
    before = _scales.set(found)
    try:
        yield
    finally:
        _scales.reset(before)


def write(body: Any, groups: int, folder: Path) -> None:
    """Each group's adapter, by its number, as PEFT keeps them; the body is the base of all."""
    layers = _adapted(body)
    rank = next(iter(layers.values())).up.shape[1] // groups
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": None,
        "r": rank, "lora_alpha": int(SCALE * rank), "lora_dropout": 0.0, "bias": "none",
        "target_modules": sorted(layers), "inference_mode": True,
        "fan_in_fan_out": any(_is_turned(layer.base) for layer in layers.values()),
    }  # fmt: skip
    for number in range(groups):
        home, part = folder / FOLDER / str(number + 1), slice(number * rank, (number + 1) * rank)
        home.mkdir(parents=True)
        (home / _CONFIG).write_text(canonical_json(config), encoding="utf-8")
        weights = dict[str, Tensor]()
        for name, layer in layers.items():
            weights[_key(name, "A")] = layer.down.detach()[part].contiguous()
            weights[_key(name, "B")] = layer.up.detach()[:, part].contiguous()
        save_file(weights, home / _WEIGHTS, metadata={"format": "pt"})


def read(body: Any, groups: int, folder: Path) -> Any:
    """The body with the adapters that ``write`` wrote."""
    kept = [load_file(folder / FOLDER / str(one + 1) / _WEIGHTS) for one in range(groups)]
    ends = f".{_PART.format('A')}"
    names = [key.removeprefix(_BEFORE).removesuffix(ends) for key in kept[0] if key.endswith(ends)]
    return joined(body, [_read(body, names, one) for one in kept])


def _read(body: Any, names: Sequence[str], kept: Mapping[str, Tensor]) -> Any:
    found = _twin(body)
    for name in names:
        down, up = kept[_key(name, "A")], kept[_key(name, "B")]
        layer = Adapted(found.get_submodule(name), len(down))
        with torch.no_grad():
            layer.down.copy_(down), layer.up.copy_(up)
        _put(found, name, layer)
    return found


def _key(name: str, part: str) -> str:
    return f"{_BEFORE}{name}.{_PART.format(part)}"


def _twin(body: Any) -> Any:
    """A copy that has the very same weights."""
    return copy.deepcopy(body, {id(weight): weight for weight in body.parameters()})


def _put(body: Any, name: str, layer: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(body.get_submodule(parent), own, layer)


def _adapted(body: Any) -> dict[str, Adapted]:
    return {name: part for name, part in body.named_modules() if isinstance(part, Adapted)}


def _layers(body: Any) -> list[str]:
    """Names of the linear layers that read rows as rows: all but the head, seen by trying."""
    found, head = list[str](), body.get_output_embeddings()
    hooks = [
        part.register_forward_pre_hook(
            lambda _, told, name=name: found.append(name) if told[0].shape[:-1] == (2, 3) else None
        )
        for name, part in body.named_modules()
        if part is not head and (isinstance(part, nn.Linear) or _is_turned(part))
    ]
    try:
        with torch.no_grad():
            ids = torch.zeros((2, 3), dtype=torch.long, device=next(body.parameters()).device)
            body(input_ids=ids, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return sorted(set(found))


def _is_turned(layer: Any) -> bool:
    """Whether it is the linear layer of older models, whose weights lie the other way round."""
    return type(layer).__name__ == "Conv1D"


def _sizes(layer: Any) -> tuple[int, int]:
    """How wide what it reads is, and what it gives."""
    outside, inside = layer.weight.shape
    return (outside, inside) if _is_turned(layer) else (inside, outside)

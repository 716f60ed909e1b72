"""One file holds all that a training needs to go on: tensors by group, and its state as text.

The file is safetensors, written beside its place, synced and renamed: it is whole or absent.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from upwell.errors import StageError

FILE = "training.safetensors"

Groups = dict[str, dict[str, Tensor]]


def save(folder: Path, run: str, groups: Mapping[str, Mapping[str, Tensor]], state: str) -> None:
    """Replace the checkpoint in ``folder``. ``run`` names the training it belongs to."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{group}/{name}": tensor.detach().contiguous().cpu()
        for group, members in groups.items()
        for name, tensor in members.items()
    }
    fresh = folder / f"{FILE}.new"
    save_file(tensors, fresh, metadata={"run": run, "state": state})
    _sync(fresh)
    fresh.replace(folder / FILE)
    _sync(folder)


def load(folder: Path, run: str) -> tuple[Groups, str] | None:
    """The groups and the state that ``save`` wrote; None where there is no checkpoint.

    Raises StageError ``tune.bad_checkpoint`` when the file cannot be read, and
    ``tune.other_checkpoint`` when it belongs to another training.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (SafetensorError, OSError) as error:
        raise StageError("tune.bad_checkpoint", file=path, problem=str(error)) from None
    if facts.get("run") != run:
        raise StageError("tune.other_checkpoint", file=path)
    groups: Groups = {}
    for name, tensor in tensors.items():
        group, _, member = name.partition("/")
        groups.setdefault(group, {})[member] = tensor
    return groups, facts["state"]


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state per parameter, by ``<number of the parameter>/<name>``."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}/{name}": value
        for number, values in state.items()
        for name, value in values.items()
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what ``optimizer_tensors`` took."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, _, name = key.partition("/")
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

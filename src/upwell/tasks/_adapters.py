"""Low-rank adapters (LoRA, Hu et al. 2021) in a model, and out of it again."""

from __future__ import annotations

import copy
from typing import Any

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer

from upwell.tasks._encoder import HasBody
from upwell.tasks._quantised import whole


def add(model: HasBody, rank: int) -> None:
    """Adapters of scale 2 beside every linear layer, in place; nothing else of the body learns.

    They begin as no change.
    """
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear")
    model.body = inject_adapter_in_model(config, model.body)
    for name, weight in model.body.named_parameters():
        weight.requires_grad_("lora_" in name and not name.startswith("pooler."))


def merged(body: Any) -> Any:
    """A copy of the body in which the adapters have become part of the weights, which are whole."""
    body = copy.deepcopy(body)
    for name, part in list(body.named_modules()):
        if isinstance(part, BaseTunerLayer):
            body.set_submodule(f"{name}.base_layer", whole(part.get_base_layer()))
            part.merge()
            parent, _, own = name.rpartition(".")
            setattr(body.get_submodule(parent), own, part.get_base_layer())
    return body

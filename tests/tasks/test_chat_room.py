"""A batch that would keep more than there is room for is read anew, to the same numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from tests.chatting import DATA, MODEL, rows
from torch import Tensor
from transformers.modeling_layers import GradientCheckpointingLayer

from upwell.settings import TuneSettings
from upwell.tasks import _chat_room, chat

# PEFT asks for what transformers will drop.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def gradients(model: chat.Talker, group: str = "") -> tuple[list[Tensor], int]:
    """Of what learns, twice the same, and how often a part of the first layer was read."""
    told = rows(("hi", "yes"), ("what is it?", "no"))
    place = told.schema.get_field_index("group")
    told = told.set_column(place, "group", [[group] * told.num_rows])
    batch = chat.collate(model, told)
    layer = next(one for one in model.body.modules() if isinstance(one, GradientCheckpointingLayer))
    part, read = next(layer.children()), list[int]()
    weights = [one for one in model.parameters() if one.requires_grad]
    with part.register_forward_hook(lambda *_: read.append(1)):
        said = chat.log_prob(model, batch).sum()
        found, again = (
            [
                torch.zeros(()) if one is None else one
                for one in torch.autograd.grad(said, weights, retain_graph=True, allow_unused=True)
            ]
            for _ in range(2)
        )
    torch.testing.assert_close(found, again)
    return found, len(read)


def plain() -> chat.Talker:
    return chat.start("", DATA, seed=0)


def adapted() -> chat.Talker:
    found, _ = chat.special(MODEL, "de", DATA, TuneSettings(rank=4))
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in found.parameters():
            if weight.requires_grad:
                weight.normal_(0.0, 0.1)
    return found


@pytest.mark.parametrize(("made", "group"), [(plain, ""), (adapted, "de")])
@pytest.mark.parametrize("learns", [True, False])
def test_layers_read_anew_have_the_same_gradients(
    made: Callable[[], chat.Talker], group: str, learns: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = made().train(learns)
    spared = list[bool]()
    monkeypatch.setattr(_chat_room, "spare", lambda: spared.append(True))
    usual, once = gradients(model, group)
    assert not spared
    monkeypatch.setattr(_chat_room, "ROOM", 0)
    found, often = gradients(model, group)
    assert spared, "what is freed goes back at once"
    assert (once, often) == (1, 3), "anew for each way back"
    assert any(one.any() for one in usual)
    torch.testing.assert_close(found, usual)
    assert not any("forward" in vars(one) for one in model.body.modules())


def test_what_layers_keep_is_estimated_for_any_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, usual = plain(), plain().body.config

    def kept(**other: object) -> float:
        named = {name: getattr(usual, name) for name in (
            "hidden_size", "intermediate_size", "num_attention_heads", "_attn_implementation",
        )}  # fmt: skip
        told = SimpleNamespace(**named | other)
        monkeypatch.setattr(model.body, "config", SimpleNamespace(get_text_config=lambda: told))
        return _chat_room.kept(model.body, lines=2, width=64)

    inside = usual.intermediate_size
    assert kept(intermediate_size=[inside, inside]) == kept(), "as Gemma 3n's"
    between = usual.num_hidden_layers * 2 * 64 * 64 * usual.num_attention_heads * 4
    for whole in ({"attention_dropout": 0.1}, {"_attn_implementation": "eager"}):
        assert kept(**whole) - kept() == _chat_room.BETWEEN * between
    assert kept(hidden_size=None) == math.inf


@torch.no_grad()
def test_what_nobody_learns_from_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = plain()
    told = chat.collate(model, rows(("hi", "yes")))
    usual = chat.log_prob(model, told)

    def never(_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(_chat_room, "ROOM", 0)
    monkeypatch.setattr(_chat_room, "_anew", never)
    torch.testing.assert_close(chat.log_prob(model, told), usual)

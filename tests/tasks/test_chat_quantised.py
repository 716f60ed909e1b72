from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.chatting import DATA
from torch import nn

from upwell.errors import PluginError
from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import Trained, train
from upwell.tasks import _quantised, chat


class Body(nn.Sequential):
    """Layers without an output layer."""

    def get_output_embeddings(self) -> None:
        return None


def start(base: str = "", **told: Any) -> tuple[chat.Talker, TuneSettings]:
    """A chat model of four bits a weight with adapters, and its settings."""
    pytest.importorskip("peft")
    pytest.importorskip("bitsandbytes")
    model = chat.start(base, DATA, 0)
    return model, chat.adapt(model, DATA, TuneSettings(base=base, tuning="qlora", **told))


def layers(body: Any) -> dict[str, Any]:
    """The body's layers of four bits."""
    return {
        name: part
        for name, part in body.named_modules()
        if isinstance(part, nn.Linear) and hasattr(part.weight, "quant_state")
    }


def size(body: Any) -> int:
    """Bytes of all weights, with the scales of those that have four bits."""
    found: int = sum(weight.nbytes for weight in body.parameters())
    for layer in layers(body).values():
        state = layer.weight.quant_state
        own = (state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code)
        found += sum(part.nbytes for part in own)
    return found


def probable(model: chat.Talker) -> torch.Tensor:
    with torch.no_grad():
        return chat.log_prob(model.eval(), chat.collate(model, DATA.train.slice(0, 16)))


def taught(model: chat.Talker, settings: TuneSettings) -> Trained:
    return train(chat, model, DATA, settings, label_share=0.5, seed=0)


def saved(model: chat.Talker, folder: Path) -> chat.Talker:
    """What a folder says that was written without a trace of four bits."""
    chat.save(model, folder)
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert "quantization_config" not in config
    again = chat.load(folder)
    assert {weight.dtype for weight in again.parameters()} == {torch.float32}
    assert not layers(again.body)
    return again


def test_all_layers_but_the_output_take_four_bits_and_adapters_alone_learn() -> None:
    full = chat.start("", DATA, 0)
    model, settings = start(rank=4)
    linear = [
        name
        for name, part in full.body.named_modules()
        if isinstance(part, nn.Linear) and part is not full.body.get_output_embeddings()
    ]
    assert [name.removesuffix(".base_layer") for name in layers(model.body)] == linear
    for name, layer in layers(model.body).items():
        weight = full.body.get_submodule(name.removesuffix(".base_layer")).weight.detach()
        off = (_quantised.whole(layer).weight - weight).norm() / weight.norm()
        assert 0 < float(off) < 0.12
    words = model.body.get_output_embeddings().weight
    assert torch.equal(words, full.body.get_output_embeddings().weight)
    assert size(model.body) < 0.6 * size(full.body)
    said = chat.log_prob(model, chat.collate(model, DATA.train.slice(0, 4)))
    torch.autograd.backward(said.sum())
    learned = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert learned == {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert len(learned) == 2 * len(linear)
    assert all("lora_" in name for name in learned)
    lora = chat.adapt(full, DATA, TuneSettings(base="", tuning="lora", rank=4))
    assert settings == lora.model_copy(update={"tuning": "qlora"})


def test_what_learned_is_saved_whole(tmp_path: Path) -> None:
    model, settings = start(learning_rate=0.01, epochs=6, patience=6)
    before = probable(model)
    losses = taught(model, settings).curve["combined"].to_pylist()[1:]
    assert losses[-1] < losses[0] - 0.2
    assert float((probable(model) - before).mean()) > 0.2
    assert layers(model.body)
    torch.testing.assert_close(probable(saved(model, tmp_path)), probable(model), atol=1e-4, rtol=0)
    assert layers(model.body), "what is saved goes on as it was"


def test_the_same_seed_gives_the_same_numbers() -> None:
    found = []
    for _ in range(2):
        model, settings = start(epochs=1, learning_rate=0.01, seed=3)
        taught(model, settings)
        found.append([weight.clone() for weight in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize(("inside", "outside"), [(64, 64), (36, 10)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_made_whole_says_what_it_said_before(inside: int, outside: int, bias: bool) -> None:
    pytest.importorskip("bitsandbytes")
    torch.manual_seed(0)
    body = Body(nn.Linear(inside, outside, bias=bias))
    _quantised.quantise(body, "auto")
    again = _quantised.whole(body[0])
    read = torch.randn(7, inside)
    torch.testing.assert_close(again(read), body(read), atol=1e-5, rtol=0)
    assert (again.bias is not None) == bias
    assert type(again) is nn.Linear


@pytest.mark.parametrize("lacking", _quantised.NEEDED)
def test_without_its_packages_it_is_refused(lacking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_quantised, "find_spec", lambda name: None if name == lacking else "there")
    with pytest.raises(PluginError, match=r"chat.no_qlora") as told:
        chat.adapt(chat.start("", DATA, 0), DATA, TuneSettings(tuning="qlora"))
    for lang in ("en", "zh"):
        what, _, after = told.value.explain(lang)
        assert lacking in what
        assert "pip install 'upwell[qlora]'" in after
        assert 'tuning = "lora"' in after


def _missing(*_: object) -> Any:
    raise RuntimeError("no kernel image\nat all")


def _wrong(weight: torch.Tensor, *_: object) -> Any:
    layer = nn.Linear(64, 64, bias=False)
    layer.weight.data = weight.T.clone()
    return layer


@pytest.mark.parametrize(
    ("kernel", "why"), [(_missing, "no kernel image"), (_wrong, "wrong products on cpu")]
)
def test_kernels_that_do_not_work_here_are_told_before_anything_is_done(
    kernel: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_quantised, "find_spec", lambda name: name)
    monkeypatch.setattr(_quantised, "_four_bits", kernel)
    if kernel is _wrong:
        right = nn.Linear(64, 64, bias=False)
        monkeypatch.setattr(_quantised, "whole", lambda _: right)
    model = chat.start("", DATA, 0)
    with pytest.raises(PluginError, match=r"chat.no_qlora") as told:
        chat.adapt(model, DATA, TuneSettings(tuning="qlora"))
    assert told.value.details["why"] == why
    assert not layers(model.body)


def test_a_model_of_other_layers_is_refused() -> None:
    pytest.importorskip("bitsandbytes")
    from transformers import GPT2Config, GPT2LMHeadModel

    body = GPT2LMHeadModel(GPT2Config(vocab_size=8, n_positions=8, n_embd=8, n_layer=1, n_head=1))
    with pytest.raises(PluginError, match=r"chat.no_qlora.*GPT2LMHeadModel"):
        _quantised.quantise(body, "auto")


@pytest.mark.slow
def test_a_pretrained_model_learns_in_a_third_of_the_memory(tmp_path: Path) -> None:
    whole = size(chat.start("smollm2", DATA, 0).body)
    model, settings = start("smollm2", epochs=1)
    assert size(model.body) < 0.4 * whole
    before = probable(model)
    taught(model, settings)
    assert float((probable(model) - before).mean()) > 0.05
    torch.testing.assert_close(probable(saved(model, tmp_path)), probable(model), atol=1e-3, rtol=0)

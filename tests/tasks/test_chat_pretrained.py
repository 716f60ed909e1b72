"""The default base: a GGUF file from a package becomes safetensors once, and answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from upwell.ports import Manner
from upwell.settings import TuneSettings
from upwell.tasks import _chat_base, chat

pytestmark = pytest.mark.slow


def test_weights_of_a_package_are_converted_once_and_talk() -> None:
    data = chat.toy(0)
    model = chat.start("smollm2", data, 0)
    folder = Path(_chat_base.home("smollm2"))
    written = (folder / "model.safetensors").stat().st_mtime_ns
    told = [{"role": "user", "content": "What is the capital of France?"}]
    pieces = list(chat.talk(model, told, Manner(max_tokens=24)))
    assert "Paris" in "".join(piece.text for piece in pieces)
    assert pieces[-1].end == "stop"
    settings = chat.adapt(model, data, TuneSettings(base="smollm2"))
    assert settings.tuning == "lora"
    learned = sum(w.numel() for w in model.parameters() if w.requires_grad)
    assert 0 < learned < 0.03 * sum(w.numel() for w in model.parameters())
    chat.start("minilm", data, 0)
    assert (folder / "model.safetensors").stat().st_mtime_ns == written

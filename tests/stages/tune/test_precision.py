from __future__ import annotations

import pytest
import torch
from torch import nn

from upwell.settings import TuneSettings
from upwell.stages.tune import precision

CPU = torch.device("cpu")


@pytest.fixture
def capable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "able", lambda device: True)
    monkeypatch.setattr(precision, "LARGE", 64)


@pytest.mark.usefixtures("capable")
def test_by_itself_only_a_large_model_is_halved() -> None:
    large, small = nn.Sequential(nn.Linear(8, 8)), nn.Sequential(nn.Linear(8, 7))
    assert precision.chosen(TuneSettings(), CPU, large) is torch.bfloat16
    assert precision.chosen(TuneSettings(), CPU, small) is None
    assert precision.chosen(TuneSettings(precision="fp32"), CPU, large) is None
    assert precision.chosen(TuneSettings(precision="bf16"), CPU, small) is torch.bfloat16


@pytest.mark.usefixtures("capable")
def test_a_frozen_encoder_does_not_count_and_one_with_adapters_does() -> None:
    encoder = nn.Sequential(nn.Linear(8, 8)).requires_grad_(False)
    assert not precision.worth(nn.Sequential(encoder, nn.Linear(8, 2)), CPU)
    encoder.append(nn.Linear(8, 1))
    assert precision.worth(nn.Sequential(encoder, nn.Linear(8, 2)), CPU)


def test_a_machine_that_cannot_keeps_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "able", lambda device: False)
    assert precision.chosen(TuneSettings(), CPU, nn.Sequential(nn.Linear(4096, 4096))) is None


def test_what_the_machine_can_is_known() -> None:
    assert precision.able(CPU) in {True, False}
    assert not precision.able(torch.device("meta"))

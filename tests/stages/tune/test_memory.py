"""What a large model's training took goes back to the machine."""

from __future__ import annotations

import subprocess
import sys

import pytest
from torch import nn

from upwell.stages.tune import memory

STEPS = """
import re
import sys
import torch
from upwell.stages.tune.memory import given_back

def resident():
    told = open("/proc/self/status").read()
    return int(re.search(r"RssAnon:\\s+(\\d+)", told).group(1)) // 1024

def step():
    # Behind each large block lies a small one that stays, as an optimizer's does.
    for _ in range(100):
        parts.append(torch.ones(400_000)), kept.append(torch.ones(300))
    parts.clear()

parts, kept, width = [], [], int(sys.argv[1])
torch.ones(8_000_000)
model = torch.nn.Sequential(torch.nn.Linear(width, width))
before = resident()
with given_back(model):
    for _ in range(3):
        step()
    print(resident() - before)
"""


def test_what_a_large_models_step_freed_goes_back_to_the_machine() -> None:
    def kept(width: int) -> int:
        command = [sys.executable, "-c", STEPS, str(width)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert kept(2100) < 20, "MiB"
    assert kept(2) > 100, "else this need not be"


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with memory.given_back(nn.Sequential(nn.Linear(2100, 2100))):
        pass

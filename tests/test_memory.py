"""What a large model's training took goes back to the machine."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext

import pytest

from upwell import memory
from upwell.errors import StageError
from upwell.settings import TuneSettings
from upwell.stages.tune import diagnostics, trainer
from upwell.tasks import text_classification

STEPS = """
import re
import sys
import torch
from upwell.memory import give_back, spare

def resident():
    told = open("/proc/self/status").read()
    return int(re.search(r"RssAnon:\\s+(\\d+)", told).group(1)) // 1024

def step():
    # Behind each large block lies a small one that stays, as an optimizer's does.
    for _ in range(100):
        parts.append(torch.ones(400_000)), kept.append(torch.ones(300))
    parts.clear()

parts, kept = [], []
torch.ones(8_000_000)
before = resident()
if sys.argv[1] == "spared":
    spare()
for _ in range(3):
    step()
print(resident() - before, end=" ")
give_back()
print(resident() - before)
"""


def test_what_steps_freed_goes_back_to_the_machine_at_their_end_or_at_once() -> None:
    def kept(way: str) -> list[int]:
        command = [sys.executable, "-c", STEPS, way]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return [int(text) for text in done.stdout.split()]

    during, after = kept("as usual")
    assert during > 100, "MiB; else this need not be"
    assert max(after, *kept("spared")) < 20


@pytest.mark.parametrize("fails", [False, True])
def test_a_training_gives_back_what_it_took_however_it_ends(
    monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    def refuses(*_: object) -> None:
        raise StageError("tune.no_rows", rows=0)

    given = list[bool]()
    monkeypatch.setattr(trainer, "give_back", lambda: given.append(True))
    data = text_classification.toy(0)
    model = text_classification.start("", data, 0)
    if fails:
        monkeypatch.setattr(diagnostics, "before", refuses)
    with pytest.raises(StageError) if fails else nullcontext():
        trainer.train(
            text_classification, model, data, TuneSettings(epochs=1), label_share=0.5, seed=0
        )
    assert given == [True]


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    memory.spare()
    memory.give_back()

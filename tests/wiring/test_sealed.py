"""A frozen test in parts: one decides until it is worn out, and nobody has seen the others."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pyarrow import compute as pc
from tests.tiny_task import install
from tests.wiring.turns import DAY, entry, labelled, opened, spoiled, taken

from upwell.stages.evaluate.sealed import part_of
from upwell.stages.release.explain import render
from upwell.wiring.judging import trial_of
from upwell.wiring.proof import report_of


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


def test_the_next_part_opens_once_the_first_is_worn_and_looks_are_counted(tmp_path: Path) -> None:
    gate = {"resamples": 50, "tests": 2, "test_minimum": 50, "looks_per_test": 2}
    upwell = opened(tmp_path, gate=gate)
    upwell.capture(labelled(range(400)), now=DAY)
    told: list[Any] = []
    for step in range(4):
        upwell.capture(labelled(range(400 + step, 401 + step)), now=DAY)
        decision = taken(upwell.project, spoiled(4 * step), DAY + timedelta(hours=step))
        report = upwell.project.ledger.report(decision.id)
        assert report is not None
        told.append((report.guards.get("proof"), report.guards["users"], decision))
    assert told[0][0] is None  # the first has nothing to compare with, and yet it was a look
    proofs = [one[0] for one in told[1:]]
    assert [one["look"] for one in proofs] == [1, 2, 3]
    assert [one["sealed"] for one in proofs] == [
        {"part": 0, "looks": [2, 0]}, {"part": 1, "looks": [2, 1]}, {"part": 1, "looks": [2, 2]},
    ]  # fmt: skip
    assert proofs[0]["alpha"] == pytest.approx(0.03)
    assert entry(told[-1][2], "sealed")["part"] == 2
    assert all(50 <= one[1] < 150 for one in told)
    for lang in ("en", "zh"):
        assert "{" not in " ".join(render(told[-1][2], lang))


def test_what_a_turn_is_judged_by_holds_no_row_of_a_sealed_part(tmp_path: Path) -> None:
    gate = {"resamples": 50, "tests": 2, "test_minimum": 50, "looks_per_test": 2}
    upwell = opened(tmp_path, gate=gate)
    upwell.capture(labelled(range(400)), now=DAY)
    taken(upwell.project, spoiled(0), DAY)
    (turn,) = upwell.project.ledger.turns("tiny_answer")
    trial = trial_of(upwell.project, turn)
    for rows in (trial.rows, trial.opened):
        assert set(part_of(rows["user"], 2).tolist()) == {0}
    whole = report_of(upwell.project, turn).guards["users"]
    assert isinstance(whole, int)
    assert trial.data.test.num_rows > 1.5 * trial.opened.num_rows
    assert len(pc.unique(trial.rows["user"])) == whole

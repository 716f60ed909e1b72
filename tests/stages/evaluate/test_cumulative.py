from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stages.evaluate.contenders import rows, said

from upwell.records import Metric, Report
from upwell.settings import GateSettings
from upwell.stages.evaluate.cumulative import EVERY, MOST, anchors, cusum, drift
from upwell.stages.evaluate.marks import Judged
from upwell.stages.release.gate import decide

GATE = GateSettings(resamples=200)
USERS, LOSS = 2000, 0.002
GIVEN = rows([f"u{n}" for n in range(USERS)], ["right"] * USERS)
Bools = npt.NDArray[np.bool_]


def contender(name: str, right: Bools) -> Judged:
    return said(GIVEN, [["right"] if one else ["wrong"] for one in right], name=name)


@given(st.integers(0, 80))
def test_anchors_are_few_and_reach_back_to_the_first(count: int) -> None:
    promoted = [f"m-{n}" for n in range(count)]
    found = anchors(promoted, promoted[-1] if promoted else None)
    assert len(found) <= MOST
    assert found == [name for name in promoted if name in found]
    if count > 1:
        assert found[0] == "m-0"
        assert int(found[-1][2:]) >= count - 1 - 2 * EVERY
        assert promoted[-1] not in found


def test_a_version_that_was_promoted_twice_is_one_anchor() -> None:
    assert anchors(["m-0", "m-1", "m-0", "m-1"], "m-1") == ["m-0"]


@given(st.lists(st.floats(-0.1, 0.1), max_size=20))
def test_the_sum_is_how_far_the_last_lies_below_the_best(gains: list[float]) -> None:
    heights = np.cumsum([0.0, *gains])
    assert cusum(gains) == pytest.approx(float(heights.max() - heights[-1]), abs=1e-9)


def test_the_anchor_that_is_lost_most_against_is_told() -> None:
    right = np.arange(USERS) % 10 < 7
    better, best = right | (np.arange(USERS) % 50 == 8), right | (np.arange(USERS) % 10 == 8)
    others = [contender("m-0", better), contender("m-1", best), contender("m-2", right)]
    mine = contender("m-9", right)
    found = drift(mine, others, "accuracy", GATE, 0.01, np.random.default_rng(0))
    assert found["anchor"] == "m-1"
    assert found["gain"] == pytest.approx(-0.1)
    alone = drift(mine, others[1:2], "accuracy", GATE, 0.01, np.random.default_rng(0))
    # The interval must hold for all three at once, so it is longer than that of one.
    assert float(str(found["low"])) < float(str(alone["low"]))
    assert float(str(found["high"])) > float(str(alone["high"]))
    assert drift(mine, [], "accuracy", GATE, 0.01, np.random.default_rng(0)) == {}


def stopped(seed: int) -> tuple[int, list[str]]:
    """Twenty steps of −0.2 points, each taken; the step that the gate stops, and its verdicts."""
    rng, right = np.random.default_rng(seed), np.arange(USERS) % 10 < 7
    versions = [contender("m-0", right)]
    for step in range(1, 21):
        drawn = rng.random(USERS)
        right = np.where(right, drawn >= 0.011 / 0.7, drawn < 0.009 / 0.3)
        names = [one.name for one in versions]
        found = anchors(names, names[-1])
        others = [one for one in versions if one.name in found]
        mine = contender(f"m-{step}", right)
        told = drift(mine, others, "accuracy", GATE, GATE.drift_margin, rng)
        report = Report(
            "r", mine.name, names[-1], datetime(2026, 1, 1, tzinfo=UTC),
            (Metric("accuracy", 0.7, -LOSS, -0.005, 0.001, USERS),), {}, {"cumulative": told}, {},
        )  # fmt: skip
        decision = decide(report, GATE, id="d", task="chat", at=report.at, champion=names[-1])
        verdicts = [str(one["verdict"]) for one in decision.reasons if one["check"] == "cumulative"]
        if verdicts and verdicts[0] != "promote":
            return step, verdicts
        versions.append(mine)
    return 21, []


def test_steps_too_small_to_see_are_stopped_before_two_points_are_lost() -> None:
    """What serves when the gate stops has lost the steps before; −2 points are ten of them."""
    steps = [stopped(seed)[0] for seed in range(20)]
    assert sum(step <= 10 for step in steps) >= 18
    assert max(steps) <= 14

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from tests.stages.evaluate.contenders import rows, said

from upwell.stages.evaluate.calibration import level, rise, said_and_right

N = 600
Floats = npt.NDArray[np.float64]


def users(n: int = N, each: int = 1) -> pa.ChunkedArray:
    return pa.chunked_array([[f"u{place // each}" for place in range(n)]])


def world(seed: int, off: float = 0.0, n: int = N) -> tuple[Floats, Floats]:
    """Probabilities between .5 and .9, and outcomes that come ``off`` less often than that."""
    rng = np.random.default_rng(seed)
    said = rng.uniform(0.5, 0.9, n)
    return said, (rng.random(n) < said - off).astype(np.float64)


def test_a_probability_that_is_true_is_told_from_chance() -> None:
    found = [level(world(seed), 0.95, np.random.default_rng(seed)) for seed in range(60)]
    assert sum(one.sure for one in found) <= 8  # 5 % of 60, and what chance adds to that
    assert np.mean([one.value or 0.0 for one in found]) < 0.03
    plain = np.mean([one.told["plain"] for one in found])
    assert plain == pytest.approx(np.mean([one.told["by_chance"] for one in found]), abs=0.005)


@pytest.mark.parametrize("off", [0.1, 0.2, 0.3])
def test_overconfidence_is_found_with_its_size(off: float) -> None:
    found = level(world(1, off, 5000), 0.95, np.random.default_rng(0))
    assert found.sure
    assert found.value == pytest.approx(off, abs=0.02)


def test_a_rise_is_found_with_its_size_and_sameness_is_none() -> None:
    said, right = world(2, n=3000)
    bold = np.minimum(said + 0.15, 1.0)
    found = rise((bold, right), (said, right), users(3000), 0.95, np.random.default_rng(0))
    assert found.sure
    assert found.value == pytest.approx(0.12, abs=0.03)
    low, high = (float(str(found.told[end])) for end in ("low", "high"))
    assert low < (found.value or 0.0) < high
    same = rise((said, right), (said, right), users(3000), 0.95, np.random.default_rng(0))
    assert (same.value, same.sure) == (0.0, False)
    back = rise((said, right), (bold, right), users(3000), 0.95, np.random.default_rng(0))
    assert not back.sure


def test_two_models_that_are_calibrated_alike_seldom_seem_to_differ() -> None:
    sure = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        truth = rng.uniform(0.5, 0.9, N)
        mine, before = ((truth, (rng.random(N) < truth).astype(np.float64)) for _ in range(2))
        sure += rise(mine, before, users(), 0.95, rng).sure
    assert sure <= 4


def test_rows_of_one_user_are_one_witness() -> None:
    said, right = world(3, 0.04, 400)
    bold = np.minimum(said + 0.03, 1.0)
    alone = rise((bold, right), (said, right), users(400), 0.95, np.random.default_rng(0))
    few = rise((bold, right), (said, right), users(400, 40), 0.95, np.random.default_rng(0))
    assert (alone.told["users"], few.told["users"]) == (400, 10)


@pytest.mark.parametrize("scores", [[3.2, 0.1], [-0.1, 0.5], [float("nan"), 0.5], []])
def test_scores_that_are_no_probabilities_measure_nothing(scores: list[float]) -> None:
    pair = np.array(scores), np.ones(len(scores))
    fine = np.array([0.5] * len(scores)), np.ones(len(scores))
    rng = np.random.default_rng(0)
    for found in (
        level(pair, 0.95, rng),
        rise(pair, fine, users(len(scores)), 0.95, rng),
    ):
        assert found.value is None
        assert found.why == "guard.why.not_probability"


def test_the_first_answer_is_what_is_looked_at() -> None:
    given = rows(["a", "b", "c"], ["x", "x", "x"])
    judged = said(given, [["x", "y"], ["y", "x"], []], [[0.7, 0.3], [0.6, 0.4], []])
    chances, right = said_and_right(judged)
    assert chances.tolist() == [0.7, 0.6, 0.0]
    assert right.tolist() == [1.0, 0.0, 0.0]

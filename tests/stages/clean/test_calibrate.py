"""Beliefs that are wrong in a known way are put right, and right ones are left alone."""

import numpy as np
import pytest

from upwell.stages.clean.calibrate import calibrated


def world(
    seed: int, slope: float, offset: tuple[float, float], flips: float, size: int = 4000
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Beliefs, signs, answers, and how probable it truly was that each answer was right."""
    rng = np.random.default_rng(seed)
    odds, answer = rng.normal(1.0, 2.0, size), rng.integers(2, size=size)
    truth = 1 / (1 + np.exp(-(slope * odds + np.asarray(offset)[answer])))
    right = rng.random(size) < truth
    sign = np.where(right ^ (rng.random(size) < flips), 1, -1)
    return 1 / (1 + np.exp(-odds)), sign, answer, truth


@pytest.mark.parametrize("flips", [0.0, 0.1, 0.25])
def test_a_bias_towards_an_answer_is_found_behind_flips(flips: float) -> None:
    belief, sign, answer, truth = world(0, 0.7, (1.0, -2.0), flips)
    found = calibrated(belief, sign, answer)
    assert np.abs(found.belief - truth).mean() < 0.04 < np.abs(belief - truth).mean()
    assert found.flip_rate == pytest.approx(flips, abs=0.04)


def test_honest_beliefs_stay() -> None:
    belief, sign, answer, _ = world(1, 1.0, (0.0, 0.0), 0.05)
    assert np.abs(calibrated(belief, sign, answer).belief - belief).mean() < 0.03


def test_few_signs_change_little() -> None:
    found = calibrated([0.9, 0.9], [-1, 1], [0, 0])
    assert np.abs(found.belief - 0.9).max() < 0.1


def test_nothing_in_nothing_out() -> None:
    assert not len(calibrated([], [], []).belief)

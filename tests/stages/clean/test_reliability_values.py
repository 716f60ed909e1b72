from __future__ import annotations

import numpy as np
import pytest

from upwell.errors import StageError
from upwell.stages.clean.answers import Floats, Ints
from upwell.stages.clean.values import numbers


def told(
    seed: int, gain: Floats, offset: Floats, noise: Floats, items: int = 400, each: int = 6
) -> tuple[Floats, Ints, Ints, Floats]:
    """Values, items, raters, numbers."""
    rng = np.random.default_rng(seed)
    value = rng.normal(50, 20, items)
    item = np.repeat(np.arange(items), each)
    rater = rng.integers(0, len(gain), len(item))
    said = offset[rater] + gain[rater] * value[item] + rng.normal(0, noise[rater])
    return value, item, rater, said


def error(guess: Floats, value: Floats) -> float:
    return float(np.abs(guess - value).mean())


def test_noisy_raters_count_less() -> None:
    noise = np.where(np.arange(20) % 2 == 0, 3.0, 40.0)
    value, item, rater, said = told(0, np.ones(20), np.zeros(20), noise)
    found = numbers(item, rater, said)
    mean = np.bincount(item, said) / np.bincount(item)
    assert error(found.mean, value) < 0.5 * error(mean, value)
    assert np.abs(found.noise - noise).mean() < 4
    assert (np.abs(found.mean - value) < 2 * found.error).mean() > 0.85


def test_strict_and_mild_raters_are_told_apart() -> None:
    rng = np.random.default_rng(1)
    offset = rng.normal(0, 15, 20)
    value, item, rater, said = told(2, np.ones(20), offset, np.full(20, 4.0))
    found = numbers(item, rater, said)
    assert found.model == "offset and gain"
    assert np.corrcoef(found.mean, value)[0, 1] > 0.97
    mean = np.bincount(item, said) / np.bincount(item)
    assert np.corrcoef(found.mean, value)[0, 1] > np.corrcoef(mean, value)[0, 1]


def test_equal_raters_get_about_the_mean() -> None:
    _, item, rater, said = told(3, np.ones(10), np.zeros(10), np.full(10, 10.0))
    found = numbers(item, rater, said)
    mean = np.bincount(item, said) / np.bincount(item)
    assert np.abs(found.mean - mean).mean() < 2


def test_one_rater_one_number_nothing() -> None:
    assert numbers([0], [0], [7.0]).mean.tolist() == [7.0]
    assert numbers([], [], []).mean.shape == (0,)
    same = numbers([0, 0, 1], [0, 1, 0], [5.0, 5.0, 5.0])
    assert np.allclose(same.mean, 5.0)
    gap = numbers([0, 2], [0, 0], [2.0, 4.0])
    assert gap.mean[1] == pytest.approx(3.0, abs=0.5)


@pytest.mark.parametrize(
    ("code", "item", "value"),
    [
        ("raters.values", [0, 1], [1.0, np.nan]),
        ("raters.values", [0, 1], [1.0, np.inf]),
        ("raters.lengths", [0], [1.0, 2.0]),
        ("raters.codes", [0, -1], [1.0, 2.0]),
    ],
)
def test_bad_input_is_refused(code: str, item: list[int], value: list[float]) -> None:
    with pytest.raises(StageError, match=code):
        numbers(item, [0, 0], value)

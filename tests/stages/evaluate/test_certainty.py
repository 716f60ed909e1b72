from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from upwell.stages.evaluate.certainty import by_user, estimate, student


def test_a_mean_of_what_is_not_skewed_has_students_interval() -> None:
    sample = np.concatenate([np.linspace(-1.0, 1.0, 201)])
    found = estimate(0.7, sample, 0.95)
    error = float(sample.std(ddof=1)) / math.sqrt(len(sample))
    assert found.error == pytest.approx(error)
    reach = stats.t.ppf(0.975, len(sample) - 1)
    assert found.high - 0.7 == pytest.approx(0.7 - found.low)
    assert found.high - 0.7 == pytest.approx(reach * error, rel=0.01)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_skewed_rewards_are_covered_where_the_plain_interval_falls_short(confidence: float) -> None:
    """The mean of a log-normal: few rows count much, as weighted rewards do."""
    rng, truth, hits, plain = np.random.default_rng(0), math.exp(0.5), 0, 0
    for _ in range(1000):
        sample = rng.lognormal(size=150)
        mean = float(sample.mean())
        found = estimate(mean, sample - mean, confidence)
        hits += found.low <= truth <= found.high
        reach = stats.norm.ppf(0.5 + confidence / 2) * found.error
        plain += abs(mean - truth) <= reach
    assert hits / 1000 > confidence - 0.02
    assert hits > plain


def test_the_long_tail_is_where_the_interval_is_long() -> None:
    sample = np.random.default_rng(1).lognormal(size=200)
    mean = float(sample.mean())
    found = estimate(mean, sample - mean, 0.95)
    assert found.high - mean > 1.2 * (mean - found.low)
    mirrored = estimate(-mean, mean - sample, 0.95)
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def test_rows_of_one_user_are_added_up_first() -> None:
    rng = np.random.default_rng(2)
    own = rng.normal(size=100)
    influence, user = np.repeat(own - own.mean(), 10), np.repeat(np.arange(100), 10)
    alone, together = estimate(0.0, influence, 0.95), estimate(0.0, influence, 0.95, user)
    assert together.error == pytest.approx(float(own.std(ddof=1)) / 10.0)
    assert together.error > 3.0 * alone.error
    assert by_user(influence, user) == pytest.approx(10.0 * (own - own.mean()))


def test_one_user_says_nothing_and_a_constant_everything() -> None:
    one = estimate(0.4, np.array([0.1, -0.1]), 0.95, np.array([0, 0]))
    assert (one.low, one.high, one.error) == (-math.inf, math.inf, math.inf)
    same = estimate(0.4, np.zeros(50), 0.95)
    assert (same.value, same.low, same.high, same.error) == (0.4, 0.4, 0.4, 0.0)


def test_the_quantile_is_students() -> None:
    for freedom in (1.0, 2.5, 30.0):
        assert student(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom))

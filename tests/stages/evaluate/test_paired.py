from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from upwell.stages.evaluate import paired


def test_user_means_equal_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    users, values = rng.integers(30, size=500), rng.normal(size=(500, 3))
    found = paired.user_means(pa.chunked_array([users[:200], users[200:]]), values)
    order = list(dict.fromkeys(users.tolist()))
    wanted = [values[users == user].mean(axis=0) for user in order]
    assert found == pytest.approx(np.array(wanted))


def test_resampled_means_equal_a_plain_loop() -> None:
    samples = np.random.default_rng(0).normal(size=(40, 2))
    found = np.concatenate(list(paired.resampled_means(samples, 100, np.random.default_rng(3))))
    drawn = np.random.default_rng(3).integers(40, size=(100, 40))
    assert found == pytest.approx(np.array([samples[users].mean(axis=0) for users in drawn]))


def test_blocks_bound_memory_and_give_every_resample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "_CELLS", 100)
    samples = np.random.default_rng(0).normal(size=(30, 1))
    blocks = list(paired.resampled_means(samples, 100, np.random.default_rng(3)))
    assert {len(block) for block in blocks} == {3, 1}
    assert sum(map(len, blocks)) == 100


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=30), st.integers(0, 2**32))
def test_an_interval_lies_within_the_sample(values: list[int], seed: int) -> None:
    samples = np.array(values, dtype=np.float64)[:, None]
    mean, low, high = paired.intervals(samples, 50, 0.95, np.random.default_rng(seed))[0]
    assert mean == pytest.approx(samples.mean())
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


def test_the_interval_agrees_with_scipy() -> None:
    sample = np.random.default_rng(5).exponential(size=80)
    wanted = stats.bootstrap(
        (sample,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    _, low, high = paired.intervals(sample[:, None], 20_000, 0.95, np.random.default_rng(2))[0]
    assert (low, high) == pytest.approx((wanted.low, wanted.high), abs=0.015)


@pytest.mark.parametrize("skew", [0.0, 1.0])
def test_intervals_cover_the_truth_as_often_as_they_say(skew: float) -> None:
    """600 worlds of 100 users with a known mean gain; a share of 0.95 ± 3.5 standard errors."""
    rng, worlds = np.random.default_rng(11), 600
    noise = rng.normal(size=(100, worlds)) + skew * (rng.exponential(size=(100, worlds)) - 1.0)
    # Columns of one call share their resamples but not their data, so worlds stay independent
    # enough for a binomial count.
    found = paired.intervals(0.3 + noise, 1000, 0.95, rng)
    covered = float(((found[:, 1] <= 0.3) & (found[:, 2] >= 0.3)).mean())
    assert covered == pytest.approx(0.95, abs=3.5 * math.sqrt(0.95 * 0.05 / worlds))


def test_pairing_narrows_the_interval() -> None:
    rng = np.random.default_rng(2)
    champion = rng.random(200)
    challenger = champion + 0.05 + 0.01 * rng.normal(size=200)
    samples = np.stack([challenger, challenger - champion], axis=1)
    (_, low, high), (_, gain_low, gain_high) = paired.intervals(samples, 500, 0.95, rng)
    assert gain_low > 0.045
    assert gain_high - gain_low < (high - low) / 10


def test_what_is_not_finite_stays_visible_and_harms_no_other_column() -> None:
    samples = np.array([[1.0, np.nan, np.inf], [2.0, 1.0, 1.0], [4.0, 1.0, 1.0]])
    found = paired.intervals(samples, 200, 0.95, np.random.default_rng(0))
    assert np.isnan(found[1:]).all()
    assert np.isfinite(found[0]).all()


def test_a_constant_is_its_own_interval() -> None:
    found = paired.intervals(np.full((9, 1), 0.1), 200, 0.95, np.random.default_rng(0))
    assert found[0].tolist() == pytest.approx([0.1] * 3)


def test_many_users_take_seconds() -> None:
    samples = np.random.default_rng(0).normal(size=(20_000, 6))
    found = paired.intervals(samples, 2000, 0.95, np.random.default_rng(0))
    wanted = 1.96 * samples.std(axis=0) / math.sqrt(20_000)
    assert (found[:, 2] - found[:, 1]) / 2 == pytest.approx(wanted, rel=0.08)


def test_the_users_said_to_be_needed_see_the_gain_as_often_as_promised() -> None:
    rng = np.random.default_rng(4)
    users = paired.users_needed(0.3, 0.05, 0.025)
    drawn = rng.normal(0.05, 0.3, size=(users, 2000))
    low = drawn.mean(axis=0) - 1.96 * 0.3 / math.sqrt(users)
    assert float((low > 0).mean()) == pytest.approx(0.8, abs=0.03)


def test_needed_cases_count_what_is_there() -> None:
    differences = np.array([0.2, -0.2] * 500)
    assert paired.needed_cases(differences, 0.02, 0.025) == 0
    assert paired.needed_cases(differences, 0.0, 0.025) == 0
    assert paired.needed_cases(np.array([0.4]), 0.02, 0.025) == 0
    assert paired.needed_cases(np.array([np.nan, 1.0]), 0.02, 0.025) == 0

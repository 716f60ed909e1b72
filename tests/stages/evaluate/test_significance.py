from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from upwell.stages.evaluate import significance as tests

DIFFERENCES = st.lists(st.integers(-4, 4), min_size=1, max_size=10)


@given(DIFFERENCES)
def test_random_signs_equal_going_through_all_of_them(values: list[int]) -> None:
    found = np.array(values, dtype=np.float64)
    differing = found[found != 0]
    signs = itertools.product((-1, 1), repeat=len(differing))
    sums = [float((np.abs(differing) * sign).sum()) for sign in signs]
    wanted = float(np.mean([total >= differing.sum() for total in sums]))
    assert tests.sign_flip(found) == pytest.approx(wanted)


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.5, 0.9])
def test_the_saddlepoint_agrees_with_many_random_signs(shift: float) -> None:
    rng = np.random.default_rng(0)
    found = rng.exponential(size=60) * rng.choice([-1.0, 1.0], 60) + shift * 0.4
    drawn = rng.choice([-1.0, 1.0], (200_000, 60)) @ np.abs(found)
    wanted = float((drawn >= found.sum()).mean())
    assert tests.sign_flip(found) == pytest.approx(wanted, rel=0.05, abs=3e-5)


def test_differences_of_one_size_are_binomial() -> None:
    found = np.array([0.3] * 55 + [-0.3] * 12)
    wanted = stats.binom.sf(54, 67, 0.5)
    assert wanted < 1e-7
    assert tests.sign_flip(found) == pytest.approx(wanted)


@pytest.mark.parametrize("counts", [(40, 12, 25, 6), (60, 12, 25, 6), (30, 12, 8, 6)])
def test_the_saddlepoint_agrees_with_exact_counting_far_in_the_tail(
    counts: tuple[int, int, int, int],
) -> None:
    """Differences of 1 and of 2, of which sums tie often; exact by going through both counts."""
    up, down, far_up, far_down = counts
    found = np.repeat([1.0, -1.0, 2.0, -2.0], counts)
    ones, twos = up + down, far_up + far_down
    one, two = np.arange(ones + 1), np.arange(twos + 1)
    chance = np.outer(stats.binom.pmf(one, ones, 0.5), stats.binom.pmf(two, twos, 0.5))
    total = np.add.outer(2 * one - ones, 2 * (2 * two - twos))
    wanted = chance[total > found.sum()].sum() + chance[total == found.sum()].sum() / 2
    assert tests.sign_flip(found) == pytest.approx(wanted, rel=0.1)


def test_mcnemar_is_binomial() -> None:
    assert tests.mcnemar(14, 5) == pytest.approx(stats.binom.sf(13, 19, 0.5))
    assert tests.mcnemar(40, 20) == pytest.approx(stats.binom.sf(39, 60, 0.5))
    assert tests.mcnemar(1200, 900) == pytest.approx(stats.binom.sf(1199, 2100, 0.5))
    assert tests.mcnemar(0, 50) == pytest.approx(1.0)


@pytest.mark.parametrize("level", [0.03, 0.004, 0.0001])
@pytest.mark.parametrize("differing", [7, 31, 100, 137])
def test_mcnemar_errs_no_more_often_than_it_says(level: float, differing: int) -> None:
    ways = range(differing + 1)
    shown = [up for up in ways if tests.mcnemar(up, differing - up) <= level]
    assert stats.binom.pmf(shown, differing, 0.5).sum() <= level


def test_students_t_is_met_where_nothing_is_skewed() -> None:
    found = np.concatenate([np.linspace(-1, 1, 41), [0.4]]) + 0.2
    found = np.concatenate([found, 2 * found.mean() - found])
    wanted = stats.ttest_1samp(found, 0.0, alternative="greater").pvalue
    assert tests.skew_corrected(found) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("level", [0.03, 0.005])
def test_differences_that_lean_to_one_side_do_not_fool_the_gate(level: float) -> None:
    """Many small gains and rare large losses, whose mean is 0: random signs alone err thrice."""
    rng = np.random.default_rng(5)
    worlds = 1.0 - rng.exponential(size=(3000, 100))
    found = np.array([tests.no_gain(world, False) for world in worlds])
    alone = np.array([tests.sign_flip(world) for world in worlds[:1000]])
    assert float((found <= level).mean()) < 1.6 * level
    assert float((alone <= level).mean()) > 1.6 * level


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=60), st.sampled_from([0.05, 0.01, 1e-4]))
def test_the_bound_is_above_nothing_just_where_the_p_is_below_the_level(
    values: list[int], level: float
) -> None:
    found = np.array(values, dtype=np.float64)
    bound = tests.lower_bound(found, level, False)
    p = tests.no_gain(found, False)
    assert (bound is not None and bound > 0.0) == (p <= level and found.mean() > 0.0)
    if bound is not None:
        assert bound <= found.mean() + 1e-9


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60))
def test_the_bound_of_right_and_wrong_agrees_with_its_test(up: int, down: int, same: int) -> None:
    found = np.array([1.0] * up + [-1.0] * down + [0.0] * (same + 1))
    bound = tests.lower_bound(found, 0.02, True)
    assert bound is not None
    assert (bound > 0.0) == (tests.no_gain(found, True) <= 0.02)
    assert bound <= found.mean() + 1e-9


def test_the_bound_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    worlds = rng.normal(0.3, 1.0, size=(400, 80))
    found = [tests.lower_bound(world, 0.05, False) for world in worlds]
    short = float(np.mean([bound is not None and bound > 0.3 for bound in found]))
    assert short == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / 400))


def test_few_users_can_show_nothing_at_a_small_level() -> None:
    assert tests.lower_bound(np.ones(4), 0.01, False) is None or tests.sign_flip(np.ones(4)) > 0.01
    assert tests.sign_flip(np.ones(4)) == 0.0625
    assert tests.lower_bound(np.array([]), 0.05, False) is None
    assert math.isnan(tests.no_gain(np.array([1.0, math.nan]), True))


@given(st.lists(st.floats(0.0, 1.0), max_size=12))
def test_holm_never_lowers_a_p_nor_changes_their_order(found: list[float]) -> None:
    corrected = tests.holm(found)
    assert all(p <= q <= 1.0 for p, q in zip(found, corrected, strict=True))
    for one, other in itertools.combinations(range(len(found)), 2):
        if found[one] < found[other]:
            assert corrected[one] <= corrected[other]


def test_many_users_take_little_time() -> None:
    found = np.random.default_rng(0).normal(0.01, 1.0, size=50_000)
    bound = tests.lower_bound(found, 1e-4, False)
    assert bound == pytest.approx(found.mean() - 3.719 * found.std() / math.sqrt(50_000), abs=1e-3)

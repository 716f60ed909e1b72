from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwell.stages.release.sequential import (
    effects,
    fixed_size,
    interval,
    log_e_process,
    reach,
    running,
)

DIFFERENCES = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=3, max_size=60)
RUNS, SIZE = 400, 2000


def paired(gain: float, runs: int = RUNS, size: int = SIZE, seed: int = 0) -> np.ndarray:
    """(runs, size) differences of −1, 0, 1 whose mean is ``gain``; a quarter are not 0."""
    drawn = np.random.default_rng(seed).random((runs, size))
    return np.where(drawn < 0.125 + gain / 2, 1.0, np.where(drawn > 0.875 + gain / 2, -1.0, 0.0))


@given(DIFFERENCES)
def test_running_moments_are_those_of_the_prefix(values: list[float]) -> None:
    told = np.array(values)
    mean, variance = running(told)
    for n in range(1, len(values) + 1):
        assert mean[n - 1] == pytest.approx(told[:n].mean(), abs=1e-9)
        assert variance[n - 1] == pytest.approx(told[:n].var(), abs=1e-9)


@given(DIFFERENCES, st.floats(0.01, 0.3), st.floats(0.02, 1.0))
def test_an_interval_holds_its_mean_and_less_certainty_is_narrower(
    values: list[float], alpha: float, effect: float
) -> None:
    told = np.array(values)
    (low, high), loose = (interval(told, a, -1.0, 1.0, effect) for a in (alpha, 1.5 * alpha))
    assert low <= told.mean() <= high
    assert low <= loose[0] <= loose[1] <= high


@given(DIFFERENCES, st.floats(0.02, 1.0))
def test_an_interval_ends_where_the_bets_have_refuted(values: list[float], effect: float) -> None:
    told = np.array(values * 5)
    low, high = interval(told, 0.05, -1.0, 1.0, effect)
    for end, sign in ((low, 1.0), (high, -1.0)):
        if np.isfinite(end):
            capital = log_e_process(sign * told, sign * end, -1.0, 1.0, effect=effect)[-1]
            assert capital == pytest.approx(math.log(40.0), abs=1e-6)


def test_an_interval_shrinks_as_more_is_seen_and_turns_with_its_values() -> None:
    told = paired(0.0, runs=1, size=5000)[0]
    ends = [interval(told[:n], 0.05, -1.0, 1.0, 0.1) for n in (200, 1000, 5000)]
    widths = [high - low for low, high in ends]
    assert widths == pytest.approx([0.2 + 0.07, 0.1 + 0.019, 0.1 + 0.0038], rel=0.25)
    assert widths == sorted(widths, reverse=True)
    low, high = interval(-told, 0.05, -1.0, 1.0, 0.1)
    assert (-high, -low) == pytest.approx(interval(told, 0.05, -1.0, 1.0, 0.1))


def test_all_intervals_hold_together_as_often_as_promised() -> None:
    told = paired(0.0, runs=1000)
    capital = np.maximum(
        log_e_process(told, 0.0, -1.0, 1.0, effect=0.05),
        log_e_process(-told, 0.0, -1.0, 1.0, effect=0.05),
    )
    missed = (capital.max(axis=1) >= math.log(40.0)).mean()
    mean, variance = running(told)
    naive = np.abs(mean) > 1.96 * np.sqrt(variance / np.arange(1, SIZE + 1))
    assert missed <= 0.05 + 2.0 * math.sqrt(0.05 * 0.95 / 1000)
    assert naive[:, 99:].any(axis=1).mean() > 0.2


def test_nothing_is_said_of_little() -> None:
    assert interval(np.array([0.0, 1.0]), 0.05, -1.0, 1.0, 0.1) == (-math.inf, math.inf)


@pytest.mark.parametrize("effect", [0.0, 0.05])
def test_evidence_is_not_expected_to_grow_where_there_is_nothing(effect: float) -> None:
    told = paired(0.0, runs=3000, size=500, seed=3)
    capital = np.exp(log_e_process(told, 0.0, -1.0, 1.0, effect=effect))
    assert (capital >= 0.0).all()
    for n in (10, 100, 499):
        spread = capital[:, n].std() / math.sqrt(len(capital))
        assert capital[:, n].mean() <= 1.0 + 4.0 * spread
    assert (capital.max(axis=1) >= 20.0).mean() <= 0.05


@pytest.mark.parametrize("effect", [0.0, 0.06])
def test_evidence_grows_where_there_is_a_gain(effect: float) -> None:
    told = paired(0.06, runs=200)
    found = log_e_process(told, 0.0, -1.0, 1.0, effect=effect)
    assert (found.max(axis=1) >= math.log(40)).mean() > 0.8
    assert (log_e_process(-told, 0.0, -1.0, 1.0).max(axis=1) >= math.log(20)).mean() < 0.05


@given(DIFFERENCES, st.floats(-0.9, 0.9))
def test_a_bet_never_loses_everything(values: list[float], null: float) -> None:
    found = log_e_process(np.array(values), null, -1.0, 1.0)
    assert np.isfinite(found).all()


@given(st.integers(0, 9), st.floats(0.05, 0.95))
def test_two_versions_become_one_unbiased_sequence(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    size = 40_000
    is_challenger = rng.random(size) < share
    rewards = np.where(rng.random(size) < np.where(is_challenger, 0.4, 0.3), 1.0, 0.0)
    chance, hoped = np.full(size, share), np.full(size, 0.3)
    found = effects(rewards, is_challenger, chance, hoped)
    assert found.mean() == pytest.approx(0.1, abs=5 * found.std() / math.sqrt(size))
    least, most = reach(chance, hoped, 0.0, 1.0)
    assert (least <= found + 1e-9).all()
    assert (found <= most + 1e-9).all()


def test_the_size_of_a_test_with_one_look() -> None:
    assert fixed_size(0.05, 0.5, 0.05, 0.8, 0.5) == 3140
    assert fixed_size(0.05, 0.5, 0.05, 0.8, 0.1) == pytest.approx(3140 * 0.25 / 0.09, rel=1e-3)

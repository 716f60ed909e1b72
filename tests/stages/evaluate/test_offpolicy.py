"""Estimators from logs, against worlds whose truth is known."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from upwell.stages.evaluate.certainty import estimate, student
from upwell.stages.evaluate.offpolicy import Found, clipped, dr, ips, slope, sndr, snips
from upwell.stages.evaluate.rewards import Choices, believed, chance_of, every, folds

Floats = npt.NDArray[np.float64]

LOGGING = np.array([0.6, 0.3, 0.1])
TRIAL = np.array([0.1, 0.3, 0.6])
EARNS = np.array([[0.2, 0.5, 0.9], [0.8, 0.4, 0.1]])
"""Mean reward of three actions to two kinds of request, equally frequent."""
TRUTH = float((EARNS @ TRIAL).mean())


def draw(n: int, seed: int) -> tuple[Choices, Floats, Floats]:
    """Choices, rewards and weights of ``n`` rows; a request's kind is its one feature."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(2, size=n)
    action = rng.choice(3, size=n, p=LOGGING)
    reward = (rng.random(n) < EARNS[kind, action]).astype(np.float64)
    choices = every(kind[:, None].astype(np.float64), action, np.tile(TRIAL, (n, 1)))
    return choices, reward, (TRIAL / LOGGING)[action]


@cache
def all_of(n: int, seed: int) -> dict[str, Found]:
    choices, reward, weight = draw(n, seed)
    told = believed(choices, reward, weight)
    return {
        "ips": ips(reward, weight),
        "snips": snips(reward, weight),
        "dr": dr(reward, weight, told.shown, told.expected),
        "sndr": sndr(reward, weight, told.shown, told.expected),
    }


@pytest.mark.parametrize("name", ["ips", "snips", "dr", "sndr"])
def test_the_truth_is_hit_on_average_and_lies_in_the_interval(name: str) -> None:
    found = [all_of(300, seed)[name] for seed in range(100)]
    values = np.array([one.value for one in found])
    assert abs(values.mean() - TRUTH) < 4 * values.std() / np.sqrt(len(values)) + 0.002
    told = [one.told(0.95) for one in found]
    assert np.mean([one.low <= TRUTH <= one.high for one in told]) >= 0.89
    errors = np.array([one.error for one in told])
    assert errors.mean() == pytest.approx(values.std(), rel=0.25)


def test_a_good_model_of_the_reward_narrows_the_interval() -> None:
    found = all_of(4000, 0)
    errors = {name: one.told(0.95).error for name, one in found.items()}
    assert errors["dr"] < errors["snips"] < errors["ips"]
    assert errors["sndr"] == pytest.approx(errors["dr"], rel=0.05)


def test_money_is_a_reward_like_any_other() -> None:
    _, reward, weight = draw(500, 1)
    for estimator in (ips, snips):
        plain, paid = estimator(reward, weight), estimator(reward * 250.0, weight)
        assert paid.value == pytest.approx(250.0 * plain.value)
        assert paid.told(0.95).error == pytest.approx(250.0 * plain.told(0.95).error)


numbers = st.floats(-1e3, 1e3, allow_nan=False, width=32)
weights = st.floats(0.015625, 64.0, width=32)


@given(st.data(), st.integers(2, 30))
def test_snips_ignores_the_scale_of_weights_and_stays_within_the_rewards(
    data: st.DataObject, n: int
) -> None:
    reward = data.draw(arrays(np.float64, n, elements=numbers))
    weight = data.draw(arrays(np.float64, n, elements=weights))
    found = snips(reward, weight)
    assert found.value == pytest.approx(snips(reward, weight * 7.0).value, abs=1e-9)
    assert reward.min() - 1e-9 <= found.value <= reward.max() + 1e-9


@given(st.data(), st.integers(2, 30))
def test_without_a_model_doubly_robust_is_plain(data: st.DataObject, n: int) -> None:
    reward = data.draw(arrays(np.float64, n, elements=numbers))
    weight = data.draw(arrays(np.float64, n, elements=weights))
    nothing = np.zeros(n)
    assert dr(reward, weight, nothing, nothing).value == ips(reward, weight).value
    assert sndr(reward, weight, nothing, nothing).value == snips(reward, weight).value
    assert clipped(reward, weight, np.inf).value == ips(reward, weight).value


@given(st.data(), st.integers(2, 30))
def test_the_policy_that_logged_earned_what_was_logged(data: st.DataObject, n: int) -> None:
    reward = data.draw(arrays(np.float64, n, elements=numbers))
    alike = np.ones(n)
    for found in (ips(reward, alike), snips(reward, alike), clipped(reward, alike, 1.0)):
        assert found.value == pytest.approx(reward.mean(), abs=1e-9)
        assert found.told(0.95).error == pytest.approx(
            reward.std(ddof=1) / np.sqrt(n), rel=0.05 + 1.0 / (n - 1), abs=1e-6
        )


@given(st.data(), st.integers(3, 30))
def test_the_influence_is_what_leaving_a_row_out_changes(data: st.DataObject, n: int) -> None:
    reward = data.draw(arrays(np.float64, n, elements=numbers))
    weight = data.draw(arrays(np.float64, n, elements=weights))
    found = snips(reward, weight)
    without = snips(reward[1:], weight[1:]).value
    assert found.influence[0] == pytest.approx(n * (found.value - without), abs=1e-6, rel=1e-6)


def test_a_gain_is_paired_on_the_same_rows() -> None:
    rng = np.random.default_rng(0)
    reward, weight = rng.random(400), rng.random(400) + 0.5
    one, other = snips(reward, weight), snips(reward, weight * rng.uniform(0.95, 1.05, 400))
    gain = (one - other).told(0.95)
    assert gain.value == one.value - other.value
    assert gain.error < 0.1 * one.told(0.95).error
    assert (one - one).told(0.95).error == 0.0


def test_rows_of_one_user_count_together() -> None:
    rng = np.random.default_rng(1)
    reward = np.repeat(rng.random(60), 10)
    found = ips(reward, np.ones(600))
    alone = found.told(0.95)
    together = found.told(0.95, np.repeat(np.arange(60), 10))
    assert together.error == pytest.approx(alone.error * np.sqrt(10), rel=0.02)


def test_clipping_admits_what_it_leaves_out() -> None:
    _, reward, weight = draw(2000, 2)
    cut = clipped(reward, weight, 2.0)
    assert cut.value < TRUTH - 0.1
    told = cut.told(0.95)
    assert told.low <= TRUTH <= told.high


@pytest.mark.parametrize("seed", range(5))
def test_slope_never_clips_where_that_shows(seed: int) -> None:
    _, reward, weight = draw(4000, seed)
    most = slope(reward, weight, 0.95)
    told, plain = clipped(reward, weight, most).told(0.95), ips(reward, weight).told(0.95)
    assert told.low <= TRUTH <= told.high
    assert abs(told.value - plain.value) <= 4.0 * (plain.high - plain.low) / 2.0
    assert slope(reward, np.ones(4000), 0.95) == np.inf


def test_slope_clips_where_weights_are_wild() -> None:
    rng = np.random.default_rng(3)
    weight = np.where(rng.random(3000) < 0.001, 500.0, 0.5)
    reward = rng.random(3000)
    assert slope(reward, weight, 0.95) < 500.0


def test_an_estimate_without_spread_or_from_one_user() -> None:
    assert estimate(2.0, np.zeros(5), 0.95).low == 2.0
    assert estimate(2.0, np.ones(5), 0.95, np.zeros(5, np.int64)).high == np.inf
    assert student(0.975, 5.0) > student(0.975, 50.0) > 1.96


def test_weights_that_are_all_zero_give_no_number() -> None:
    assert np.isnan(snips(np.ones(3), np.zeros(3)).value)


def test_no_row_is_judged_by_a_model_that_saw_its_user() -> None:
    choices, reward, weight = draw(200, 4)
    user = np.arange(200) // 4
    told = believed(choices, reward, weight, user)
    changed = reward.copy()
    changed[user == 7] += 5.0
    again = believed(choices, changed, weight, user)
    mine = folds(200, user) == folds(200, user)[user == 7][0]
    assert np.array_equal(told.shown[mine], again.shown[mine])
    assert not np.array_equal(told.shown[~mine], again.shown[~mine])


def test_a_policy_of_few_choices_is_the_same_as_one_over_all_actions() -> None:
    choices, reward, weight = draw(300, 5)
    whole = believed(choices, reward, weight)
    order = np.array([2, 0, 1])
    few = Choices(
        choices.features, choices.shown, np.tile(order, (300, 1)), choices.chance[:, order], 3
    )
    again = believed(few, reward, weight)
    assert np.allclose(whole.expected, again.expected)
    assert np.allclose(whole.shown, again.shown)
    assert np.allclose(chance_of(few, few.shown), TRIAL[few.shown])


@given(arrays(np.float64, 20, elements=st.floats(-5, 5)), st.floats(0.6, 0.99))
def test_an_interval_holds_its_value_and_grows_with_confidence(
    influence: Floats, confidence: float
) -> None:
    centred = influence - influence.mean()
    assume(centred.std() > 1e-3)
    one, more = estimate(0.0, centred, confidence), estimate(0.0, centred, 0.995)
    assert more.low <= one.low <= one.high <= more.high

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from upwell.errors import StageError
from upwell.stages.clean.answers import Bools, Floats, Ints
from upwell.stages.clean.reliability import Thumbs, reliability, thumbs
from upwell.stages.tune.shown import flip_rates

World = tuple[Ints, Ints, Floats, Bools, Floats]


def world(
    seed: int, rates: tuple[float, float], each: int = 25, users: int = 300, power: float = 1.0
) -> World:
    """Users, signs, beliefs, what is right, and each user's rate: every fifth has the first one.

    Beliefs are those of a model that is right in 85 of 100 cases; ``power`` ≠ 1 spoils their odds.
    """
    rng = np.random.default_rng(seed)
    n = users * each
    user = np.repeat(np.arange(users), each)
    belief = np.clip(rng.beta(2.55, 0.45, n), 0.01, 0.99)
    right = rng.random(n) < belief
    rate = np.where(np.arange(users) % 5 == 0, *rates)
    liked = right ^ (rng.random(n) < rate[user])
    told = 1 / (1 + (1 / belief - 1) ** power)
    return user, np.where(liked, 1, -1), told, right, rate


def fitted(made: World) -> Thumbs:
    return thumbs(made[0], made[1], made[2], flip_rate=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_spammers_among_careful_users_are_found(seed: int) -> None:
    made = world(seed, (0.5, 0.05))
    found, spam = fitted(made), made[4] == 0.5
    assert found.model == "one rate"
    assert np.abs(found.flip_rate - made[4]).mean() < 0.03
    assert found.flip_rate[spam].mean() > 0.43
    assert found.flip_rate[~spam].mean() < 0.08
    inside = (made[4] >= found.low - 0.01) & (made[4] <= found.high + 0.01)
    assert inside.mean() > 0.93
    assert abs(found.pooled - 0.14) < 0.03


def test_all_signs_together_know_better_than_the_model_or_the_sign() -> None:
    made = world(3, (0.5, 0.05))
    _, sign, belief, right, _ = made
    known = ((fitted(made).right > 0.5) == right).mean()
    assert known > ((belief > 0.5) == right).mean() + 0.05
    assert known > ((sign > 0) == right).mean() + 0.05


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_a_model_that_is_too_sure_or_unsure_is_seen_through(power: float) -> None:
    straight, bent = world(4, (0.5, 0.05)), world(4, (0.5, 0.05), power=power)
    found = fitted(bent)
    assert found.temperature == 1 / power
    assert np.allclose(found.flip_rate, fitted(straight).flip_rate, atol=0.01)


def test_reliability_gives_back_the_flip_rate_in_the_objective() -> None:
    found = fitted(world(5, (0.5, 0.1)))
    between = (found.reliability > 0) & (found.reliability < 1)
    again = flip_rates(torch.tensor(found.reliability[between]), 0.05).numpy()
    assert between.sum() > 200
    assert np.allclose(again, found.flip_rate[between])


def test_adversaries_teach_nothing_and_are_named() -> None:
    made = world(6, (0.9, 0.05))
    found, bad = fitted(made), made[4] == 0.9
    assert (found.reliability[bad] == 0).all()
    assert found.adverse[bad].mean() > 0.95
    assert not found.adverse[~bad].any()


def test_users_who_like_everything_have_two_rates() -> None:
    rng = np.random.default_rng(7)
    user = np.repeat(np.arange(300), 25)
    belief = np.clip(rng.beta(2.0, 0.8, len(user)), 0.01, 0.99)
    right = rng.random(len(user)) < belief
    liker = np.arange(300) % 3 == 0
    wrong = rng.random(len(user)) < np.where(right, 0.03, np.where(liker[user], 0.95, 0.05))
    found = thumbs(user, np.where(right ^ wrong, 1, -1), belief)
    assert found.model == "two rates"
    assert found.fail[liker].mean() > 0.8
    assert found.fail[~liker].mean() < 0.15
    assert found.miss.max() < 0.2


def test_signs_about_one_answer_are_heard_together() -> None:
    rng = np.random.default_rng(8)
    shown = np.repeat(np.arange(1500), 5)
    right = rng.random(1500) < 0.7
    user = rng.integers(0, 300, len(shown))
    rate = np.where(np.arange(300) % 5 == 0, 0.5, 0.05)
    liked = right[shown] ^ (rng.random(len(shown)) < rate[user])
    blind = np.full(len(shown), 0.5)
    found = thumbs(user, np.where(liked, 1, -1), blind, shown=shown)
    assert np.abs(found.flip_rate - rate).mean() < 0.04
    assert ((found.right > 0.5) == right).mean() > 0.985
    most = np.bincount(shown, liked) > 2.5
    assert ((found.right > 0.5) == right).mean() > (most == right).mean()


def test_without_a_belief_or_company_nothing_is_learned_of_a_user() -> None:
    found = thumbs([0, 0, 1], [1, -1, 1], [0.5, 0.5, 0.5])
    assert np.allclose(found.flip_rate, 0.2, atol=0.01)
    assert (found.high - found.low > 0.4).all()


def test_one_sign_moves_a_user_a_little() -> None:
    found = thumbs([0, 1], [1, -1], [0.9, 0.9])
    assert found.flip_rate[0] < found.flip_rate[1] < 0.45
    assert not found.adverse.any()


def test_all_from_one_user() -> None:
    made = world(9, (0.05, 0.05), each=60, users=1)
    found = fitted(made)
    assert found.flip_rate.shape == (1,)
    assert found.flip_rate[0] < 0.15
    assert found.reliability[0] > 0.75


def test_all_disliked_by_one_of_many() -> None:
    user, sign, belief, _, _ = world(10, (0.05, 0.05), users=40)
    found = thumbs(user, np.where(user == 3, -1, sign), belief)
    assert found.reliability[3] == 0
    assert found.adverse[3]
    assert np.delete(found.reliability, 3).min() > 0.6


def test_contradictory_signs_of_one_moment_both_count() -> None:
    user, sign, belief, _, _ = world(11, (0.05, 0.05), users=40)
    found = thumbs(
        np.append(user, [40] * 40), np.append(sign, [1, -1] * 20), np.append(belief, [0.9] * 40)
    )
    assert found.flip_rate[40] > 0.3
    assert found.reliability[40] < 0.45


def test_users_without_signs_look_like_the_others() -> None:
    made = world(12, (0.2, 0.2), users=100)
    found = thumbs(made[0], made[1], made[2], users=101)
    assert abs(found.flip_rate[100] - 0.2) < 0.03


def test_nothing_gives_nothing() -> None:
    found = thumbs([], [], [])
    assert found.flip_rate.shape == found.right.shape == (0,)
    assert thumbs([], [], [], users=2).reliability.shape == (2,)


@pytest.mark.parametrize(
    ("code", "user", "sign", "belief", "shown"),
    [
        ("raters.signs", [0, 0], [1, 0], [0.5, 0.5], None),
        ("raters.signs", [0, 0], [1.0, np.nan], [0.5, 0.5], None),
        ("raters.belief", [0, 0], [1, 1], [0.5, 1.5], None),
        ("raters.belief", [0, 0], [1, 1], [0.5, np.nan], None),
        ("raters.belief", [0, 0], [1, 1], [0.5], None),
        ("raters.lengths", [0], [1, 1], [0.5, 0.5], None),
        ("raters.lengths", [0, 0], [1, 1], [0.5, 0.5], [0]),
        ("raters.codes", [0, -1], [1, 1], [0.5, 0.5], None),
        ("raters.codes", [0.5, 1.0], [1, 1], [0.5, 0.5], None),
    ],
)
def test_bad_input_is_refused(
    code: str, user: list[float], sign: list[float], belief: list[float], shown: list[int] | None
) -> None:
    with pytest.raises(StageError, match=code):
        thumbs(user, sign, belief, shown=shown)


@given(st.floats(0, 1), st.floats(0, 0.49))
def test_reliability_is_the_inverse_of_the_objectives_rates(r: float, flip_rate: float) -> None:
    rate = flip_rates(torch.tensor(r, dtype=torch.float64), flip_rate).item()
    assert reliability(rate, flip_rate) == pytest.approx(r, abs=1e-9)


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from((-1, 1)), st.floats(0, 1)),
        min_size=1,
        max_size=30,
    )
)
@settings(max_examples=10)
def test_whatever_is_said_the_figures_stay_in_their_bounds(
    rows: list[tuple[int, int, float]],
) -> None:
    user, sign, belief = zip(*rows, strict=True)
    found = thumbs(user, sign, belief)
    assert ((found.reliability >= 0) & (found.reliability <= 1)).all()
    assert ((found.right > 0) & (found.right < 1)).all()
    assert (found.low <= found.flip_rate + 1e-9).all()
    assert (found.flip_rate <= found.high + 1e-9).all()

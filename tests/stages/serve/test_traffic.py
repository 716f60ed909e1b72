from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwell.stages.serve.traffic import (
    chosen,
    day_begins,
    draws,
    epsilon_greedy,
    posterior,
    thompson,
)

KEY, AT = bytes(range(32)), datetime(2024, 5, 1, 13, tzinfo=UTC)
USERS = [f"u{n}" for n in range(20_000)]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_the_share_is_kept_within_what_chance_allows(share: float) -> None:
    found = chosen(KEY, "t", USERS, AT, share, daily=False)
    spread = (share * (1 - share) / len(USERS)) ** 0.5
    assert found.mean() == pytest.approx(share, abs=4 * spread)


def test_a_user_meets_one_version_and_a_larger_share_takes_nobody_back() -> None:
    some = chosen(KEY, "t", USERS, AT, 0.1, daily=False)
    later = chosen(KEY, "t", USERS, AT + timedelta(days=9), 0.1, daily=False)
    assert (some == later).all()
    assert (chosen(KEY, "t", USERS, AT, 0.3, daily=False) >= some).all()


def test_days_trials_and_projects_draw_anew() -> None:
    usual = draws(KEY, "t", USERS, AT, daily=True)
    assert (draws(KEY, "t", USERS, AT + timedelta(hours=10), daily=True) == usual).all()
    for other in (
        draws(KEY, "t", USERS, AT + timedelta(days=1), daily=True),
        draws(KEY, "t2", USERS, AT, daily=True),
        draws(bytes(32), "t", USERS, AT, daily=True),
    ):
        assert abs(np.corrcoef(usual, other)[0, 1]) < 0.03
    counts, _ = np.histogram(usual, bins=10, range=(0, 1))
    assert counts == pytest.approx(np.full(10, 2000), abs=200)


def test_who_is_nobody_meets_the_champion() -> None:
    assert not chosen(KEY, "t", ["", "", ""], AT, 0.999, daily=False).any()
    assert chosen(KEY, "t", [], AT, 0.5, daily=False).shape == (0,)


def test_a_day_begins_at_midnight_in_utc() -> None:
    assert day_begins(AT) == datetime(2024, 5, 1, tzinfo=UTC)


@given(
    st.lists(st.tuples(st.floats(1, 500), st.floats(1, 500)), min_size=2, max_size=4),
    st.floats(0, 0.2),
)
def test_probabilities_sum_to_one_and_keep_the_floor(
    shapes: list[tuple[float, float]], floor: float
) -> None:
    versions = {str(n): shape for n, shape in enumerate(shapes)}
    for found in (thompson(versions, floor), epsilon_greedy(versions, floor)):
        assert sum(found.values()) == pytest.approx(1.0)
        assert list(found) == list(versions)
    assert min(thompson(versions, floor).values()) >= floor - 1e-9


@pytest.mark.parametrize(("good", "bad"), [((3.0, 9.0), (5.0, 4.0)), ((40.0, 60.0), (55.0, 45.0))])
def test_thompson_draws_as_often_as_a_version_is_best(
    good: tuple[float, float], bad: tuple[float, float]
) -> None:
    rng = np.random.default_rng(0)
    one, other = rng.beta(*good, 200_000), rng.beta(*bad, 200_000)
    found = thompson({"one": good, "other": bad}, 0.0)
    assert found["one"] == pytest.approx((one > other).mean(), abs=0.005)


def test_a_posterior_counts_halves() -> None:
    assert posterior([]) == (1.0, 1.0)
    assert posterior([1.0, 0.0, -1.0, -1.0]) == (2.5, 3.5)


def test_thompson_comes_to_prefer_what_is_better() -> None:
    rng = np.random.default_rng(1)
    rewards: dict[str, list[float]] = {"champion": [], "challenger": []}
    shares = []
    for _ in range(40):
        share = thompson({name: posterior(told) for name, told in rewards.items()}, 0.05)
        shares.append(share["challenger"])
        for _ in range(25):
            name = "challenger" if rng.random() < share["challenger"] else "champion"
            rewards[name].append(1.0 if rng.random() < {"challenger": 0.7}.get(name, 0.5) else -1.0)
    assert shares[0] == pytest.approx(0.5)
    assert shares[-1] == pytest.approx(0.95, abs=0.01)

"""The Bayesian factorization against worlds whose answer is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from upwell.tasks import _side_information as side
from upwell.tasks._factorization import Known, Posterior, Recipe, fit
from upwell.tasks._latent import Ordered
from upwell.tasks._sittings import PAUSE, Stretches

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
USERS, ITEMS = 60, 50
RECIPE = Recipe(rank=3, draws=120, warm=40)


def world(seed: int) -> tuple[Ints, Ints, Floats]:
    """Users, items and the true mean of each cell: biases and two tastes."""
    rng = np.random.default_rng(seed)
    user, item = (grid.ravel() for grid in np.indices((USERS, ITEMS)))
    one, other = rng.normal(size=(USERS, 2)), rng.normal(size=(ITEMS, 2))
    bias = rng.normal(size=USERS)[user] + rng.normal(size=ITEMS)[item]
    return user, item, bias + (one[user] * other[item]).sum(1)


def means(found: Posterior, user: Ints, item: Ints) -> Floats:
    inner = (found.user[user, :-1] * found.item[item, :-1]).sum(1)
    return np.asarray(inner + found.user[user, -1] + found.item[item, -1])


@pytest.fixture(scope="module")
def real() -> tuple[Posterior, npt.NDArray[np.bool_]]:
    user, item, mean = world(0)
    rng = np.random.default_rng(1)
    known = rng.random(len(mean)) < 0.5
    seen = mean + rng.normal(0, 0.5, len(mean))
    told = Known(user[known], item[known], seen[known], 0, ())
    return fit(told, (USERS, ()), (ITEMS, ()), RECIPE, 0), known


def test_unseen_cells_are_found(real: tuple[Posterior, npt.NDArray[np.bool_]]) -> None:
    user, item, mean = world(0)
    found, known = real
    wrong = means(found, user, item)[~known] - mean[~known]
    assert np.sqrt(np.mean(wrong**2)) < 0.35
    assert found.noise == pytest.approx(0.25, rel=0.25)


def test_left_out_means_are_worse_on_what_was_seen(
    real: tuple[Posterior, npt.NDArray[np.bool_]],
) -> None:
    user, item, mean = world(0)
    found, known = real
    seen = mean + np.random.default_rng(1).normal(0, 0.5, len(mean))
    with_it = np.mean((means(found, user, item)[known] - mean[known]) ** 2)
    without = np.mean((found.loo[:, 0] - mean[known]) ** 2)
    assert without > with_it
    assert len(seen) == len(known)


def test_the_same_seed_gives_the_same_numbers() -> None:
    user, item, mean = world(0)
    told = Known(user, item, mean, 0, ())
    runs = [fit(told, (USERS, ()), (ITEMS, ()), Recipe(2, 5, 5), 7) for _ in range(2)]
    assert np.array_equal(runs[0].user, runs[1].user)
    assert np.array_equal(runs[0].loo, runs[1].loo)


def test_ordered_levels_keep_their_cuts_in_order_and_near_the_truth() -> None:
    user, item, mean = world(2)
    rng = np.random.default_rng(3)
    cuts = np.array([-2.0, -1.0, 0.5, 2.5])
    level = (cuts < (mean + rng.normal(size=len(mean)))[:, None]).sum(1)
    told = Known(user, item, level.astype(float), 5, ())
    found = fit(told, (USERS, ()), (ITEMS, ()), RECIPE, 0)
    assert (np.diff(found.cuts) > 0).all()
    assert np.diff(found.cuts) == pytest.approx(np.diff(cuts), rel=0.15)


def test_a_level_nobody_gave_keeps_its_place() -> None:
    chain = Ordered(np.array([0, 0, 2, 2, 2]), 4)
    rng = np.random.default_rng(0)
    for _ in range(60):
        drawn = chain.draw(np.zeros(5), rng)
        assert np.isfinite(drawn).all()
        assert (np.diff(chain.cuts) > 0).all()


def test_side_information_tells_of_those_nobody_knows() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(USERS, 3))
    weight = np.array([2.0, -1.0, 0.0])
    scaled, mean, scale = side.standardised(x)
    basis = side.of_features(scaled)
    assert basis is not None
    user, item = (grid.ravel() for grid in np.indices((USERS, ITEMS)))
    seen = (x @ weight)[user] + rng.normal(0, 0.3, len(user))
    found = fit(Known(user, item, seen, 0, ()), (USERS, (basis,)), (ITEMS, ()), RECIPE, 0)
    new = rng.normal(size=(200, 3))
    along = basis.coordinates(side.scaled(new, mean, scale))
    rows = found.user[USERS] + along @ found.user[USERS + 1 :]
    said = rows[:, :-1] @ found.item[0, :-1] + rows[:, -1] + found.item[0, -1]
    assert np.corrcoef(said, new @ weight)[0, 1] > 0.95


def test_effects_of_sittings_are_found() -> None:
    rng = np.random.default_rng(5)
    user, item = (grid.ravel() for grid in np.indices((USERS, ITEMS)))
    sitting = user * 2 + item % 2
    mood = rng.normal(size=2 * USERS)
    seen = mood[sitting] + rng.normal(0, 0.3, len(user))
    told = Known(user, item, seen, 0, ((sitting, 2 * USERS),))
    found = fit(told, (USERS, ()), (ITEMS, ()), RECIPE, 0)
    whole = found.effects[0] + found.user[np.arange(2 * USERS) // 2, -1]
    assert np.corrcoef(whole, mood)[0, 1] > 0.9


@pytest.mark.parametrize("shape", [(30, 12), (12, 30)])
def test_a_basis_stands_for_its_table(shape: tuple[int, int]) -> None:
    table = np.random.default_rng(6).normal(size=shape)
    basis = side.of_features(table)
    assert basis is not None
    assert basis.right is not None
    assert basis.left * basis.spread == pytest.approx(table @ basis.right, abs=1e-8)
    assert (basis.left * basis.spread) @ basis.right.T == pytest.approx(table, abs=1e-8)


def test_a_large_basis_keeps_what_matters_most(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    table = rng.normal(size=(80, 4)) @ rng.normal(size=(4, 60))
    monkeypatch.setattr(side, "EXACT", 10)
    monkeypatch.setattr(side, "RANK", 8)
    basis = side.of_features(table)
    assert basis is not None
    assert basis.right is not None
    assert (basis.left * basis.spread) @ basis.right.T == pytest.approx(table, abs=1e-6)


def test_nothing_known_has_no_basis() -> None:
    assert side.of_features(np.zeros((5, 3))) is None
    assert side.of_features(np.zeros((5, 0))) is None
    none = np.zeros(0, np.int64)
    assert side.of_sets(none, none, 4, 4) is None


def test_days_and_sittings_take_in_moments_near_them() -> None:
    user, second = np.array([1, 1, 1, 2]), np.array([10, 200, 90_000, 50])
    days, sittings = Stretches.of(user, second, 0), Stretches.of(user, second, PAUSE)
    assert days.last.tolist() == [86_399, 172_799, 86_399]
    assert days.find(np.array([1, 1, 3]), np.array([86_399, 200_000, 0])).tolist() == [0, 3, 3]
    found = sittings.find(np.array([1, 1, 2]), np.array([501, 500, 0]))
    assert found.tolist() == [3, 0, 2]

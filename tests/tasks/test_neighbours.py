"""The closed-form neighbour matrix against naive formulas."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwell.tasks._neighbours import Neighbours, bridge, fit_neighbours

Matrix = npt.NDArray[np.float64]
ITEMS = 7
rows = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, ITEMS - 1), st.sampled_from([0.5, 1.0, 2.0])),
    min_size=1, max_size=60,
)  # fmt: skip
Rows = list[tuple[int, int, float]]


def fitted(found: Rows, how: Neighbours) -> Matrix:
    """B over all items; an item that nobody chose has zeros."""
    user, item, weight = (
        np.array(column) for column in zip(*sorted(found, key=lambda row: row[0]), strict=True)
    )
    near, places = fit_neighbours(user, item, weight.astype(np.float32), ITEMS, how)
    whole = np.zeros((ITEMS, ITEMS))
    whole[np.ix_(places, places)] = near
    return whole


def gram(found: Rows, how: Neighbours) -> Matrix:
    """Every pair of events of a user, weighed by how close they are."""
    total = np.zeros((ITEMS, ITEMS))
    for user in {row[0] for row in found}:
        own = [row for row in found if row[0] == user]
        for p, (_, one, weight) in enumerate(own):
            for q, (_, other, by) in enumerate(own):
                close = (np.exp(-abs(p - q) / how.reach) + how.floor) / (1 + how.floor)
                total[one, other] += close * weight * by
    return total


def ease(total: Matrix, ridge: float, share: float) -> Matrix:
    """Steck (2019): B = I − P · diag(1 / diag P), with a power of the diagonal of ridge · P."""
    inverse = np.linalg.inv(total + ridge * np.eye(ITEMS))
    found = np.asarray(-ridge * inverse / (ridge * np.diag(inverse)) ** share)
    np.fill_diagonal(found, 0.0)
    return found


@given(rows, st.sampled_from([0.6, 1.0]))
def test_without_order_it_is_ease(found: Rows, share: float) -> None:
    how = Neighbours(ridge=2.0, reach=np.inf, floor=0.0, share=share)
    assert np.allclose(fitted(found, how), ease(gram(found, how), 2.0, share), atol=1e-4)


@given(rows, st.sampled_from([1.0, 4.0]))
def test_with_order_close_events_count_more(found: Rows, reach: float) -> None:
    how = Neighbours(ridge=3.0, reach=reach, floor=0.1)
    ordered = sorted(found, key=lambda row: row[0])
    assert np.allclose(fitted(ordered, how), ease(gram(ordered, how), 3.0, 1.0), atol=1e-4)


def test_only_the_latest_events_of_a_long_history_count() -> None:
    how = Neighbours(ridge=1.0, reach=5.0, longest=4)
    long = [(0, number % 3, 1.0) for number in range(9)] + [(1, 5, 1.0), (1, 6, 1.0)]
    short = long[5:]
    expected = ease(gram(short, how), 1.0, 1.0)
    assert np.allclose(fitted(long, how)[:3, :3], expected[:3, :3], atol=1e-5)


def test_only_the_most_frequent_items_have_rows() -> None:
    user, item = np.array([0, 0, 0, 1, 1, 2]), np.array([4, 2, 6, 4, 2, 4])
    near, places = fit_neighbours(user, item, np.ones(6, np.float32), ITEMS, Neighbours(items=2))
    assert places.tolist() == [4, 2]
    assert near.shape == (2, 2)


@pytest.mark.parametrize("new", [[3], [3, 4, 5], [5]])
def test_columns_of_new_items_are_finite_and_follow_like_texts(new: list[int]) -> None:
    rng = np.random.default_rng(0)
    near = rng.normal(size=(3, 3)).astype(np.float32)
    text = np.zeros((6, 4), np.float32)
    text[range(5), [0, 1, 2, 0, 1]] = 1.0
    found = bridge(near, np.array([0, 1, 2]), text, np.array(new), 0.5)
    assert found.shape == (3, len(new))
    assert np.isfinite(found).all()
    for place, item in enumerate(new):
        if item < 5:
            like = near[:, item - 3] + 0.1 * np.eye(3, dtype=np.float32)[item - 3]
            assert np.corrcoef(found[:, place], like)[0, 1] == pytest.approx(1.0)
        else:
            assert not found[:, place].any()


def test_alike_texts_of_no_known_item_leave_finite_columns() -> None:
    nothing = np.zeros((2, 2), np.float32)
    found = bridge(nothing, np.array([0, 1]), np.zeros((3, 4), np.float32), np.array([2]), 0.5)
    assert np.isfinite(found).all()

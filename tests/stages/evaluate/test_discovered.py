from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from upwell.stages.evaluate.discovered import clusters, features_of, traits


def test_groups_that_lie_apart_are_found_the_same_way_every_time() -> None:
    rng = np.random.default_rng(0)
    truth = rng.choice(3, 900, p=[0.6, 0.3, 0.1])
    features = 4.0 * np.eye(3)[truth] + rng.normal(size=(900, 3)) * 0.5
    found = clusters(features, 3)
    assert (found == truth).mean() > 0.99
    assert (clusters(features, 3) == found).all()
    assert (np.diff(np.bincount(found)) <= 0).all()


def test_more_groups_than_points_leave_some_empty() -> None:
    assert set(clusters(np.array([[0.0], [0.0], [9.0]]), 3).tolist()) <= {0, 1, 2}
    assert clusters(np.zeros((5, 0)), 3).tolist() == [0] * 5
    assert clusters(np.zeros((0, 2)), 3).tolist() == []


def table(features: list[list[float]] | None, users: list[str]) -> pa.Table:
    found = {"user": pa.array(users)}
    if features is not None:
        found["features"] = pa.array(features, pa.list_(pa.float32()))
    return pa.table(found)


def test_each_users_first_row_counts_and_features_are_standardised() -> None:
    rows = table([[1.0, 7.0], [9.0, 7.0], [3.0, 7.0]], ["a", "a", "b"])
    assert features_of(rows) == pytest.approx(np.array([[-1.0, 0.0], [1.0, 0.0]]))


@pytest.mark.parametrize("features", [None, [[], [], []], [[1.0], [1.0, 2.0], [1.0]]])
def test_rows_without_equal_features_have_none(features: list[list[float]] | None) -> None:
    assert features_of(table(features, ["a", "b", "c"])).shape == (3, 0)


def test_features_that_are_no_numbers_are_left_out() -> None:
    rows = table([[float("nan"), 1.0], [2.0, 3.0]], ["a", "b"])
    assert features_of(rows) == pytest.approx(np.array([[0.0, -1.0], [0.0, 1.0]]))


def test_a_group_is_told_by_what_it_does_more_or_less() -> None:
    features = np.array([[2.0, -1.0, 0.1], [-2.0, 1.0, -0.1]])
    chosen = np.array([True, False])
    assert traits(features, chosen, ["events", "spent", "skips"]) == ["+events", "-spent"]
    assert traits(features, chosen, []) == []

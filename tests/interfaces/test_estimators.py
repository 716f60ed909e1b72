"""The estimators keep scikit-learn's own promises, and read mixed tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from upwell.interfaces.estimators import Columns, TabularClassifier, TabularRegressor

ESTIMATORS = [Columns(), TabularClassifier(epochs=10), TabularRegressor(epochs=10)]


BY_ROWS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "which rows are held out and share a batch depends on their number"
    )
}
"""Checks that the two that learn do not pass, and why."""


def checks() -> list[Any]:
    """What scikit-learn asks of each estimator, under a name of its own."""
    found = []
    for one in ESTIMATORS:
        for estimator, check in estimator_checks_generator(one):
            name = getattr(check, "func", check).__name__
            if isinstance(one, Columns) or name not in BY_ROWS:
                found.append(pytest.param(estimator, check, id=f"{type(one).__name__}-{name}"))
    return found


@pytest.mark.parametrize(("estimator", "check"), checks())
def test_promises_of_estimators(estimator: Any, check: Any) -> None:
    check(estimator)


def mixed(rows: int) -> tuple[list[list[object]], list[float]]:
    rng = np.random.default_rng(0)
    cells: list[list[object]] = [
        [float(rng.normal()), ("cook", "smith", None)[n % 3], f"2024-0{n % 9 + 1}-01"]
        for n in range(rows)
    ]
    return cells, [2 * float(str(x)) + (job == "smith") for x, job, _ in cells]


def test_mixed_cells_are_read_by_their_kind() -> None:
    cells, _ = mixed(90)
    found = Columns().fit(np.array(cells, dtype=object))
    names = ["x0", "x1=cook", "x1=smith", "x1=other", "x1=missing", "x2"]
    assert found.get_feature_names_out().tolist() == names
    assert found.transform(np.array(cells, dtype=object)).shape == (90, 6)


def test_a_number_and_a_class_are_told_from_mixed_cells() -> None:
    cells, values = mixed(300)
    table = np.array(cells, dtype=object)
    number = TabularRegressor().fit(table[:200], values[:200])
    assert number.score(table[200:], values[200:]) > 0.9
    names = np.where(np.array(values) > 0.3, "high", "low")
    said = TabularClassifier().fit(table[:200], names[:200])
    assert said.score(table[200:], names[200:]) > 0.9
    assert said.predict_proba(table[200:]).sum(axis=1) == pytest.approx(np.ones(100))

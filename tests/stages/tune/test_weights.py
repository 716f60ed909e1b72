from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwell.stages.tune.weights import counts, effective_count, label_share, negative_mass


@given(st.lists(st.floats(0.0, 1e6), max_size=50))
def test_an_effective_count_lies_between_1_and_the_number_of_rows(weights: list[float]) -> None:
    weight = np.array(weights)
    found = effective_count(weight)
    used = np.square(weight).sum() > 0
    assert found == 0 if not used else 1 - 1e-9 <= found <= len(weights) * (1 + 1e-9)


@given(st.floats(0.0, 1e9), st.floats(1.0, 1e9))
def test_lambda_leaves_both_sides_a_fifth(labels: float, feedback: float) -> None:
    found = label_share(labels, feedback)
    assert 0.2 <= found <= 0.8
    assert label_share(2 * labels, 2 * feedback) == pytest.approx(found)


def rows(*each: tuple[str, str, int | None, float]) -> pa.Table:
    inputs, targets, signs, weights = zip(*each, strict=True) if each else ((), (), (), ())
    return pa.table(
        {
            "input": pa.array(inputs, pa.string()),
            "target": pa.array(targets, pa.string()),
            "sign": pa.array(signs, pa.int64()),
            "weight": pa.array(weights, pa.float64()),
        }
    )


def test_counts_keep_labels_and_feedback_apart() -> None:
    table = rows(("a", "x", None, 1.0), ("a", "x", 1, 2.0), ("a", "x", -1, 2.0), ("b", "y", 1, 0.0))
    assert counts(table) == (1.0, 2.0)


def test_a_dislike_is_matched_by_an_equal_like_but_not_by_a_like_of_another_target() -> None:
    matched = rows(("a", "x", 1, 1.0), ("a", "x", -1, 1.0))
    assert negative_mass(matched, 0.5, "input") == 0.0
    other = rows(("a", "x", 1, 1.0), ("a", "y", -1, 1.0), ("b", "y", 1, 1.0))
    assert negative_mass(other, 0.5, "input") == 0.5


def test_a_label_matches_a_dislike_when_it_weighs_enough() -> None:
    table = rows(("a", "x", None, 1.0), ("a", "x", -1, 1.0))
    assert negative_mass(table, 0.5, "input") == 0.0
    assert negative_mass(table, 0.49, "input") == 1.0


def test_context_and_emptiness_have_no_mass() -> None:
    assert negative_mass(rows(("a", "x", -1, 0.0)), 0.5, "input") == 0.0
    assert negative_mass(rows(), 0.5, "input") == 0.0

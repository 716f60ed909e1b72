from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwell.stages.evaluate import ranking

ITEMS = st.sampled_from("abcdef")
LISTS = st.lists(st.tuples(st.lists(ITEMS, max_size=6), ITEMS), max_size=20)


def column(values: list[list[str]] | list[str]) -> pa.ChunkedArray:
    lists = bool(values) and isinstance(values[0], list)
    half = len(values) // 2
    type_ = pa.list_(pa.string()) if lists or not values else pa.string()
    return pa.chunked_array([pa.array(values[:half], type_), pa.array(values[half:], type_)])


@given(LISTS)
def test_ranks_equal_a_plain_search(rows: list[tuple[list[str], str]]) -> None:
    shown, targets = [row[0] for row in rows], [row[1] for row in rows]
    wanted = [some.index(t) + 1 if t in some else 0 for some, t in rows]
    found = ranking.ranks(column(shown), pa.chunked_array([pa.array(targets, pa.string())]))
    assert found.tolist() == wanted


def test_ranks_of_a_slice_count_from_its_own_first_row() -> None:
    shown = pa.chunked_array([[["z"], ["a", "b"], ["b", "a"]]]).slice(1)
    assert ranking.ranks(shown, pa.chunked_array([["b", "b"]])).tolist() == [2, 1]


@pytest.mark.parametrize(
    ("rank", "wanted"), [(1, 1.0), (2, 1 / math.log2(3)), (10, 0.28906), (11, 0)]
)
def test_ndcg_is_one_over_the_logarithm(rank: int, wanted: float) -> None:
    assert ranking.ndcg(np.array([rank]), 10)[0] == pytest.approx(wanted, abs=1e-5)


@given(st.lists(st.lists(ITEMS, min_size=1, max_size=6), min_size=1, max_size=20))
def test_concentration_equals_the_mean_difference(shown: list[list[str]]) -> None:
    counts = [sum(some.count(item) for some in shown) for item in "abcdefgh"]
    mean = sum(counts) / len(counts)
    pairs = sum(abs(one - other) for one in counts for other in counts)
    wanted = pairs / (2 * len(counts) ** 2 * mean)
    assert ranking.concentration(column(shown), 8) == pytest.approx(wanted)


def test_concentration_and_coverage_of_nothing_are_zero() -> None:
    nothing = column([])
    assert ranking.concentration(nothing, 5) == 0.0
    assert ranking.coverage(nothing, 0) == 0.0


def test_an_item_outside_the_catalogue_does_not_cover_more_than_all() -> None:
    assert ranking.coverage(column([["a"], ["b"], ["c"]]), 2) == 1.0


def test_honest_probabilities_have_a_small_calibration_error() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.random(20_000)
    hit = (rng.random(20_000) < confidence).astype(float)
    assert ranking.calibration_error(confidence, hit) < 0.02
    assert ranking.calibration_error(np.sqrt(confidence), hit) > 0.1


def test_nothing_said_has_no_calibration_error() -> None:
    assert ranking.calibration_error(np.array([]), np.array([])) == 0.0

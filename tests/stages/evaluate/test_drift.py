from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from upwell.stages.evaluate.drift import (
    Column,
    auc,
    by_chance,
    cells,
    effect,
    joint,
    marginal,
    psi,
    shares,
)

COUNTS = st.lists(st.integers(0, 200), min_size=4, max_size=4).filter(lambda one: sum(one) > 0)
OLD, NEW = 900, 300
IS_NEW = np.arange(OLD + NEW) >= OLD
NORMAL = np.random.default_rng(0).normal


def quiet(seed: int, count: int) -> list[Column]:
    """Columns in which nothing changes: every other one is a category."""
    rng = np.random.default_rng(seed)
    return [
        Column(f"c{n}", rng.normal(size=OLD + NEW), True)
        if n % 2
        else Column(f"c{n}", rng.integers(5, size=OLD + NEW).astype(np.float64), False)
        for n in range(count)
    ]


@given(COUNTS, COUNTS)
def test_the_index_is_symmetric_and_not_negative(one: list[int], other: list[int]) -> None:
    first, second = np.array(one, np.float64), np.array(other, np.float64)
    assert psi(first, second) == pytest.approx(psi(second, first))
    assert psi(first, second) >= effect(first, second) >= 0.0
    assert psi(first, first) == pytest.approx(0.0)


def test_chance_alone_makes_an_index_of_known_size() -> None:
    rng, chances = np.random.default_rng(1), np.full(10, 0.1)
    pairs = [(rng.multinomial(OLD, chances), rng.multinomial(NEW, chances)) for _ in range(400)]
    drawn = [psi(one.astype(np.float64), other.astype(np.float64)) for one, other in pairs]
    wanted = by_chance(*(half.astype(np.float64) for half in pairs[0]))
    assert np.mean(drawn) == pytest.approx(wanted, rel=0.1)


def test_where_nothing_changes_an_alarm_is_as_rare_as_it_says() -> None:
    alarms = [marginal(quiet(seed, 20), IS_NEW, 0.95).sure for seed in range(120)]
    assert sum(alarms) <= 12
    told = [joint(np.stack([c.values for c in quiet(seed, 10)], axis=1), IS_NEW, 0.95,
                  np.random.default_rng(seed)).sure for seed in range(120)]  # fmt: skip
    assert sum(told) <= 12


@pytest.mark.parametrize("kind", ["number", "category", "missing"])
def test_the_one_column_of_twenty_that_changed_is_named(kind: str) -> None:
    found = quiet(3, 20)
    values = NORMAL(size=OLD + NEW)
    if kind == "number":
        values = values + 0.8 * IS_NEW
    elif kind == "category":
        drawn = np.random.default_rng(4).random(OLD + NEW)
        values = (drawn < np.where(IS_NEW, 0.8, 0.4)).astype(np.float64)
    else:
        values = np.where(IS_NEW & (np.arange(OLD + NEW) % 2 == 0), np.nan, values)
    found[7] = Column("moved", values, kind != "category")
    told = marginal(found, IS_NEW, 0.95)
    assert told.sure
    assert (told.told["column"], told.told["changed"], told.told["columns"]) == ("moved", 1, 20)
    assert (told.value or 0.0) > 0.2


def test_a_shift_too_small_to_matter_has_a_small_effect_however_sure_it_is() -> None:
    rng, n = np.random.default_rng(5), 60_000
    is_new = np.arange(n) >= n // 2
    told = marginal([Column("x", rng.normal(size=n) + 0.1 * is_new, True)], is_new, 0.95)
    assert told.sure
    assert 0.0 < (told.value or 0.0) < 0.03


def test_many_small_shifts_together_are_told_apart_where_none_is_alone() -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(size=(OLD + NEW, 40)) + 0.12 * IS_NEW[:, None]
    alone = marginal([Column(f"c{n}", x, True) for n, x in enumerate(values.T)], IS_NEW, 0.95)
    together = joint(values, IS_NEW, 0.95, np.random.default_rng(0))
    assert (alone.value or 0.0) < 0.2
    assert together.sure
    assert (together.value or 0.0) > 0.6


@given(st.lists(st.integers(0, 5), min_size=4, max_size=40), st.integers(1, 3))
def test_the_area_is_mann_and_whitneys(values: list[int], positive: int) -> None:
    scores = np.array(values, np.float64)
    chosen = np.arange(len(scores)) < positive
    statistic = stats.mannwhitneyu(scores[chosen], scores[~chosen]).statistic
    assert auc(scores, chosen) == pytest.approx(statistic / (positive * (len(scores) - positive)))


def test_the_test_of_shares_is_that_of_two_proportions() -> None:
    old, new = np.arange(400) % 10 < 3, np.arange(200) % 10 < 4
    table = np.array([[old.sum(), (~old).sum()], [new.sum(), (~new).sum()]])
    p = stats.chi2_contingency(table, correction=False).pvalue
    assert p < 0.05
    assert shares(old, new, 1 - p * 1.01).sure
    assert not shares(old, new, 1 - p * 0.99).sure
    same = shares(old, old, 0.95)
    assert (same.value, same.sure) == (0.0, False)
    nobody = shares(np.zeros(40, bool), np.zeros(40, bool), 0.95)
    assert (nobody.value, nobody.sure) == (0.0, False)


def test_numbers_without_end_and_constants_have_cells() -> None:
    values = np.array([np.inf, -np.inf, 0.0, np.nan, 1.0])
    found = cells(Column("x", values, True))
    assert found[3] == 0
    assert found[0] > found[4] >= found[2] > found[1] > 0
    assert set(cells(Column("x", np.full(9, 2.0), True)).tolist()) == {1}
    assert set(cells(Column("x", np.full(9, np.nan), True)).tolist()) == {0}
    told = marginal([Column("x", np.full(OLD + NEW, 2.0), True)], IS_NEW, 0.95)
    assert (told.value, told.sure, told.told["column"]) == (0.0, False, "–")

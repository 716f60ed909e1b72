from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwell.stages.release.cuped import adjusted, expected, theta


def world(corr: float, size: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes within [−1, 1] and what was before, with a known correlation."""
    rng = np.random.default_rng(seed)
    before = rng.normal(size=size)
    noise = rng.normal(size=size)
    return 0.2 * (corr * before + np.sqrt(1 - corr**2) * noise), before


@pytest.mark.parametrize("corr", [0.0, 0.4, 0.7])
def test_the_variance_falls_by_the_squared_correlation(corr: float) -> None:
    outcome, before = world(corr)
    found = adjusted(outcome, before)
    assert found.mean() == pytest.approx(outcome.mean())
    assert found.var() / outcome.var() == pytest.approx(1 - corr**2, abs=0.03)


@pytest.mark.parametrize("corr", [0.0, 0.4, 0.7])
def test_expecting_from_the_past_alone_does_the_same(corr: float) -> None:
    outcome, before = world(corr)
    rest = outcome - expected(outcome, before, -1.0, 1.0)
    assert rest[200:].var() / outcome.var() == pytest.approx(1 - corr**2, abs=0.03)


def test_a_unit_has_no_part_in_what_is_expected_of_it() -> None:
    outcome, before = world(0.7, 100)
    usual = expected(outcome, before, -1.0, 1.0)
    changed = outcome.copy()
    changed[60:] = 0.9
    assert expected(changed, before, -1.0, 1.0)[:61] == pytest.approx(usual[:61])


def test_what_does_not_vary_or_is_not_known_changes_nothing() -> None:
    outcome, before = world(0.5, 200)
    still, unknown = np.full(200, 3.0), np.full(200, np.nan)
    plain = expected(outcome, None, -1.0, 1.0)
    for told in (still, unknown):
        assert theta(outcome, told) == 0.0
        assert adjusted(outcome, told) == pytest.approx(outcome)
        assert expected(outcome, told, -1.0, 1.0) == pytest.approx(plain)
    some = np.where(np.arange(200) % 2 == 0, before, np.nan)
    found = expected(outcome, some, -1.0, 1.0)
    assert found[1::2] == pytest.approx(plain[1::2])
    assert np.isfinite(found).all()


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=50), st.integers(0, 5))
def test_what_is_expected_is_possible(told: list[float], seed: int) -> None:
    before = np.random.default_rng(seed).normal(size=len(told))
    found = expected(np.array(told), before, -1.0, 1.0)
    assert ((found >= -1.0) & (found <= 1.0)).all()
    assert found[0] == 0.0

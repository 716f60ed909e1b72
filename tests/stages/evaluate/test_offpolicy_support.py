"""Logs that carry no estimate are refused with a reason, and never give a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwell.stages.evaluate.support import Log, Support, effective, support
from upwell.words import LANGUAGES, say

N = 400


def log(seed: int = 0) -> Log:
    """ε-greedy over two answers, judged for the policy that prefers the other one."""
    rng = np.random.default_rng(seed)
    first = rng.random(N) < 0.7
    propensity, chance = np.where(first, 0.7, 0.3), np.where(first, 0.4, 0.6)
    return Log((rng.random(N) < 0.5).astype(np.float64), propensity, chance)


def spoiled(column: str, place: int, value: float) -> Log:
    values = getattr(log(), column).copy()
    values[place] = value
    return replace(log(), **{column: values})


def heavy(user: bool) -> Log:
    good = log()
    propensity, chance = good.propensity.copy(), good.chance.copy()
    propensity[0], chance[0] = 0.005, 0.6
    codes = np.arange(N)
    if user:
        codes[:80] = 0
        return replace(good, user=np.unique(codes, return_inverse=True)[1])
    return replace(good, propensity=propensity, chance=chance)


CASES: list[tuple[str, Callable[[], Log]]] = [
    ("rows", lambda: Log(np.array([]), np.array([]), np.array([]))),
    ("lengths", lambda: replace(log(), chance=np.ones(3))),
    ("propensity", lambda: spoiled("propensity", 5, 0.0)),
    ("propensity", lambda: spoiled("propensity", 5, 1.5)),
    ("propensity", lambda: spoiled("propensity", 5, -0.1)),
    ("propensity", lambda: spoiled("propensity", 5, np.nan)),
    ("reward", lambda: spoiled("reward", 5, np.inf)),
    ("policy", lambda: spoiled("chance", 5, np.nan)),
    ("policy", lambda: spoiled("chance", 5, 1.1)),
    ("share", lambda: replace(log(), share=np.zeros(N))),
    ("share", lambda: replace(log(), share=np.full(N, np.nan))),
    ("deterministic", lambda: Log(np.ones(N), np.ones(N), np.where(np.arange(N) % 2, 1.0, 0.0))),
    ("support", lambda: Log(np.ones(N), np.full(N, 0.5), np.zeros(N))),
    ("support", lambda: replace(log(), chance=log().chance * 0.5)),
    ("excess", lambda: replace(log(), propensity=log().propensity / 2.0)),
    ("size", lambda: Log(np.ones(90), np.full(90, 0.5), np.full(90, 0.5))),
    ("weight", lambda: heavy(user=False)),
    ("user", lambda: heavy(user=True)),
]


@pytest.mark.parametrize(("reason", "made"), CASES)
def test_each_bad_log_is_refused_in_every_language(reason: str, made: Callable[[], Log]) -> None:
    found = support(made())
    assert found.refused == f"ope.refused.{reason}"
    for lang in LANGUAGES:
        assert say(found.refused, lang, **found.numbers)


def test_a_good_log_is_not_refused() -> None:
    found = support(log())
    assert found.refused is None
    assert found.rows == N
    assert found.mean == pytest.approx(1.0, abs=0.15)
    assert found.missing == 0.0
    assert 100 < found.size < N
    assert found.largest < 0.01


def test_logs_of_the_very_policy_need_no_chance() -> None:
    found = support(Log(np.ones(N), np.ones(N), np.ones(N)))
    assert (found.refused, found.size) == (None, float(N))


def test_what_each_row_stands_for_is_a_weight_too() -> None:
    share = np.where(np.arange(N) < 200, 1.0, 0.0)
    found: Support = support(replace(log(), share=share))
    assert found.refused is None
    assert found.size == pytest.approx(effective(log().weight[:200]))


@given(st.lists(st.floats(0.0, 100.0), min_size=1, max_size=30))
def test_the_effective_size_lies_between_nothing_and_all(weights: list[float]) -> None:
    found = effective(np.array(weights))
    assert 0.0 <= found <= len(weights) + 1e-9

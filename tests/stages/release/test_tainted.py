"""A champion that learned from an attack: a clean challenger replaces it unless it is worse."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.stages.release.reports import BETTER, NOT_WORSE, decided, keys, ndcg, proof, report

from upwell.records import Json
from upwell.stages.release.explain import render

TAINTED: Mapping[str, Json] = {"tainted": {"champion": "m-1", "rows": 8}}


@pytest.mark.parametrize(
    ("low", "high", "act"),
    [(-0.05, 0.01, "promote"), (-0.05, -0.001, "promote"), (-0.05, -0.003, "hold")],
)
def test_the_clean_challenger_serves_unless_it_is_shown_to_lose_more_than_the_margin(
    low: float, high: float, act: str
) -> None:
    found = report(ndcg((low + high) / 2, low, high), guards={**proof(low), **TAINTED})
    for settings in (NOT_WORSE, NOT_WORSE.model_copy(update={"promote": "better"})):
        decision = decided(found, settings=settings)
        assert decision.act == act
        assert f"tainted.{act}" in keys(decision)
        assert not {"better.hold", "better.reject", "gain.hold", "gain.reject"} & set(
            keys(decision)
        )
        for lang in ("en", "zh"):
            assert any("m-1" in line for line in render(decision, lang))


def test_every_other_check_holds_as_before() -> None:
    few = report(ndcg(0.01, 0.004, 0.016, n=3), guards={**proof(0.004), **TAINTED})
    assert decided(few, settings=NOT_WORSE).act == "hold"
    harmed = report(
        BETTER, slices={"f": ndcg(-0.1, -0.12, -0.08)}, guards={**proof(0.004), **TAINTED}
    )
    assert decided(harmed, settings=NOT_WORSE).act == "reject"


def test_the_rule_is_for_the_champion_that_was_measured_against() -> None:
    other: Mapping[str, Json] = {"tainted": {"champion": "m-0", "rows": 8}}
    worse = report(ndcg(-0.02, -0.05, 0.01), guards={**proof(-0.05), **other})
    assert decided(worse).act == "hold"
    assert not [key for key in keys(decided(worse)) if key.startswith("tainted")]
    first = report(ndcg(0.0, 0.0, 0.0), champion=None, guards=TAINTED)
    assert not [key for key in keys(decided(first, champion=None)) if key.startswith("tainted")]

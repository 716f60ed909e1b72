from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stages.release.reports import (
    BETTER,
    BETTER_ONLY,
    NOT_WORSE,
    SHOWN,
    decided,
    harmed,
    keys,
    ndcg,
    proof,
    report,
)

from upwell.records import Json, Metric
from upwell.stages.release.explain import render


def test_a_better_model_is_promoted_and_every_check_is_told_in_order() -> None:
    sealed: Mapping[str, Json] = {"sealed": {"part": 0, "looks": [3, 0]}}
    fine: Mapping[str, Json] = {"value": 0.1, "threshold": 0.2, "crossed": False}
    away: Mapping[str, Json] = {"anchor": "m-0", "gain": 0.03, "low": 0.02, "high": 0.04}
    gain: Mapping[str, Json] = {"gain": {"value": 0.01, "low": -0.01, "high": 0.03}}
    found = decided(
        report(
            BETTER,
            slices={"f": ndcg(0.0, -0.01, 0.01)},
            guards={
                **proof(0.002, **sealed),
                "more_users": {"gain": 0.01, "users": 70},
                "watched": {"drift": fine},
                "cumulative": {**away, "threshold": 0.01},
            },
            ope={"estimator": "snips", "n": 400, **gain},
        )
    )
    assert found.act == "promote"
    assert keys(found) == [
        "finite.promote",
        "current.promote",
        "users.promote",
        "better.promote",
        "test.permutation",
        "missing.note",
        "sealed.note",
        "slices.promote",
        "guards.promote",
        "ope.promote",
        "cumulative.promote",
    ]
    assert all({"check", "verdict", "number", "threshold"} <= set(one) for one in found.reasons)


def test_the_first_model_is_promoted_with_its_reason() -> None:
    first = Metric("ndcg@10", 0.3, n=5)
    found = decided(report(first, champion=None), champion=None)
    assert found.act == "promote"
    assert keys(found) == ["finite.promote", "first.promote"]


@pytest.mark.parametrize(
    ("metric", "bound", "act", "reason"),
    [
        (BETTER, 0.0001, "promote", "better.promote"),
        (BETTER, 0.0, "hold", "better.hold"),
        (BETTER, -0.001, "hold", "better.hold"),
        (BETTER, None, "hold", "better.untold"),
        (ndcg(-0.001, -0.0015, -0.0001), -0.002, "reject", "better.reject"),
        (ndcg(-0.001, -0.0015, -0.0001), None, "reject", "better.reject"),
        (ndcg(0.01, 0.004, 0.016, n=9), 0.002, "hold", "users.hold"),
        (ndcg(math.nan, math.nan, math.nan), None, "reject", "finite.reject"),
        (ndcg(math.inf, 0.0, math.inf), 0.1, "reject", "finite.reject"),
    ],
)
def test_only_what_is_shown_to_be_better_is_promoted(
    metric: Metric, bound: float | None, act: str, reason: str
) -> None:
    found = decided(report(metric, guards=proof(bound)))
    assert found.act == act
    assert reason in keys(found)


def test_a_report_that_proves_nothing_promotes_nothing() -> None:
    """Whatever its interval says: the level of a look is spent by the proof alone."""
    assert decided(report(ndcg(0.5, 0.4, 0.6))).act == "hold"


@pytest.mark.parametrize(
    ("metric", "act", "reason"),
    [
        (ndcg(0.001, -0.0019, 0.004), "promote", "gain.promote"),
        (ndcg(0.001, -0.002, 0.004), "hold", "gain.hold"),
        (ndcg(-0.001, -0.0015, 0.001), "hold", "estimate.hold"),
        (ndcg(0.0, 0.0, 0.0), "hold", "estimate.hold"),
        (ndcg(-0.001, -0.0015, -0.0001), "reject", "gain.reject"),
        (ndcg(0.01, 0.004, 0.016, n=9), "hold", "users.hold"),
        (ndcg(math.nan, math.nan, math.nan), "reject", "finite.reject"),
    ],
)
def test_not_worse_suffices_where_the_settings_say_so(
    metric: Metric, act: str, reason: str
) -> None:
    found = decided(report(metric, guards=proof(None)), settings=NOT_WORSE)
    assert found.act == act
    assert reason in keys(found)
    assert not any(key.startswith(("better", "test")) for key in keys(found))


@pytest.mark.parametrize(
    ("part", "holm", "act", "reason"),
    [
        (ndcg(-0.019, -0.03, -0.001, n=60), 0.001, "promote", "slices.promote"),
        (ndcg(-0.03, -0.06, 0.001, n=60), 0.06, "promote", "slices.note"),
        (ndcg(-0.03, -0.06, 0.001, n=60), 0.05, "hold", "slices.hold"),
        (ndcg(-0.03, -0.04, -0.021, n=60), 0.05, "reject", "slices.reject"),
        # The interval of one group alone shows a loss, but not after all groups are counted.
        (ndcg(-0.03, -0.05, -0.001, n=60), 0.2, "promote", "slices.note"),
        # Where no p was found the interval says it.
        (ndcg(-0.03, -0.05, -0.001, n=60), None, "hold", "slices.hold"),
        (ndcg(-0.03, -0.05, 0.001, n=60), None, "promote", "slices.note"),
        (ndcg(-0.03, -0.04, -0.021, n=49), 0.001, "promote", "slices.promote"),
        (ndcg(math.nan, math.nan, math.nan, n=60), None, "reject", "finite.reject"),
    ],
)
def test_a_group_that_is_shown_to_lose_stops_a_better_model(
    part: Metric, holm: float | None, act: str, reason: str
) -> None:
    found = decided(report(BETTER, slices={"f": part}, guards=harmed(holm)))
    assert found.act == act
    assert reason in keys(found)


def test_a_group_is_named_with_what_tells_it() -> None:
    group: Mapping[str, Json] = {"behaviour-1": {"holm": 0.001, "traits": ["+events", "-spent"]}}
    guards = {**SHOWN, "slices": group}
    found = decided(report(BETTER, slices={"behaviour-1": ndcg(-0.1, -0.2, -0.05)}, guards=guards))
    assert "'behaviour-1 (+events, -spent)' lose: ndcg@10 -0.1000" in render(found, "en")[-1]


def test_another_metric_of_a_slice_does_not_decide() -> None:
    part = ndcg(-0.5, -0.6, -0.4, name="hit@10")
    assert decided(report(BETTER, slices={"f": part}, guards=harmed(0.0))).act == "promote"


@pytest.mark.parametrize(("measured", "serving"), [("m-0", "m-1"), (None, "m-1"), ("m-1", None)])
def test_a_report_against_another_champion_is_held(
    measured: str | None, serving: str | None
) -> None:
    found = decided(report(BETTER, champion=measured, guards=SHOWN), champion=serving)
    assert found.act == "hold"
    assert "current.hold" in keys(found)


def test_a_baseline_that_is_not_beaten_is_noted_and_decides_nothing() -> None:
    behind, ahead = ndcg(-0.1, -0.2, -0.05, name="ndcg@10[popular]"), ndcg(0.1, 0.05, 0.2)
    other = ndcg(-0.1, -0.2, -0.05, name="hit@10[recent]")
    champion = ndcg(-0.1, -0.2, -0.05, name="ndcg@10[champion]")
    found = decided(report(ahead, behind, other, champion, guards=SHOWN))
    assert found.act == "promote"
    assert keys(found)[-1] == "baseline.note"
    assert [reason["baseline"] for reason in found.reasons if "baseline" in reason] == ["popular"]


@given(
    st.floats(-0.1, 0.1), st.floats(0, 0.1), st.none() | st.floats(-0.2, 0.1),
    st.floats(-0.1, 0.1), st.floats(0, 1), st.integers(0, 100), st.booleans(),
)  # fmt: skip
def test_the_gate_is_sound_and_repeatable(
    gain: float, reach: float, bound: float | None, part: float, holm: float, n: int, strict: bool
) -> None:
    main, settings = ndcg(gain, gain - reach, gain + reach), BETTER_ONLY if strict else NOT_WORSE
    guards = {**harmed(holm), **proof(bound)}
    found = report(main, slices={"f": ndcg(part, part - reach, part + reach, n=n)}, guards=guards)
    decision = decided(found, settings=settings)
    assert decision == decided(found, settings=settings)
    loses = n >= 50 and part < -0.02 and holm <= 0.05
    shown = bound is not None and bound > 0.0 and gain + reach >= 0.0
    fine = shown if strict else gain - reach > -0.002 and gain > 0.0
    assert (decision.act == "promote") == (fine and not loses)
    if gain + reach < 0:
        assert decision.act == "reject"


def test_the_sentences_of_a_promotion() -> None:
    assert render(decided(report(BETTER, guards=SHOWN)), "en") == (
        "m-2 is promoted: it serves from now on.",
        "All 1 measured numbers are finite.",
        "It was measured against m-1, which serves now.",
        "500 users were judged; at least 10 are needed.",
        "Gain in ndcg@10: +0.0100 [+0.0040, +0.0160]; at the level of look 3 (0.0024) its lower "
        "bound +0.0020 is above 0: it is shown to be better.",
        "Tested by random signs of 320 users who differ (p = 0.004).",
        "None of 0 user groups is shown to lose more than 0.02.",
    )

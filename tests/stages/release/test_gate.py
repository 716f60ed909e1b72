from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwell.records import Decision, Json, Metric, Report
from upwell.settings import GateSettings
from upwell.stages.release.explain import render
from upwell.stages.release.gate import decide
from upwell.tables import to_records, to_table
from upwell.words import LANGUAGES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = GateSettings(margin=0.002, slice_margin=0.02, slice_minimum=50, user_minimum=10)


def ndcg(gain: float, low: float, high: float, n: int = 500, name: str = "ndcg@10") -> Metric:
    return Metric(name=name, value=0.3, gain=gain, low=low, high=high, n=n)


def report(
    *metrics: Metric,
    slices: Mapping[str, Metric] | None = None,
    champion: str | None = "m-1",
    guards: Mapping[str, Json] | None = None,
) -> Report:
    groups = {group: (metric,) for group, metric in (slices or {}).items()}
    return Report("r", "m-2", champion, NOW, metrics, groups, guards or {}, {})


def decided(found: Report, champion: str | None = "m-1") -> Decision:
    return decide(found, SETTINGS, id="d", task="recommend", at=NOW, champion=champion)


def keys(decision: Decision) -> list[str]:
    return [str(reason["key"]).removeprefix("gate.") for reason in decision.reasons]


BETTER = ndcg(0.01, 0.004, 0.016)


def test_a_better_model_is_promoted_and_every_check_is_told_in_order() -> None:
    found = decided(report(BETTER, slices={"f": ndcg(0.0, -0.01, 0.01)}))
    assert found.act == "promote"
    assert keys(found) == [
        "finite.promote",
        "current.promote",
        "users.promote",
        "gain.promote",
        "estimate.promote",
        "slices.promote",
    ]


def test_the_first_model_is_promoted_with_its_reason() -> None:
    first = Metric("ndcg@10", 0.3, n=5)
    found = decided(report(first, champion=None), champion=None)
    assert found.act == "promote"
    assert keys(found) == ["finite.promote", "first.promote"]


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
        (ndcg(math.inf, 0.0, math.inf), "reject", "finite.reject"),
    ],
)
def test_the_main_gain_decides(metric: Metric, act: str, reason: str) -> None:
    found = decided(report(metric))
    assert found.act == act
    assert reason in keys(found)


@pytest.mark.parametrize(
    ("part", "act", "reason"),
    [
        (ndcg(-0.019, -0.06, 0.02, n=50), "promote", "slices.promote"),
        (ndcg(-0.021, -0.06, 0.02, n=50), "hold", "slices.hold"),
        (ndcg(-0.021, -0.04, -0.001, n=50), "reject", "slices.reject"),
        (ndcg(-0.021, -0.04, -0.001, n=49), "promote", "slices.promote"),
        (ndcg(math.nan, math.nan, math.nan, n=50), "reject", "finite.reject"),
    ],
)
def test_a_harmed_group_stops_a_better_model(part: Metric, act: str, reason: str) -> None:
    found = decided(report(BETTER, slices={"f": part}))
    assert found.act == act
    assert reason in keys(found)


def test_another_metric_of_a_slice_does_not_decide() -> None:
    part = ndcg(-0.5, -0.6, -0.4, name="hit@10")
    assert decided(report(BETTER, slices={"f": part})).act == "promote"


@pytest.mark.parametrize(("measured", "serving"), [("m-0", "m-1"), (None, "m-1"), ("m-1", None)])
def test_a_report_against_another_champion_is_held(
    measured: str | None, serving: str | None
) -> None:
    found = decided(report(BETTER, champion=measured), champion=serving)
    assert found.act == "hold"
    assert "current.hold" in keys(found)


def test_a_baseline_that_is_not_beaten_is_noted_and_decides_nothing() -> None:
    behind, ahead = ndcg(-0.1, -0.2, -0.05, name="ndcg@10[popular]"), ndcg(0.1, 0.05, 0.2)
    other = ndcg(-0.1, -0.2, -0.05, name="hit@10[recent]")
    champion = ndcg(-0.1, -0.2, -0.05, name="ndcg@10[champion]")
    found = decided(report(ahead, behind, other, champion))
    assert found.act == "promote"
    assert keys(found)[-1] == "baseline.note"
    assert [reason["baseline"] for reason in found.reasons if "baseline" in reason] == ["popular"]


def test_missing_users_are_noted() -> None:
    more: Mapping[str, Json] = {"more_users": {"gain": 0.002, "users": 1200}}
    found = decided(report(ndcg(0.001, -0.01, 0.012), guards=more))
    assert found.act == "hold"
    assert "Note: 1,200 more users would be needed to see a gain of 0.002." in render(found, "en")


@given(st.floats(-0.1, 0.1), st.floats(0, 0.1), st.floats(-0.1, 0.1), st.integers(0, 100))
def test_the_gate_is_sound_and_repeatable(gain: float, reach: float, part: float, n: int) -> None:
    main = ndcg(gain, gain - reach, gain + reach)
    found = report(main, slices={"f": ndcg(part, part - reach, part + reach, n=n)})
    decision = decided(found)
    assert decision == decided(found)
    harmed = n >= 50 and part < -0.02
    promoted = gain - reach > -0.002 and gain > 0 and not harmed
    assert (decision.act == "promote") == promoted
    if gain + reach < 0:
        assert decision.act == "reject"


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize(
    "found",
    [
        report(BETTER, slices={"f": ndcg(-0.03, -0.04, -0.001)}),
        report(ndcg(0.0, -0.01, 0.01, n=3), slices={"f": ndcg(-0.03, -0.04, 0.01)}),
        report(ndcg(-0.1, -0.2, -0.05), ndcg(-0.1, -0.2, -0.05, name="ndcg@10[popular]")),
        report(ndcg(math.nan, math.nan, math.nan), champion="m-0"),
        report(BETTER, guards={"more_users": {"gain": 0.002, "users": 7}}),
        report(Metric("ndcg@10", 0.3, n=5), champion=None),
    ],
)
@pytest.mark.parametrize("champion", [None, "m-1"])
def test_every_reason_has_its_sentence_even_after_storage(
    found: Report, champion: str | None, lang: str
) -> None:
    decision = decided(found, champion)
    (kept,) = to_records(Decision, to_table(Decision, [decision]))
    sentences = render(kept, lang)
    assert len(sentences) == 1 + len(decision.reasons)
    assert sentences == render(decision, lang)


def test_the_sentences_of_a_promotion() -> None:
    assert render(decided(report(BETTER)), "en") == (
        "m-2 is promoted: it serves from now on.",
        "All 1 measured numbers are finite.",
        "It was measured against m-1, which serves now.",
        "500 users were judged; at least 10 are needed.",
        "Gain in ndcg@10: +0.0100 [+0.0040, +0.0160]; the lower bound is above -0.002.",
        "The gain itself is above 0: +0.0100.",
        "None of 0 user groups loses more than 0.02.",
    )

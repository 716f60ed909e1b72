"""The ledger of gains, against turns whose numbers are known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from upwell.records import Decision, Json, Metric
from upwell.stages.release.gains import (
    Entry,
    Span,
    deciding,
    measured,
    per_thousand,
    total_gain,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = Entry(0, AT, "promote", "m-0", "m-0", serving="m-0")
SECOND = Entry(
    1, AT, "promote", "m-1", "m-1", gain=Span(0.02, 0.01, 0.03), total=Span(0.02, 0.01, 0.03),
    users=250, seconds={"dataset": 1.5, "tune": 4.0},
)  # fmt: skip


def test_a_gain_without_a_champion_is_none() -> None:
    assert measured(None) is None
    assert measured(Metric("accuracy", 0.9, None, None, None, 40)) is None
    assert measured(Metric("accuracy", 0.9, 0.1, 0.0, 0.2, 40)) == Span(0.1, 0.0, 0.2)


def test_per_thousand_users_scales_gain_and_interval_alike() -> None:
    assert per_thousand(SECOND) == Span(0.08, 0.04, 0.12)
    assert per_thousand(replace(SECOND, users=0)) is None
    assert per_thousand(FIRST) is None


def test_cost_is_the_sum_of_all_stages() -> None:
    assert SECOND.cost == pytest.approx(5.5)
    assert FIRST.cost == 0.0


def test_the_whole_gain_is_that_of_what_serves() -> None:
    turns = [FIRST, SECOND]
    assert total_gain(turns, "m-0") == Span(0.0, 0.0, 0.0)
    assert total_gain(turns, "m-1") == SECOND.total
    assert total_gain(turns, None) is None
    assert total_gain(turns, "unheard") is None


@pytest.mark.parametrize(
    ("low", "high", "sure"), [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False)]
)
def test_a_span_is_sure_when_it_excludes_zero(low: float, high: float, sure: bool) -> None:
    assert Span(0.0, low, high).sure is sure
    assert not Span(0.5).sure


def decision(act: str, *reasons: tuple[str, str]) -> Decision:
    told: list[dict[str, Json]] = [
        {"key": f"gate.{check}.{verdict}", "verdict": verdict} for check, verdict in reasons
    ]
    return Decision("m-1", "m-1", "t", AT, act, tuple(told))


def test_the_deciding_reason_is_that_of_the_act() -> None:
    gain = ("finite", "promote"), ("current", "promote"), ("better", "promote")
    assert (deciding(decision("promote", *gain)) or {})["key"] == "gate.better.promote"
    held = ("finite", "promote"), ("better", "hold"), ("slices", "reject")
    assert (deciding(decision("reject", *held)) or {})["key"] == "gate.slices.reject"
    assert (deciding(decision("hold", *held)) or {})["key"] == "gate.better.hold"

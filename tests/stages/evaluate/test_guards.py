from __future__ import annotations

import json
import math

import pytest

from upwell.records import Json
from upwell.settings import GuardSettings
from upwell.stages.evaluate.guards import Finding, entry, unmeasured, watched

SETTINGS = GuardSettings(drift=0.2, hold=("drift",), reject=("length",), off=("coverage",))


@pytest.mark.parametrize(
    ("value", "sure", "crossed"),
    [(0.21, True, True), (0.2, True, False), (0.9, False, False), (-0.9, True, False)],
)
def test_a_guard_is_crossed_beyond_its_threshold_and_beyond_chance(
    value: float, sure: bool, crossed: bool
) -> None:
    found = entry("drift", Finding(value, sure), SETTINGS)
    assert found["crossed"] is crossed
    assert (found["value"], found["threshold"], found["verdict"]) == (value, 0.2, "hold")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_was_not_measured(value: float) -> None:
    found = entry("drift", Finding(value), SETTINGS)
    assert (found["value"], found["crossed"]) == (None, False)
    assert found["why"] == "guard.why.not_finite"


def test_what_a_guard_tells_never_overwrites_what_it_decides() -> None:
    lie: dict[str, Json] = {"crossed": False, "threshold": 9.0, "verdict": "note", "rows": 3}
    found = entry("length", Finding(0.5, True, lie), SETTINGS)
    assert (found["crossed"], found["threshold"], found["verdict"]) == (True, 0.25, "reject")
    assert found["rows"] == 3


def test_entries_are_json_and_in_the_order_of_the_settings() -> None:
    told: dict[str, Json] = {"low": -math.inf, "high": 0.3}
    findings = {
        "memorisation": Finding(0.5),
        "coverage": Finding(1.0),
        "forgetting": Finding(0.1, True, told),
        "length": unmeasured("closed"),
    }
    found = watched(findings, SETTINGS)
    assert list(found) == ["forgetting", "length", "memorisation"]
    assert "low" not in found["forgetting"]
    assert found["forgetting"]["high"] == 0.3
    assert found["length"]["why"] == "guard.why.closed"
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("name", ["repeats", "flattery", "leaked_rows", "forgetting"])
def test_what_harms_users_holds_unless_it_is_told_otherwise(name: str) -> None:
    assert GuardSettings().verdict(name) == "hold"
    assert GuardSettings(hold=()).verdict(name) == "note"


def test_rejecting_wins_over_holding_and_a_guard_must_be_known() -> None:
    both = GuardSettings(hold=("drift",), reject=("drift",))
    assert both.verdict("drift") == "reject"
    with pytest.raises(ValueError, match="hold"):
        GuardSettings.model_validate({"hold": ["no such guard"]})

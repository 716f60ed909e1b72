"""When a turn is due: every trigger fires at its number and waits below it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwell.records import Json
from upwell.settings import WatchSettings
from upwell.stages.release.triggers import Situation, checks, pause, stability
from upwell.words import LANGUAGES, say

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KNOWN = Situation(NOON, "m-0", new=1, turn="m-0", begun=NOON - timedelta(hours=3))
SAID = {"thumbs +1": 300, "thumbs -1": 100}
CROSSED: dict[str, Json] = {"value": 0.5, "threshold": 0.2, "worse": "above", "verdict": "hold"}


def fired(situation: Situation, **settings: Any) -> list[str]:
    found = checks(situation, WatchSettings(**settings))
    for check in found:
        for lang in LANGUAGES:
            assert "{" not in say(check.key, lang, **check.numbers)
    return [check.name for check in found if check.fires]


@pytest.mark.parametrize(
    ("change", "settings", "due"),
    [
        ({"new": 999}, {}, []),
        ({"new": 1000}, {}, ["feedback"]),
        ({"new": 5}, {"feedback": 5}, ["feedback"]),
        ({"new": 10**6}, {"feedback": 0}, []),
        ({"begun": NOON - timedelta(hours=23, minutes=59)}, {}, []),
        ({"begun": NOON - timedelta(hours=24)}, {}, ["time"]),
        ({"begun": NOON - timedelta(days=9)}, {"hours": 0}, []),
        ({"serving": None, "turn": None, "begun": None}, {}, ["first"]),
        ({"before": SAID, "since": {"thumbs +1": 100, "thumbs -1": 300}}, {}, ["drift"]),
        ({"before": SAID, "since": SAID}, {}, []),
        ({"before": SAID, "since": {"thumbs -1": 199}}, {}, []),
        ({"before": SAID, "since": {"thumbs -1": 400}}, {"drift": 0}, []),
        ({"guards": {"forgetting": CROSSED}}, {}, ["guard"]),
        ({"guards": {"forgetting": CROSSED}}, {"guards": False}, []),
        ({"guards": {"forgetting": {**CROSSED, "verdict": "note"}}}, {}, []),
        ({"guards": {"forgetting": {**CROSSED, "value": 0.1}}}, {}, []),
        ({"guards": {"length": {**CROSSED, "worse": "below", "value": 0.1}}}, {}, ["guard"]),
        ({"guards": {"forgetting": {**CROSSED, "value": None}}}, {}, []),
        ({"unfinished": "m-1", "new": 0}, {}, ["unfinished"]),
    ],
)
def test_each_trigger_fires_where_it_should(
    change: dict[str, Any], settings: dict[str, Any], due: list[str]
) -> None:
    assert fired(replace(KNOWN, **change), **settings) == due


def test_nothing_fires_while_nothing_is_new_or_the_last_turn_rests() -> None:
    guards: dict[str, Json] = {"forgetting": CROSSED}
    much = replace(KNOWN, new=10**6, guards=guards)
    assert fired(much) == ["feedback", "guard"]
    assert fired(replace(much, new=0)) == []
    assert fired(replace(much, begun=NOON - timedelta(minutes=59))) == []
    assert checks(replace(much, begun=NOON), WatchSettings())[-1].name == "rest"


def test_a_clock_that_was_set_back_keeps_no_turn_from_running() -> None:
    ahead = replace(KNOWN, new=2000, begun=NOON + timedelta(hours=1))
    assert fired(ahead) == ["feedback"]


@given(st.integers(1, 60), st.floats(0.0, 1.0, exclude_max=True))
def test_the_wait_doubles_within_its_bounds(failures: int, chance: float) -> None:
    settings = WatchSettings(retry_seconds=2.0, retry_most_seconds=100.0)
    found = pause(failures, settings, chance).total_seconds()
    whole = min(100.0, 2.0 * 2.0 ** (failures - 1))
    assert whole / 2 - 1e-6 <= found <= whole + 1e-6


@given(st.dictionaries(st.sampled_from("abc"), st.integers(0, 500), min_size=1))
def test_drift_is_nothing_between_equal_samples_and_symmetric(said: dict[str, int]) -> None:
    other = {"a": 100, "b": 50}
    assert stability(said, said) == pytest.approx(0.0)
    assert stability(said, other) == pytest.approx(stability(other, said))
    assert stability(said, other) >= 0.0

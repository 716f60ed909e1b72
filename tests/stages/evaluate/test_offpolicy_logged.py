"""What a turn tells of a version from the frozen part's logged answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from upwell.records import Example
from upwell.stages.evaluate.logged import Serving, chances, worth
from upwell.stages.serve.engine import POOL, answer
from upwell.tables import schema
from upwell.words import LANGUAGES, say

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KINDS, EPSILON = 12, 0.4


def said(model: dict[str, list[str]], inputs: pa.Table, k: int) -> pa.Table:
    """A model is, by input, its answers in order."""
    output = [model[one][:k] for one in inputs["input"].to_pylist()]
    texts = pa.list_(pa.string())
    return pa.table(
        {
            "output": pa.array(output, texts),
            "score": pa.array([[0.9 - 0.2 * n for n in range(len(o))] for o in output]),
            "reason": pa.array([["why\t"] * len(o) for o in output], texts),
        }
    )


def task(about: str = "answer") -> Any:
    return SimpleNamespace(ABOUT=about, answer=said)


def model(right: int) -> Any:
    """Knows the first ``right`` of the kinds; 'a' is right for all, 'b' comes next."""
    return {f"q{n}": ["a", "b", "c"] if n < right else ["b", "a", "c"] for n in range(KINDS)}


def logs(n: int, seed: int, explore: float = EPSILON, users: int = 200) -> pa.Table:
    """Answers of the model that knows six kinds, liked in 90 % where right, else in 20 %."""
    rng = np.random.default_rng(seed)
    asked = pa.table({"input": [f"q{kind}" for kind in rng.integers(KINDS, size=n)]})
    given = answer(task(), model(6), asked, 1, explore, rng)
    shown = [one[0] for one in given["output"].to_pylist()]
    likes = rng.random(n) < np.where(np.array(shown) == "a", 0.9, 0.2)
    columns = {
        "id": [f"app/{n}" for n in range(n)],
        "user": [f"u{one}" for one in rng.integers(users, size=n)],
        "task": ["tiny"] * n,
        "input": asked["input"],
        "target": shown,
        "sign": np.where(likes, 1, -1),
        "weight": np.ones(n),
        "reliability": np.ones(n),
        "propensity": given["propensity"],
        "group": [""] * n,
        "at": [NOW + timedelta(seconds=s) for s in range(n)],
        "sources": [["app/1"]] * n,
        "features": [[]] * n,
    }
    return pa.table(columns, schema=schema(Example))


def told(rows: pa.Table, right: int = 12, explore: float = EPSILON, **more: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = {"per_user": 50, "confidence": 0.95} | more
    serving = Serving(explore, POOL)
    champion = chosen.pop("champion", lambda: model(6))
    found = worth(
        chosen.pop("task", task()), rows, lambda: model(right), champion, serving, **chosen
    )
    json.dumps(found, allow_nan=False)
    return dict(found)


def worth_of(right: int) -> float:
    """The truth: 'a' is shown to its kinds with 1 − ε, to the others with ε."""
    share = right / KINDS * (1 - EPSILON) + (1 - right / KINDS) * EPSILON
    return 0.9 * share + 0.2 * (1 - share)


def test_a_better_version_is_worth_more_before_anybody_saw_it() -> None:
    found = told(logs(4000, 0))
    assert found["refused"] is None
    assert found["estimator"] == "snips"
    for side, truth in (
        ("challenger", worth_of(12)),
        ("champion", worth_of(6)),
        ("gain", worth_of(12) - worth_of(6)),
    ):
        one = found[side]
        assert one["low"] < truth < one["high"]
        assert one["value"] == pytest.approx(truth, abs=0.03)
    assert found["gain"]["low"] > 0.0
    assert set(found["estimates"]) == {"ips", "snips", "clipped", "dr", "sndr"}
    assert found["estimates"]["sndr"]["gain"]["low"] > 0.0
    assert (found["n"], found["users"], found["logged"]) == (4000, 200, 4000)
    assert found["ess"] > 1000


def test_the_interval_of_the_gain_holds_the_truth() -> None:
    truth = worth_of(12) - worth_of(6)
    gains = [told(logs(600, seed))["gain"] for seed in range(40)]
    assert np.mean([one["low"] <= truth <= one["high"] for one in gains]) >= 0.85


def test_the_champion_against_itself_gains_nothing() -> None:
    found = told(logs(1000, 1), right=6)
    assert found["gain"] == {"value": 0.0, "error": 0.0, "low": 0.0, "high": 0.0}
    liked = np.mean(np.asarray(logs(1000, 1)["sign"]) > 0)
    assert found["champion"]["value"] == pytest.approx(liked)


def test_without_a_champion_there_is_a_value_and_no_gain() -> None:
    found = told(logs(1000, 1), champion=None)
    assert found["champion"] is None
    assert found["gain"] is None
    assert found["challenger"]["value"] > 0.5


def test_chances_are_those_of_the_engine() -> None:
    asked = pa.table({"input": ["q0"] * 20_000})
    rng = np.random.default_rng(2)
    given = answer(task(), model(6), asked, 1, 0.3, rng)
    shown = pa.chunked_array([[one[0] for one in given["output"].to_pylist()]])
    mine = chances(said(model(6), asked, POOL), shown, Serving(0.3, POOL))
    assert np.allclose(mine, np.asarray(given["propensity"]))
    frequency = {text: np.mean(np.asarray(shown) == text) for text in "abc"}
    assert frequency["a"] == pytest.approx(0.7, abs=0.02)
    assert frequency["c"] == 0.0


def test_below_abstain_nothing_would_be_shown() -> None:
    answers = said(model(6), pa.table({"input": ["q0", "q1"]}), 2)
    shown = pa.chunked_array([["a", "b"]])
    assert chances(answers, shown, Serving(0.1, 2, abstain=0.95)).tolist() == [0.0, 0.0]
    alone = pa.table({"output": [["a"], []], "score": [[0.9], []]})
    alone = alone.cast(
        pa.schema([("output", pa.list_(pa.string())), ("score", pa.list_(pa.float64()))])
    )
    assert chances(alone, shown, Serving(0.1, 2)).tolist() == [1.0, 0.0]


def without(rows: pa.Table, column: str) -> pa.Table:
    place = rows.column_names.index(column)
    field = schema(Example).field(column)
    return rows.set_column(place, field, pa.nulls(rows.num_rows, field.type))


REFUSED: list[tuple[str, pa.Table, dict[str, Any]]] = [
    ("lists", logs(300, 0), {"task": task("item")}),
    ("rows", without(logs(300, 0), "propensity"), {}),
    ("rows", without(logs(300, 0), "sign"), {}),
    ("rows", logs(300, 0).slice(0, 0), {}),
    ("deterministic", logs(300, 0, explore=0.0), {}),
    ("few", logs(99, 0), {}),
    ("few", logs(300, 0, users=3), {"per_user": 20}),
    ("size", logs(200, 0, explore=0.05), {}),
    ("user", logs(600, 0, users=5), {"per_user": 500}),
    ("support", logs(600, 0), {"champion": lambda: {f"q{n}": ["z", "y"] for n in range(KINDS)}}),
]


@pytest.mark.parametrize(("reason", "rows", "more"), REFUSED)
def test_a_turn_refuses_with_a_reason_and_without_a_number(
    reason: str, rows: pa.Table, more: dict[str, Any]
) -> None:
    found = told(rows, **more)
    assert found["refused"] == f"ope.refused.{reason}"
    assert (found["challenger"], found["champion"], found["gain"]) == (None, None, None)
    assert found["estimates"] == {}
    for lang in LANGUAGES:
        assert say(found["refused"], lang, **found["numbers"])


@pytest.mark.parametrize("wrong", [0.0, -0.5, 1.5, np.nan])
def test_a_propensity_that_is_none_is_refused(wrong: float) -> None:
    rows = logs(300, 0)
    column = np.asarray(rows["propensity"]).copy()
    column[3] = wrong
    place = rows.column_names.index("propensity")
    found = told(rows.set_column(place, schema(Example).field("propensity"), pa.array(column)))
    assert found["refused"] == "ope.refused.propensity"


def test_rows_that_users_are_believed_less_count_less() -> None:
    rows = logs(3000, 3)
    half = pa.array(np.where(np.asarray(rows["sign"]) > 0, 1.0, 0.5))
    place = rows.column_names.index("reliability")
    doubted = rows.set_column(place, schema(Example).field("reliability"), half)
    assert told(doubted)["challenger"]["value"] > told(rows)["challenger"]["value"] + 0.02


def test_what_is_found_can_be_said() -> None:
    found = told(logs(1000, 4))
    for lang in LANGUAGES:
        assert say("ope.told.gain", lang, **(found | found["gain"]))
        assert say("ope.told.value", lang, **(found | found["challenger"]))

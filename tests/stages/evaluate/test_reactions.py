from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from upwell.records import Event, Prediction, Signal
from upwell.stages.evaluate.reactions import LATEST, awaited, heard, reactions
from upwell.tables import schema, to_table

DAY = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = 3_600_000_000


def answers(con: duckdb.DuckDBPyConnection, hours: list[int]) -> duckdb.DuckDBPyRelation:
    made = [
        Prediction(f"p{n}", f"u{n}", "chat", "m", DAY + timedelta(hours=hour), "?", "!", 1.0)
        for n, hour in enumerate(hours)
    ]
    return con.from_arrow(to_table(Prediction, made))


def told(con: duckdb.DuckDBPyConnection, *said: tuple[str, int, int]) -> Any:
    """Thumbs as events and signals: the prediction, the hour, the sign; in order of arrival."""
    kinds = {"seq": pa.field("seq", pa.int64())}
    events = to_table(
        Event,
        [Event(f"e{n}", "app", "u", "thumbs", DAY + timedelta(hours=hour), prediction=about)
         for n, (about, hour, _) in enumerate(said)],
    )  # fmt: skip
    signs = to_table(Signal, [Signal(f"app/e{n}", p, sign) for n, (p, _, sign) in enumerate(said)])
    seq = pa.array(range(len(said)), pa.int64())
    assert schema(Signal).names == signs.column_names
    return con.from_arrow(events.append_column(kinds["seq"], seq)), signs.append_column(
        kinds["seq"], seq
    )


def test_only_feedback_within_the_window_counts_and_the_last_word_stands(
    con: duckdb.DuckDBPyConnection,
) -> None:
    given = answers(con, [0, 0, 0, 5])
    events, signs = told(
        con, ("p0", 1, 1), ("p0", 2, -1), ("p1", 30, 1), ("p3", 4, 1), ("elsewhere", 1, 1)
    )
    found = heard(con, given, events, signs, 24 * HOUR)
    assert found["user"].to_pylist() == ["u0", "u1", "u2", "u3"]
    assert found["sign"].to_pylist() == [-1, None, None, None]


def test_answers_whose_window_has_not_passed_are_not_awaited(
    con: duckdb.DuckDBPyConnection,
) -> None:
    found = awaited(answers(con, [0, 10, 20]), DAY + timedelta(hours=20)).to_arrow_table()
    assert found["id"].to_pylist() == ["p1", "p0"]
    assert LATEST > 1000


def world(seed: int, rate: float, yes: float, n: int = 3000) -> pa.Table:
    """Users who react in 40 % of cases, 70 % of them with a yes; the newest tenth as given."""
    rng, is_new = np.random.default_rng(seed), np.arange(n) >= n * 0.9
    reacts = rng.random(n) < np.where(is_new, rate, 0.4)
    likes = rng.random(n) < np.where(is_new, yes, 0.7)
    signs = [
        (1 if like else -1) if said else None for like, said in zip(likes, reacts, strict=True)
    ]
    at = [DAY + timedelta(minutes=place) for place in range(n)]
    users = [f"u{place}" for place in range(n)]
    return pa.table({"user": users, "at": at, "sign": pa.array(signs, pa.int64())})


@pytest.mark.parametrize(
    ("rate", "yes", "alarms"),
    [
        (0.4, 0.7, set()),
        (0.15, 0.7, {"feedback_rate"}),
        (0.9, 0.7, {"feedback_rate"}),
        (0.4, 0.2, {"positive_share"}),
    ],
)
def test_a_change_in_how_users_react_is_found(rate: float, yes: float, alarms: set[str]) -> None:
    found = reactions(world(2, rate, yes), 0.1, 30, 0.95, np.random.default_rng(0))
    assert {name for name, one in found.items() if one.sure and (one.value or 0) > 0.1} == alarms
    assert found["feedback_rate"].told["after"] == pytest.approx(rate, abs=0.06)
    assert found["positive_share"].told["before"] == pytest.approx(0.7, abs=0.03)


def test_where_nothing_changes_an_alarm_is_as_rare_as_it_says() -> None:
    found = [
        reactions(world(seed, 0.4, 0.7), 0.1, 30, 0.95, np.random.default_rng(seed))
        for seed in range(80)
    ]
    for name in ("feedback_rate", "positive_share"):
        assert sum(one[name].sure for one in found) <= 10
        assert np.mean([one[name].value or 0.0 for one in found]) < 0.01


def test_one_busy_user_does_not_outvote_the_others() -> None:
    calm = world(2, 0.4, 0.7)
    crowd = pa.table(
        {"user": ["bot"] * 5000, "at": [DAY + timedelta(minutes=2999)] * 5000,
         "sign": pa.array([-1] * 5000, pa.int64())}
    )  # fmt: skip
    found = reactions(pa.concat_tables([calm, crowd]), 0.63, 30, 0.95, np.random.default_rng(0))
    assert not any((one.value or 0.0) > 0.1 for one in found.values())


def test_too_few_answers_measure_nothing() -> None:
    found = reactions(world(1, 0.4, 0.7, 200), 0.1, 30, 0.95, np.random.default_rng(0))
    assert found["feedback_rate"].why == "guard.why.few"
    assert found["positive_share"].told == {"rows": 8, "minimum": 30} or (
        found["positive_share"].value is None
    )

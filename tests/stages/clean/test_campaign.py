"""One user who pushes one thing, and what the checks of crowds read of signals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from duckdb import ConstantExpression, DuckDBPyConnection, DuckDBPyRelation

from upwell.records import Event
from upwell.stages.clean import trust
from upwell.stages.clean.acts import ACTS, acts
from upwell.stages.clean.campaign import pushed
from upwell.tables import to_table

BEGIN = datetime(2024, 1, 1, 12, 0, 7, tzinfo=UTC)
Said = tuple[str, int, str, float]
MakeRows = Callable[[Iterable[Said]], DuckDBPyRelation]


def events(con: DuckDBPyConnection, said: Iterable[tuple[str, float]]) -> DuckDBPyRelation:
    """Views of users, at seconds after ``BEGIN``."""
    rows = [
        Event(f"v{n}", "web", user, "view", BEGIN + timedelta(seconds=seconds))
        for n, (user, seconds) in enumerate(said)
    ]
    return con.from_arrow(to_table(Event, rows))


def read(
    con: DuckDBPyConnection, rows: DuckDBPyRelation, views: DuckDBPyRelation
) -> DuckDBPyRelation:
    heard = trust.heard(con, rows, ConstantExpression(False), None)
    return con.from_arrow(acts(con, heard, rows, views).to_arrow_table())


def crowd(seed: int, users: int = 60, each: int = 20) -> list[Said]:
    """Honest users who judge what a model shows: three answers, the first most often."""
    rng = np.random.default_rng(seed)
    return [
        (f"u{user}", 1 if rng.random() < 0.8 else -1, f"{'aab'[n % 3]}{user}-{n}", 60.0 * n)
        for user in range(users) for n in range(each)
    ]  # fmt: skip


@pytest.fixture
def about(con: DuckDBPyConnection, make_rows: MakeRows) -> Callable[[Iterable[Said]], pa.Table]:
    """Doubts of ``pushed`` at 10, where the first letter of an input is the answer."""

    def found(said: Iterable[Said]) -> pa.Table:
        rows = make_rows(said).project("* REPLACE (input[1] AS target)")
        return pushed(con, read(con, rows, events(con, [])), 10).order("seq").to_arrow_table()

    return found


def test_an_act_says_what_of_what_and_since_when_its_user_is_known(
    con: DuckDBPyConnection, make_rows: MakeRows
) -> None:
    rows = make_rows([("ann", -1, "q", 60.0), ("bob", 1, "q", 120.0), ("ann", 1, "r", 180.0)])
    views = events(con, [("ann", 30.0), ("ann", -30.0)])
    found = read(con, rows, views)
    assert tuple(found.columns) == ACTS
    told = found.order("seq").to_arrow_table().to_pylist()
    assert [(row["user"], row["sign"]) for row in told] == [("ann", -1), ("bob", 1), ("ann", 1)]
    assert [(row["t"] - row["born"]) / 1e6 for row in told] == [90.0, 0.0, 210.0]
    assert told[0]["thing"] == told[1]["thing"] != told[2]["thing"]
    assert len({row["target"] for row in told}) == 1


def test_of_a_correction_the_right_answer_is_what_is_said(
    con: DuckDBPyConnection, make_rows: MakeRows
) -> None:
    shown = make_rows([("ann", -1, "q", 60.0)])
    right = shown.project("* REPLACE (id || '#correction' AS id, 1 AS sign, 'b' AS target)")
    both = read(con, shown.union(right), events(con, []))
    other = read(con, shown.project("* REPLACE ('b' AS target)"), events(con, []))
    (one,), (same,) = both.to_arrow_table().to_pylist(), other.to_arrow_table().to_pylist()
    assert (one["sign"], one["target"]) == (1, same["target"])


@pytest.mark.parametrize("count", [100, 10_000])
def test_however_often_one_user_says_it_it_counts_ten_times(
    about: Callable[[Iterable[Said]], pa.Table], count: int
) -> None:
    campaign = [("fan", 1, f"z{n}", 70.0 * n) for n in range(count)]
    found = about([*crowd(0), *campaign])
    assert set(found["user"].to_pylist()) == {"fan"}
    assert sum(found["factor"].to_pylist()) == pytest.approx(10.0)
    detail = json.loads(found["detail"][0].as_py())
    assert (detail["n"], detail["share"], detail["counted"]) == (count, 1.0, 10)
    assert detail["others"] < 0.01


def test_a_push_hidden_among_honest_signals_is_found(
    about: Callable[[Iterable[Said]], pa.Table],
) -> None:
    rest = [("fan", 1 if n % 5 else -1, f"{'aab'[n % 3]}fan-{n}", 90.0 * n) for n in range(60)]
    push = [("fan", 1, f"z{n}", 91.0 * n) for n in range(40)]
    found = about([*crowd(1), *rest, *push])
    assert found.num_rows == 40
    assert set(found["user"].to_pylist()) == {"fan"}


@pytest.mark.parametrize("seed", range(5))
def test_who_says_what_everybody_says_is_left_alone_however_often(
    about: Callable[[Iterable[Said]], pa.Table], seed: int
) -> None:
    busy = [
        (user, sign, f"{text[0]}busy-{n}", at) for n, (_, sign, text, at) in enumerate(crowd(seed))
        for user in ("busy",)
    ]  # fmt: skip
    assert about([*crowd(seed), *busy]).num_rows == 0


def test_few_and_lonely_signals_are_no_campaign(
    about: Callable[[Iterable[Said]], pa.Table],
) -> None:
    assert about([*crowd(0), *[("fan", 1, f"z{n}", 60.0 * n) for n in range(10)]]).num_rows == 0
    assert about([("fan", 1, f"z{n}", 60.0 * n) for n in range(500)]).num_rows == 0
    assert about([]).num_rows == 0

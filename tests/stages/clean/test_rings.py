"""Crowds: planted rings are found, honest crowds are left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pytest
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from upwell.stages.clean import rings
from upwell.stages.clean.consistency import DOUBTS

DAY = 86_400_000_000
Act = tuple[str, int, int, int, float, float]
"""User, sign, thing, target, and the days of the act and of the account's birth."""
MakeActs = Callable[[Iterable[Act]], DuckDBPyRelation]
USERS, DAYS, EACH, ITEMS = 500, 60, 12, 300
ANSWERS = 12
RELEASED, TARGET = ITEMS + 1, 7
SEEDS = pytest.mark.parametrize("seed", [0, 1, 2])


@pytest.fixture
def make_acts(con: DuckDBPyConnection) -> MakeActs:
    """Acts as the checks of crowds read them: number n is event ``web/n``."""

    def make(said: Iterable[Act]) -> DuckDBPyRelation:
        rows = [
            {"seq": number, "event": f"web/{number}", "user": user, "side": False,
             "t": int(day * DAY), "sign": sign, "thing": thing, "target": target,
             "born": int(born * DAY)}
            for number, (user, sign, thing, target, day, born) in enumerate(said)
        ]  # fmt: skip
        whole, small = pa.int64(), pa.int8()
        shape = pa.schema(
            [("seq", whole), ("event", pa.string()), ("user", pa.string()), ("side", pa.bool_()),
             ("t", whole), ("sign", small), ("thing", whole), ("target", whole), ("born", whole)]
        )  # fmt: skip
        return con.from_arrow(pa.Table.from_pylist(rows, schema=shape))

    return make


def shoppers(seed: int, released: float = 0.3) -> list[Act]:
    """Honest users, born over two months, who like what is popular (Zipf).

    From day 40 on they pick a new release first with probability ``released``, old and young.
    """
    rng = np.random.default_rng(seed)
    popular = 1.0 / np.arange(1, ITEMS + 1)
    found: list[Act] = []
    for user in range(USERS):
        born = DAYS * rng.random()
        days = np.sort(np.minimum(born + rng.exponential(8.0, EACH), DAYS))
        days[0] = born
        items = rng.choice(ITEMS, EACH, replace=False, p=popular / popular.sum())
        if days[-1] > 40 and rng.random() < released:
            items[np.flatnonzero(days > 40)[0]] = RELEASED
        signs = np.where(rng.random(EACH) < 0.8, 1, -1)
        for day, item, sign in zip(days, items, signs, strict=True):
            found.append((f"u{user}", int(sign), int(item), int(item), float(day), born))
    return found


def askers(seed: int, favourite: float = 0.0) -> list[Act]:
    """Honest users who judge answers to inputs of their own; a few answers are common.

    With probability ``favourite`` a user's inputs are mostly about one answer.
    """
    rng = np.random.default_rng([seed, 1])
    common = 1.0 / np.arange(1, ANSWERS + 1)
    found: list[Act] = []
    for user in range(USERS):
        born, mine = DAYS * rng.random(), common
        if rng.random() < favourite:
            mine = mine + 3.0 * (np.arange(ANSWERS) == rng.integers(ANSWERS))
        answers = rng.choice(ANSWERS, EACH, p=mine / mine.sum())
        days = np.minimum(born + rng.exponential(8.0, EACH), DAYS)
        days[0] = born
        for day, answer in zip(days, answers, strict=True):
            sign = 1 if rng.random() < 0.8 else -1
            found.append((f"u{user}", sign, int(rng.integers(10**9)), int(answer), day, born))
    return found


def ring(size: int, seed: int, born: tuple[float, float] = (50.0, 51.0)) -> list[Act]:
    """Accounts that like item ``TARGET`` and, to look honest, five that everybody likes."""
    rng = np.random.default_rng([seed, 2])
    found: list[Act] = []
    for user in range(size):
        begins = float(rng.uniform(*born))
        found.append((f"ring{user}", 1, 200 + TARGET, 200 + TARGET, begins, begins))
        for item in rng.choice(60, 5, replace=False):
            day = begins + 3 * rng.random()
            found.append((f"ring{user}", 1, int(item), int(item), day, begins))
    return found


def doubted(doubts: DuckDBPyRelation, code: str) -> set[str]:
    """Users with a doubt of this code; every doubt has the columns of all doubts."""
    found = doubts.select(*DOUBTS).to_arrow_table()
    assert set(found["code"].to_pylist()) <= {code}
    assert set(found["factor"].to_pylist()) <= {0.0}
    return set(found["user"].to_pylist())


@SEEDS
def test_young_accounts_that_gather_on_an_item_are_found_and_nobody_else(
    con: DuckDBPyConnection, make_acts: MakeActs, seed: int
) -> None:
    said = make_acts([*shoppers(seed), *ring(25, seed)])
    found = rings.surging(con, said, "item").to_arrow_table()
    users = set(found["user"].to_pylist())
    liars = {f"ring{n}" for n in range(25)}
    assert len(users & liars) >= 0.9 * len(liars)
    assert len(users - liars) <= 0.2 * len(users)
    acts = dict(said.select("seq", "target").fetchall())
    assert {acts[seq] for seq in found["seq"].to_pylist()} == {200 + TARGET}


@SEEDS
def test_an_honest_crowd_on_what_is_popular_or_new_is_left_alone(
    con: DuckDBPyConnection, make_acts: MakeActs, seed: int
) -> None:
    said = make_acts(shoppers(seed, released=0.6))
    total = USERS * EACH
    for doubts in (rings.surging(con, said, "item"), rings.lockstep(con, said)):
        assert len(doubts.fetchall()) <= 0.001 * total


@SEEDS
def test_honest_users_with_favourite_answers_are_left_alone(
    con: DuckDBPyConnection, make_acts: MakeActs, seed: int
) -> None:
    said = make_acts(askers(seed, favourite=0.5))
    for doubts in (rings.surging(con, said, "answer"), rings.lockstep(con, said)):
        assert len(doubts.fetchall()) <= 0.002 * USERS * EACH


@SEEDS
def test_young_accounts_that_lean_on_an_answer_are_found(
    con: DuckDBPyConnection, make_acts: MakeActs, seed: int
) -> None:
    rng = np.random.default_rng([seed, 3])
    planted: list[Act] = [
        (f"ring{user}", 1, int(rng.integers(10**9)), 11 if n < 5 else int(rng.integers(4)), 50.5
         + n, 50.5)
        for user in range(25) for n in range(7)
    ]  # fmt: skip
    said = make_acts([*askers(seed, favourite=0.3), *planted])
    users = doubted(rings.surging(con, said, "answer"), "clean.surge")
    liars = {f"ring{n}" for n in range(25)}
    assert len(users & liars) >= 0.9 * len(liars)
    assert len(users - liars) <= 0.2 * len(users)


@SEEDS
def test_accounts_of_any_age_with_one_record_are_a_ring(
    con: DuckDBPyConnection, make_acts: MakeActs, seed: int
) -> None:
    rng = np.random.default_rng([seed, 4])
    script = rng.choice(np.arange(100, ITEMS), 10, replace=False)
    planted: list[Act] = [
        (f"bot{user}", 1, int(item), int(item), 5.0 + 5.0 * user, 5.0 * user)
        for user in range(10) for item in rng.permutation(script)[:9]
    ]  # fmt: skip
    said = make_acts([*shoppers(seed), *planted])
    assert doubted(rings.lockstep(con, said), "clean.ring") == {f"bot{n}" for n in range(10)}
    sizes = {detail for *_, detail in rings.lockstep(con, said).select(*DOUBTS).fetchall()}
    assert sizes == {'{"accounts":10}'}


def test_fewer_than_five_are_no_crowd(con: DuckDBPyConnection, make_acts: MakeActs) -> None:
    few = rings.LEAST - 1
    same: list[Act] = [
        (f"bot{user}", 1, item, item, 9.0, 9.0) for user in range(few) for item in range(220, 230)
    ]
    said = make_acts([*shoppers(0), *same, *ring(few, 0, born=(20.0, 20.5))])
    for doubts in (rings.surging(con, said, "item"), rings.lockstep(con, said)):
        assert not doubts.fetchall()


def test_everybody_born_on_one_day_is_compared_with_nobody(
    con: DuckDBPyConnection, make_acts: MakeActs
) -> None:
    said = make_acts([(user, sign, a, b, day, 0.0) for user, sign, a, b, day, _ in shoppers(0)])
    assert not rings.surging(con, said, "item").fetchall()
    none = make_acts([])
    assert not rings.surging(con, none, "answer").fetchall()
    assert not rings.lockstep(con, none).fetchall()

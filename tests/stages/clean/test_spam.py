"""What no hand gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

import pytest
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from upwell.stages.clean.spam import beyond, bursts, excessive, monotone

Said = tuple[str, int, str, float]
Hear = Callable[[Iterable[Said]], DuckDBPyRelation]


def codes(doubts: DuckDBPyRelation) -> dict[int, tuple[str, float, dict[str, float]]]:
    rows = doubts.select("seq", "code", "factor", "detail").fetchall()
    return {seq: (code, factor, json.loads(detail)) for seq, code, factor, detail in rows}


def at(*seconds: float, user: str = "ann", sign: int = 1) -> list[Said]:
    return [(user, sign, f"{user}-{n}", second) for n, second in enumerate(seconds)]


def crowd(users: int, each: int, agree: float = 0.6) -> list[Said]:
    """Users who give so many signals, that share of them +1, one a minute."""
    return [
        (f"u{user}", 1 if (n + 1) * agree // 1 > n * agree // 1 else -1, f"{user}-{n}", 60.0 * n)
        for user in range(users)
        for n in range(each)
    ]


def test_more_in_a_second_than_a_hand_gives(con: DuckDBPyConnection, hear: Hear) -> None:
    found = codes(bursts(con, hear(at(*[0.1 * n for n in range(8)])), 5, 60))
    assert set(found) == {5, 6, 7}
    assert found[5][:2] == ("clean.same_second", 0.0)
    assert found[5][2] == {"n": 6, "seconds": 0.5, "limit": 5}


def test_more_in_a_minute_than_a_hand_gives(con: DuckDBPyConnection, hear: Hear) -> None:
    found = codes(bursts(con, hear(at(*[1.5 * n for n in range(45)])), 5, 30))
    assert set(found) == set(range(30, 45))
    assert {entry[0] for entry in found.values()} == {"clean.burst"}
    slow = at(*[2.5 * n for n in range(45)])
    assert not codes(bursts(con, hear(slow), 5, 30))


def test_two_users_are_no_burst(con: DuckDBPyConnection, hear: Hear) -> None:
    said = [*at(0, 0.1, 0.2), *at(0, 0.1, 0.2, user="bob")]
    assert not codes(bursts(con, hear(said), 3, 60))


def test_a_date_without_a_time_says_nothing_about_speed(
    con: DuckDBPyConnection, hear: Hear
) -> None:
    midnight = 12 * 3600.0 - 7.0
    assert not codes(bursts(con, hear(at(*[midnight] * 40)), 5, 30))


@pytest.mark.parametrize("sign", [1, -1])
def test_one_sign_for_ever_weighs_as_much_as_the_limit(
    con: DuckDBPyConnection, hear: Hear, sign: int
) -> None:
    robot = [("robot", sign, f"r{n}", 60.0 * n) for n in range(300)]
    found = codes(monotone(con, hear([*crowd(20, 15), *robot]), 100))
    assert set(found) == set(range(300, 600))
    code, factor, detail = found[300]
    assert code == "clean.identical"
    assert factor == pytest.approx(1 / 3)
    assert (detail["n"], detail["share"], detail["counted"]) == (300, 1.0, 100)
    assert detail["others"] == pytest.approx(0.6 if sign > 0 else 0.4, abs=0.01)


def test_when_everybody_says_no_nobody_is_odd(con: DuckDBPyConnection, hear: Hear) -> None:
    said = [(f"u{n % 4}", -1, f"q{n}", 60.0 * n) for n in range(800)]
    assert not codes(monotone(con, hear(said), 100))


def test_a_lonely_user_is_compared_with_nobody(con: DuckDBPyConnection, hear: Hear) -> None:
    said = hear([("ann", -1, f"q{n}", 60.0 * n) for n in range(300)])
    assert not codes(monotone(con, said, 100))
    assert not codes(excessive(con, said, 100))


def test_far_more_than_others_weighs_as_much_as_is_plausible(
    con: DuckDBPyConnection, hear: Hear
) -> None:
    eager = [("eager", 1 if n % 3 else -1, f"e{n}", 60.0 * n) for n in range(900)]
    found = codes(excessive(con, hear([*crowd(30, 5), *eager]), 100))
    assert set(found) == set(range(150, 1050))
    code, factor, detail = found[150]
    assert (code, detail) == ("clean.rate", {"n": 900.0, "limit": 160.0})
    assert factor == pytest.approx(160 / 900)


def test_the_cap_is_spread_evenly_over_time(con: DuckDBPyConnection, hear: Hear) -> None:
    said = hear([*at(*[60.0 * n for n in range(20)]), *at(*[7.0 * n for n in range(5)], user="b")])
    found = codes(beyond(con, said, 5))
    kept = sorted(set(range(20)) - set(found))
    assert kept == [3, 7, 11, 15, 19]
    assert found[0] == ("clean.cap", 0.0, {"n": 20.0, "limit": 5.0})
    assert not codes(beyond(con, said, 20))


def test_one_user_who_says_no_ten_thousand_times_makes_nobody_else_odd(
    con: DuckDBPyConnection, hear: Hear
) -> None:
    kind = [(f"kind{user}", 1, f"k{user}-{n}", 60.0 * n) for user in range(3) for n in range(110)]
    robot = [("robot", -1, f"r{n}", 60.0 * n) for n in range(10_000)]
    found = monotone(con, hear([*crowd(100, 15, agree=0.95), *kind, *robot]), 100)
    assert {user for (user,) in found.select("user").distinct().fetchall()} == {"robot"}

from __future__ import annotations

import pyarrow as pa
import pytest

from upwell.stages.evaluate.paired import users_needed
from upwell.stages.evaluate.sealed import deciding, part_of, parts_of
from upwell.stages.evaluate.spending import level, share


def test_all_looks_together_spend_alpha_and_no_more() -> None:
    looks = 100_000
    spent = sum(share(look) for look in range(1, looks))
    # Σ t^−1.5 from T on is 2/√(T − ½), but for what is far smaller than what is compared here.
    rest = share(looks) * looks**1.5 * 2.0 / (looks - 0.5) ** 0.5
    assert spent < 1.0
    assert spent + rest == pytest.approx(1.0, abs=1e-9)


def test_what_looks_cost_in_users_is_as_the_text_says() -> None:
    alone = users_needed(1.0, 0.01, 0.05)
    cost = {look: users_needed(1.0, 0.01, level(0.05, look)) / alone for look in (1, 10, 50)}
    assert cost[1] <= 1.2
    assert cost[10] == pytest.approx(2.85, abs=0.05)
    assert cost[50] == pytest.approx(3.75, abs=0.1)


def test_real_promotions_earn_later_looks_more() -> None:
    assert level(0.05, 10, 2) == pytest.approx(3 * level(0.05, 10))
    assert level(0.05, 1, 5) == level(0.05, 1)
    assert all(level(0.05, look, look - 1) < 0.05 for look in range(1, 500))


def test_a_test_is_divided_only_where_each_part_stays_large_enough() -> None:
    users = pa.chunked_array([[f"u{n}" for n in range(50)] * 2])
    assert [parts_of(users, 2, minimum) for minimum in (10, 25, 26)] == [2, 2, 1]
    assert parts_of(users, 1, 1) == 1


def test_a_user_is_in_one_part_for_ever() -> None:
    users = pa.chunked_array([[f"u{n % 600}" for n in range(1200)]])
    parts = part_of(users, 2)
    assert (parts[:600] == parts[600:]).all()
    assert 0.4 < parts.mean() < 0.6
    assert (part_of(users.slice(300, 10), 2) == parts[300:310]).all()


def test_sealed_parts_open_in_order_and_never_close_again() -> None:
    looks, opened = [0, 0, 0], []
    for _ in range(9):
        place = deciding(looks, 2)
        looks[place] += 1
        opened.append(place)
    assert opened == [0, 0, 1, 1, 2, 2, 2, 2, 2]

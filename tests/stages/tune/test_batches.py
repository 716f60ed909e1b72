from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from upwell.stages.tune import batches
from upwell.stages.tune.batches import Batches, plan

if TYPE_CHECKING:
    from tests.stages.tune.conftest import Toy, World


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=120), st.integers(1, 40))
def test_by_user_every_user_that_teaches_is_whole_and_in_one_batch(
    each: list[tuple[int, bool]], size: int
) -> None:
    user = np.array([u for u, _ in each], dtype=int)
    learned = np.array([ok for _, ok in each], dtype=bool)
    rows = pa.table({"user": pa.array([f"u{u}" for u in user], pa.string())})
    found = plan(rows, learned, size, 3, by_user=True)
    wanted = np.nonzero(np.isin(user, user[learned]))[0]
    assert sorted(np.concatenate([*found, np.array([], int)]).tolist()) == wanted.tolist()
    owner = {u: number for number, order in enumerate(found) for u in user[order]}
    for number, order in enumerate(found):
        assert all(owner[u] == number for u in user[order])
        for u in set(user[order]):
            mine = order[user[order] == u]
            assert (np.diff(mine) > 0).all()
            assert (np.diff(np.nonzero(user[order] == u)[0]) == 1).all()


@given(st.lists(st.booleans(), max_size=120), st.integers(1, 40))
def test_by_row_every_row_that_teaches_is_in_one_batch(learned: list[bool], size: int) -> None:
    rows = pa.table({"user": ["u"] * len(learned)})
    found = plan(rows, np.array(learned, dtype=bool), size, 3, by_user=False)
    wanted = [place for place, ok in enumerate(learned) if ok]
    assert sorted(np.concatenate([*found, np.array([], int)]).tolist()) == wanted
    assert all(len(order) <= size for order in found)


def test_users_of_similar_length_share_a_batch() -> None:
    lengths = np.random.default_rng(0).integers(1, 60, 500)
    users = np.repeat(np.arange(500), lengths)
    rows = pa.table({"user": [f"u{u}" for u in users]})
    found = plan(rows, np.ones(len(users), bool), 1024, 0, by_user=True)
    sizes = [[int((users[o] == u).sum()) for u in np.unique(users[o])] for o in found]
    padded = sum(len(size) * max(size) for size in sizes)
    assert padded < 1.15 * len(users)
    assert max(len(order) for order in found) <= 1024 + 60


@pytest.mark.parametrize(("by", "rows_seen"), [("row", 30), ("user", 40)])
def test_context_is_no_loss_and_only_whole_users_carry_it(
    toys: type[Toy], worlds: type[World], by: Literal["row", "user"], rows_seen: int
) -> None:
    toy = toys(by)
    rows = worlds(0).rows(10, 20, context=10)
    made = Batches(toy, nn.Linear(1, 1), rows, 16, 0)
    parts = [made[number] for number in range(len(made))]
    assert sum(len(part.labels) for part in parts) == 10
    assert sum(len(part.feedback) for part in parts) == 20
    assert sum(len(seen) for seen in toy.seen) == rows_seen
    assert made.totals.tolist() == [10.0, 20.0]


def test_a_batch_is_collated_once_while_it_fits(
    toy: Toy, worlds: type[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Batches(toy, nn.Linear(1, 1), worlds(0).rows(10, 20), 10, 0)
    for number in (0, 1, 2, 0, 1, 2):
        assert made[number].inputs["target"].shape == (10,)
    assert len(toy.seen) == 3
    monkeypatch.setattr(batches, "KEPT_BYTES", 0)
    again = Batches(toy, nn.Linear(1, 1), worlds(0).rows(10, 20), 10, 0)
    assert again[0] is not again[0]


def test_the_most_mixed_batch_has_both_kinds(toy: Toy, worlds: type[World]) -> None:
    made = Batches(toy, nn.Linear(1, 1), worlds(0).rows(3, 40), 8, 0)
    part = made[made.most_mixed()]
    assert len(part.labels) > 0
    assert len(part.feedback) > 0

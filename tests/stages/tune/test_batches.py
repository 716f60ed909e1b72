from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from upwell.settings import TuneSettings
from upwell.stages.tune import batches
from upwell.stages.tune.batches import Batches
from upwell.stages.tune.objective import HEEDING, OBJECTIVES
from upwell.stages.tune.plans import by_row, by_user, pairs, partners, same_input
from upwell.stages.tune.shown import example

if TYPE_CHECKING:
    from tests.stages.tune.conftest import Toy, World


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=120), st.integers(1, 40))
def test_by_user_every_user_that_teaches_is_whole_and_in_one_batch(
    each: list[tuple[int, bool]], size: int
) -> None:
    user = np.array([u for u, _ in each], dtype=int)
    learned = np.array([ok for _, ok in each], dtype=bool)
    rows = pa.table({"user": pa.array([f"u{u}" for u in user], pa.string())})
    found = by_user(rows, learned, size, 3)
    wanted = np.nonzero(np.isin(user, user[learned]))[0]
    assert sorted(np.concatenate([*found, np.array([], int)]).tolist()) == wanted.tolist()
    owner = {u: number for number, order in enumerate(found) for u in user[order]}
    for number, order in enumerate(found):
        assert all(owner[u] == number for u in user[order])
        for u in set(user[order]):
            mine = order[user[order] == u]
            assert (np.diff(mine) > 0).all()
            assert (np.diff(np.nonzero(user[order] == u)[0]) == 1).all()


def asked(texts: list[str], ids: list[str] | None = None) -> pa.Table:
    ids = ids or [f"e{number}" for number in range(len(texts))]
    return pa.table({"id": pa.array(ids, pa.string()), "input": pa.array(texts, pa.string())})


@given(st.lists(st.tuples(st.booleans(), st.text(max_size=9)), max_size=120), st.integers(1, 40))
def test_by_row_every_row_that_teaches_is_in_one_batch(
    each: list[tuple[bool, str]], size: int
) -> None:
    rows = asked([text for _, text in each])
    learned = np.array([ok for ok, _ in each], dtype=bool)
    found = by_row(rows, learned, pairs(partners(rows)), size, 3)
    assert (
        sorted(np.concatenate([*found, np.array([], int)]).tolist())
        == np.nonzero(learned)[0].tolist()
    )
    assert all(len(order) == size for order in found[:-1])
    assert all(len(order) <= size for order in found)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=80), st.integers(1, 20))
def test_by_row_a_correction_stays_with_what_it_corrects(
    each: list[tuple[bool, bool]], size: int
) -> None:
    ids = [
        name for n, (fix, _) in enumerate(each) for name in (f"e{n}", f"e{n}#correction")[: 1 + fix]
    ]
    learned = np.array([ok for fix, ok in each for _ in range(1 + fix)], dtype=bool)
    order = np.random.default_rng(len(ids)).permutation(len(ids))
    rows, learned = asked([""] * len(ids), [ids[n] for n in order]), learned[order]
    other = partners(rows)
    names = rows["id"].to_pylist()
    for place, name in enumerate(names):
        twin = name.removesuffix("#correction") if "#" in name else f"{name}#correction"
        assert other[place] == (names.index(twin) if twin in names else -1)
    found = by_row(rows, learned, pairs(other), size, 3)
    assert sorted(np.concatenate([*found, np.array([], int)])) == np.nonzero(learned)[0].tolist()
    assert all(len(batch) <= size + 1 for batch in found)
    for batch in found:
        assert {p for p in other[batch] if p >= 0 and learned[p]} <= set(batch)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), max_size=80), st.integers(1, 20))
def test_by_row_rows_of_one_input_share_a_batch_up_to_its_size(
    each: list[tuple[bool, int]], size: int
) -> None:
    rows = asked([f"{text}" for _, text in each])
    learned = np.array([ok for ok, _ in each], dtype=bool)
    text = np.array([text for _, text in each], dtype=int)
    found = by_row(rows, learned, same_input(rows, learned, size), size, 3)
    assert sorted(np.concatenate([*found, np.array([], int)])) == np.nonzero(learned)[0].tolist()
    assert all(len(batch) < 2 * size for batch in found)
    for one in set(text[learned]):
        there = [int((text[batch] == one).sum()) for batch in found]
        assert sum(count > 0 for count in there) <= -(-sum(there) // size)


def test_inputs_of_similar_length_share_a_batch_in_random_company() -> None:
    length = np.random.default_rng(0).integers(1, 400, 5000)
    rows = asked(["x" * n for n in length])
    found = by_row(rows, np.ones(5000, bool), pairs(partners(rows)), 16, 0)
    padded = sum(len(batch) * length[batch].max() for batch in found)
    assert padded < 1.05 * length.sum()
    # Not one ranking of all: each group of batches has short and long ones.
    assert {len(set(length[np.concatenate(found[n : n + 64])])) > 300 for n in (0, 64, 128)} == {
        True
    }


def test_users_of_similar_length_share_a_batch() -> None:
    lengths = np.random.default_rng(0).integers(1, 60, 500)
    users = np.repeat(np.arange(500), lengths)
    rows = pa.table({"user": [f"u{u}" for u in users]})
    found = by_user(rows, np.ones(len(users), bool), 1024, 0)
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


def test_dislikes_are_not_read_where_likes_alone_teach(toy: Toy, worlds: type[World]) -> None:
    rows = worlds(0).rows(10, 20)
    liked = rows["sign"].fill_null(1).to_numpy() > 0
    made = Batches(toy, nn.Linear(1, 1), rows, 8, 0, "positives")
    assert sorted(np.concatenate(made.plan).tolist()) == np.flatnonzero(liked).tolist()
    assert made.totals.tolist() == [10.0, float((liked[rows["sign"].is_valid().to_numpy()]).sum())]
    disliked = rows.filter(pa.array(~liked))
    alone = Batches(toy, nn.Linear(1, 1), disliked, 8, 0, "positives")
    assert sum(map(len, alone.plan)) == disliked.num_rows > 0


def test_dislikes_without_a_partner_are_not_read_where_pairs_teach(
    toy: Toy, worlds: type[World]
) -> None:
    rows = worlds(0).rows(2, 6)
    for name, said in (
        ("id", ["a", "b", "c", "d", "e", "f", "c#correction", "g#correction"]),
        ("sign", [None, None, -1, -1, 1, -1, 1, 1]),
        ("weight", [1.0, 1.0, 1.0, 0.5, 1.0, 0.25, 1.0, 1.0]),
    ):
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(place), pa.array(said))
    for objective, read in (("dpo", [0, 1, 2, 4, 6, 7]), ("likelihood", [*range(8)])):
        made = Batches(toy, nn.Linear(1, 1), rows, 4, 0, objective)
        assert np.flatnonzero(made.learned).tolist() == read
    assert made.totals.tolist() == [2.0, 4.75]
    alone = rows.slice(3, 1)
    assert len(Batches(toy, nn.Linear(1, 1), alone, 4, 0, "dpo")) == 1


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_who_is_not_reliable_teaches_less(toy: Toy, worlds: type[World], objective: str) -> None:
    """Either the loss believes the sign less, or the row weighs less; never neither, nor both."""
    rows = worlds(0).rows(4, 20)
    place = rows.schema.get_field_index("reliability")
    doubted = rows.set_column(place, rows.schema.field(place), pa.array([0.25] * 24))
    whole, less = (
        Batches(toy, nn.Linear(1, 1), told, 8, 0, objective).totals.tolist()
        for told in (rows, doubted)
    )
    heeds = objective in HEEDING
    assert less == pytest.approx([whole[0], whole[1] * (1.0 if heeds else 0.25)])
    settings = TuneSettings.model_validate({"objective": objective, "beta": 1.0})
    seen = example([0.4], [-1], reference=[0.2])
    losses = [
        OBJECTIVES[objective](replace(seen, reliability=torch.tensor([r])), settings)
        for r in (1.0, 0.25)
    ]
    assert torch.equal(*losses) != heeds


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


def test_the_most_mixed_batches_have_both_kinds(toy: Toy, worlds: type[World]) -> None:
    made = Batches(toy, nn.Linear(1, 1), worlds(0).rows(3, 40), 8, 0)
    (number,) = made.most_mixed(8)
    assert len(made[number].labels) > 0
    assert len(made[number].feedback) > 0
    assert len(made.most_mixed(24)) in {3, 4}
    assert sorted(made.most_mixed(1000)) == list(range(len(made)))


def test_batches_from_all_of_the_plan_begin_with_the_first(toy: Toy, worlds: type[World]) -> None:
    made = Batches(toy, nn.Linear(1, 1), worlds(0).rows(0, 80), 8, 0)
    assert made.spread(1) == [0]
    assert made.spread(16) == [0, 5]
    assert made.spread(1000) == list(range(10))


def test_partners_are_found_within_the_batch(toy: Toy, worlds: type[World]) -> None:
    rows = worlds(0).rows(2, 4)
    names = pa.array(["a", "b", "c", "d", "c#correction", "gone#correction"])
    made = Batches(toy, nn.Linear(1, 1), rows.set_column(0, "id", names), 9, 0)
    part = made[0]
    assert part.partner is not None
    places = made.plan[0][part.feedback.numpy()]
    twin = {int(row): int(p) for row, p in zip(places, part.partner, strict=True)}
    assert places[twin[2]] == 4
    assert places[twin[4]] == 2
    assert twin[3] == twin[5] == -1


def test_a_reference_reaches_batches_made_before_and_after(toy: Toy, worlds: type[World]) -> None:
    made = Batches(toy, nn.Linear(1, 1), worlds(0).rows(5, 20), 10, 0)
    early = made[0]
    assert early.reference is None
    made.refer(-torch.arange(25.0))
    for number, order in enumerate(made.plan):
        part = made[number]
        assert part.reference is not None
        assert part.reference.tolist() == (-order[part.feedback.numpy()].astype(float)).tolist()

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import compute as pc

from upwell.errors import StageError
from upwell.stages.clean.answers import Floats, Ints, coded
from upwell.stages.clean.raters import PRIOR, Raters, dawid_skene, fit, latest

NAMED = os.environ.get("UPWELL_DATA")
DATA = Path(NAMED) if NAMED else Path(__file__).resolve().parents[4] / "shared" / "data"


def answered(
    seed: int, matrices: Floats, items: int, each: int, share: tuple[float, ...]
) -> tuple[Ints, Ints, Ints, Ints]:
    """Truth, items, raters, labels: ``each`` answers an item by raters with these matrices."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(len(share), items, p=share)
    item = np.repeat(np.arange(items), each)
    rater = rng.integers(0, len(matrices), len(item))
    chances = matrices[rater, truth[item]].cumsum(1)
    label = (rng.random(len(item))[:, None] > chances).sum(1)
    return truth, item, rater, label


def coins(accuracy: Floats, classes: int) -> Floats:
    """Matrices of raters who are right this often and else say any other class."""
    wrong = (1 - accuracy)[:, None, None] / (classes - 1)
    return np.where(np.eye(classes) > 0, accuracy[:, None, None], wrong)


def right(found: Raters, truth: Ints) -> float:
    return float((found.posterior.argmax(1) == truth).mean())


def test_matrices_of_raters_are_recovered() -> None:
    rng = np.random.default_rng(0)
    matrices = np.stack([rng.dirichlet(6 * np.eye(3)[k] + 0.6, 30) for k in range(3)], axis=1)
    truth, item, rater, label = answered(1, matrices, 1500, 5, (0.5, 0.3, 0.2))
    found = dawid_skene(item, rater, label)
    assert found.model == "confusion"
    assert np.abs(np.stack([found.matrix(u) for u in range(30)]) - matrices).mean() < 0.04
    assert np.abs(found.share - [0.5, 0.3, 0.2]).max() < 0.04
    votes = np.stack([np.bincount(item, label == k) for k in range(3)], axis=1).argmax(1)
    assert right(found, truth) > (votes == truth).mean() + 0.01
    low, high = found.interval
    accuracy = (matrices.diagonal(axis1=1, axis2=2) * found.share).sum(1)
    assert ((accuracy >= low) & (accuracy <= high)).mean() > 0.8


def test_thin_raters_and_many_classes_are_taken_as_coins() -> None:
    rng = np.random.default_rng(2)
    matrices = coins(rng.beta(6, 2, 400), 8)
    truth, item, rater, label = answered(3, matrices, 600, 5, (0.125,) * 8)
    found = dawid_skene(item, rater, label)
    assert found.model == "one-coin"
    assert found.held_out["one-coin", 1] > found.held_out["confusion", 1]
    votes = np.stack([np.bincount(item, label == k) for k in range(8)], axis=1).argmax(1)
    assert right(found, truth) > (votes == truth).mean()
    assert np.allclose(found.matrix(0).sum(1), 1)


def test_careless_raters_among_careful_ones_are_a_kind_of_their_own() -> None:
    accuracy = np.where(np.arange(200) % 4 == 0, 0.5, 0.95)
    truth, item, rater, label = answered(4, coins(accuracy, 2), 2000, 3, (0.5, 0.5))
    found = dawid_skene(item, rater, label)
    assert found.kinds == 2
    assert np.abs(found.accuracy - accuracy).mean() < 0.05
    assert right(found, truth) > 0.93


def test_two_biased_halves_need_matrices() -> None:
    yes, no = [[0.5, 0.5], [0.02, 0.98]], [[0.98, 0.02], [0.5, 0.5]]
    matrices = np.array([yes, no] * 20)
    truth, item, rater, label = answered(5, matrices, 500, 6, (0.5, 0.5))
    found = dawid_skene(item, rater, label)
    votes = np.bincount(item, label) > 3
    assert found.model == "confusion"
    assert right(found, truth) > (votes == truth).mean() + 0.03


def test_an_adversary_is_read_backwards() -> None:
    accuracy = np.array([0.9] * 8 + [0.1])
    truth, item, rater, label = answered(6, coins(accuracy, 2), 400, 5, (0.5, 0.5))
    found = dawid_skene(item, rater, label)
    assert found.accuracy[8] < 0.2
    assert right(found, truth) > 0.98


def test_a_belief_helps_where_answers_are_few() -> None:
    rng = np.random.default_rng(7)
    accuracy = np.where(np.arange(60) % 3 == 0, 0.5, 0.95)
    truth, item, rater, label = answered(8, coins(accuracy, 3), 1500, 2, (0.4, 0.3, 0.3))
    belief = np.full((1500, 3), 0.1)
    belief[np.arange(1500), np.where(rng.random(1500) < 0.8, truth, (truth + 1) % 3)] = 0.8
    found = dawid_skene(item, rater, label, belief=belief)
    blind = dawid_skene(item, rater, label)
    assert np.abs(found.accuracy - accuracy).mean() < 0.1
    assert right(found, truth) > max(right(blind, truth), (belief.argmax(1) == truth).mean())


def test_one_answer_an_item_says_nothing_about_raters() -> None:
    found = dawid_skene([0, 1, 2], [0, 0, 1], [0, 2, 1])
    assert found.model == PRIOR
    assert found.posterior.argmax(1).tolist() == [0, 2, 1]
    assert np.allclose(found.posterior.max(1), 0.8)
    assert np.allclose(found.accuracy, 0.8)
    assert (found.interval[1] - found.interval[0] > 0.4).all()
    assert np.allclose(found.matrix(1).diagonal(), 0.8)


def test_all_from_one_rater_about_one_item() -> None:
    found = dawid_skene([0] * 6, [0] * 6, [1, 1, 1, 1, 0, 1])
    assert found.posterior.argmax() == 1
    assert np.isfinite(found.posterior).all()


def test_a_rater_with_one_answer_looks_like_the_others() -> None:
    accuracy = np.full(21, 0.9)
    _, item, rater, label = answered(9, coins(accuracy, 2), 300, 5, (0.5, 0.5))
    found = dawid_skene([*item, 0], [*rater, 21], [*label, 1])
    assert abs(found.accuracy[21] - 0.88) < 0.12
    assert (
        found.interval[1][21] - found.interval[0][21] > found.interval[1][0] - found.interval[0][0]
    )


def test_one_class_only() -> None:
    found = dawid_skene([0, 0, 1], [0, 1, 0], [0, 0, 0])
    assert found.model == PRIOR
    assert found.posterior.tolist() == [[1.0], [1.0]]
    both = dawid_skene([0, 0, 1], [0, 1, 0], [0, 0, 0], classes=2)
    assert (both.posterior.argmax(1) == 0).all()


def test_nothing_gives_nothing() -> None:
    found = dawid_skene([], [], [])
    assert found.posterior.shape == (0, 0)
    assert found.accuracy.shape == (0,)
    empty = dawid_skene([], [], [], items=2, raters=1, classes=3)
    assert np.allclose(empty.posterior, 1 / 3)


def test_items_and_raters_that_nobody_mentioned_have_their_place() -> None:
    found = dawid_skene([0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 1], items=4, raters=3, classes=2)
    assert np.allclose(found.posterior[2:], found.posterior[2])
    assert found.accuracy.shape == (3,)


def test_of_contradictory_answers_the_last_stands() -> None:
    item, rater = np.array([0, 0, 0, 1, 0]), np.array([5, 5, 6, 5, 5])
    at = np.array(["2024-01-02", "2024-01-01", "2024-01-01", "2024-01-01", "2024-01-02"], "M8[us]")
    assert latest(item, rater, at).tolist() == [2, 3, 4]
    assert latest(item[:0], rater[:0], at[:0]).tolist() == []


@pytest.mark.parametrize(
    ("code", "item", "rater", "label", "belief"),
    [
        ("raters.lengths", [0, 1], [0], [1, 1], None),
        ("raters.codes", [0, -1], [0, 0], [1, 1], None),
        ("raters.codes", [0, 1], [0, 0], [0.5, 1], None),
        ("raters.codes", [[0, 1]], [[0, 0]], [[1, 1]], None),
        ("raters.belief", [0, 0], [0, 1], [1, 1], [[0.5, 0.5], [0.5, 0.5]]),
        ("raters.belief", [0, 0], [0, 1], [1, 1], [[0.0, 0.0]]),
        ("raters.belief", [0, 0], [0, 1], [1, 1], [[-0.5, 1.5]]),
        ("raters.belief", [0, 0], [0, 1], [1, 1], [[np.nan, 1.0]]),
    ],
)
def test_bad_input_is_refused(
    code: str, item: list[int], rater: list[int], label: list[int], belief: list[list[float]] | None
) -> None:
    with pytest.raises(StageError, match=code):
        dawid_skene(item, rater, label, belief=belief)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=25
    )
)
@settings(max_examples=8)
def test_whatever_is_answered_beliefs_add_up(rows: list[tuple[int, int, int]]) -> None:
    found = dawid_skene(*zip(*rows, strict=True))
    assert np.allclose(found.posterior.sum(1), 1)
    assert ((found.accuracy >= 0) & (found.accuracy <= 1)).all()
    assert (found.interval[0] <= found.interval[1]).all()
    assert found.log_likelihood <= 1e-9


def test_the_order_of_rows_makes_no_difference_to_the_fit() -> None:
    _, item, rater, label = answered(10, coins(np.full(20, 0.8), 3), 100, 5, (0.4, 0.3, 0.3))
    turned = np.arange(len(item))[::-1]
    one = dawid_skene(item, rater, label)
    other = dawid_skene(item[turned], rater[turned], label[turned])
    if (one.model, one.kinds) == (other.model, other.kinds):
        assert np.allclose(one.posterior, other.posterior, atol=1e-4)


def test_memory_grows_with_the_answers_not_with_raters_times_classes() -> None:
    rng = np.random.default_rng(11)
    item, rater = np.repeat(np.arange(500), 2), rng.permutation(1000)
    label = rng.integers(0, 60, 1000)
    answers = coded(item, rater, label, classes=60)
    tracemalloc.start()
    fit(answers, "confusion", 2, None, steps=3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1000 * 60 * 60 * 8 / 2


@pytest.mark.parametrize(
    ("name", "floor"), [("bluebird", 0.88), ("rte", 0.925), ("face4_sentiment", 0.645)]
)
def test_real_raters(name: str, floor: float) -> None:
    folder = DATA / "crowd-labels"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not on this machine; set UPWELL_DATA to the folder of real data")
    whole, known = (pq.read_table(folder / f"{part}.parquet") for part in ("answers", "truth"))
    answers = whole.filter(pc.equal(whole["set"], name))
    truth = known.filter(pc.equal(known["set"], name))
    places = np.unique(truth["item"].to_numpy())
    order = np.argsort(truth["item"].to_numpy())
    item = np.searchsorted(places, answers["item"].to_numpy())
    rater = np.unique(answers["worker"].to_numpy(), return_inverse=True)[1]
    first = pc.min(answers["label"]).as_py()
    found = dawid_skene(item, rater, answers["label"].to_numpy() - first)
    assert right(found, truth["label"].to_numpy()[order] - first) > floor

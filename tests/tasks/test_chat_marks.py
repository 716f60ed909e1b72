from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from upwell.errors import StageError
from upwell.settings import TuneSettings
from upwell.stages.evaluate.marks import judge, judged_rows
from upwell.stages.evaluate.paired import user_means
from upwell.stages.tune.trainer import train
from upwell.tasks import chat
from upwell.tasks._chat_marks import FEWEST, marks

DATA = chat.toy(0)


def told(signs: Sequence[int | None], users: list[str] | None = None) -> pa.Table:
    names = users or [f"u{n}" for n in range(len(signs))]
    asked = pa.array([f"question {n}" for n in range(len(signs))])
    return pa.table({"user": names, "sign": pa.array(signs, pa.int64()), "input": asked})


def over_users(rows: pa.Table, said: np.ndarray) -> dict[str, float]:
    found = marks(rows, said)
    return {
        name: float(user_means(rows["user"], np.asarray(found[name])[:, None]).mean())
        for name in found.column_names
    }


def test_both_sides_count_half_however_many_rows_they_have() -> None:
    rng = np.random.default_rng(0)
    signs: list[int | None] = [1] * 7 + [None] * 5 + [-1] * 60
    users = [f"u{n}" for n in rng.integers(40, size=len(signs))]
    rows, said = told(signs, users), rng.random(len(signs))
    found = over_users(rows, said)
    assert found["preference"] == pytest.approx((found["liked"] + found["avoided"]) / 2)
    moved = over_users(rows, said - 0.1)
    assert moved["preference"] == pytest.approx(found["preference"])
    assert moved["liked"] == pytest.approx(found["liked"] - 0.1)
    assert moved["avoided"] == pytest.approx(found["avoided"] + 0.1)


def test_labels_tell_their_perplexity_over_those_who_gave_them() -> None:
    rows = told([None, None, 1, -1, None], ["a", "a", "b", "c", "d"])
    found = over_users(rows, np.array([0.5, 0.25, 0.9, 0.9, 0.1]))
    whose = [(np.log(0.5) + np.log(0.25)) / 2, np.log(0.1)]
    assert found["labelled"] == pytest.approx(np.mean(whose))
    assert np.isfinite(over_users(rows, np.zeros(5))["labelled"])
    assert "labelled" not in over_users(told([1, -1]), np.array([0.5, 0.5]))


def test_a_model_that_prefers_what_users_like_gains() -> None:
    rows = told([1, -1] * FEWEST)
    said = np.full(2 * FEWEST, 0.4)
    better = np.where(np.arange(2 * FEWEST) % 2, 0.3, 0.5)
    assert over_users(rows, better)["preference"] > over_users(rows, said)["preference"]


def test_a_mark_does_not_depend_on_what_others_earn() -> None:
    rows, said = told([1, -1] * FEWEST), np.linspace(0.1, 0.9, 2 * FEWEST)
    other = said.copy()
    other[1:] = 0.5
    assert marks(rows, said)["preference"][0] == marks(rows, other)["preference"][0]


def pairs(users: int) -> pa.Table:
    """Of each user a reply that they liked and one that they disliked, to the same question."""
    signs: list[int | None] = [1, -1] * users
    rows = told(signs, [f"u{n // 2}" for n in range(2 * users)])
    return rows.set_column(2, "input", pa.array([f"question {n // 2}" for n in range(2 * users)]))


def test_of_two_replies_counts_which_is_rather_said() -> None:
    rows, said = pairs(FEWEST), np.tile([0.3, 0.1], FEWEST)
    assert over_users(rows, said)["preference"] == pytest.approx(0.75)
    # What becomes of all texts alike is no matter.
    assert over_users(rows, said / 10)["preference"] == pytest.approx(0.75)


def test_a_shift_of_pairs_is_seen_where_it_drowns_in_single_replies() -> None:
    rng = np.random.default_rng(0)
    size = 300
    base = rng.uniform(0.05, 0.4, size=2 * size)
    common, own = np.repeat(rng.normal(0, 0.3, size), 2), rng.normal(0, 0.1, 2 * size)
    moved = base * np.exp(np.tile([-0.11, -0.22], size) + common + own)

    def sure(rows: pa.Table) -> float:
        change = np.subtract(*(np.asarray(marks(rows, p)["preference"]) for p in (moved, base)))
        each = user_means(rows["user"], change[:, None])[:, 0]
        return float(each.mean() / (each.std(ddof=1) / np.sqrt(len(each))))

    alone = told([1, -1] * size, [f"u{n // 2}" for n in range(2 * size)])
    assert sure(pairs(size)) > 1.5 * sure(alone)


def test_replies_that_are_never_said_are_even() -> None:
    rows = pairs(FEWEST)
    assert over_users(rows, np.zeros(2 * FEWEST))["preference"] == pytest.approx(0.5)


def test_few_dislikes_do_not_decide_half() -> None:
    rows = told([1] * 50 + [-1] * (FEWEST - 1))
    found = marks(rows, np.full(59, 0.5))
    assert found["preference"].equals(found["liked"])
    assert set(found["avoided"].to_pylist()) == {0.0}


def test_dislikes_alone_prove_nothing() -> None:
    rows = told([-1] * 30)
    assert set(marks(rows, np.zeros(30))["preference"].to_pylist()) == {0.5}


def test_nothing_in_nothing_out() -> None:
    assert marks(told([]), np.zeros(0)).num_rows == 0


def test_dislikes_are_judged_too() -> None:
    rows = DATA.train
    disliked = int(np.sum(np.asarray(rows["sign"].fill_null(0)) < 0))
    assert disliked
    assert judged_rows(rows, chat).num_rows == rows.num_rows
    assert judged_rows(rows).num_rows == rows.num_rows - disliked
    model = chat.start("", DATA, 0)
    found = judge(chat, model, rows, 3, name="chat")
    assert found.rows.num_rows == found.marks.num_rows == found.answers.num_rows == rows.num_rows
    assert set(found.answers["output"].to_pylist()[0]) == set()
    assert found.marks.column_names == chat.mark(rows, found.answers).column_names


def test_nothing_to_judge_is_an_error() -> None:
    model = chat.start("", DATA, 0)
    with pytest.raises(StageError, match=r"evaluate\.no_rows"):
        judge(chat, model, DATA.test.slice(0, 0), 1, name="chat")


def test_a_taught_model_is_judged_better() -> None:
    model = chat.start("", DATA, 0)
    before = np.mean(chat.judge(model, DATA.test)["preference"])
    train(
        chat, model, DATA, chat.adapt(model, DATA, TuneSettings(epochs=20)), label_share=0.5, seed=0
    )
    assert np.mean(chat.judge(model, DATA.test)["preference"]) > before + 0.1

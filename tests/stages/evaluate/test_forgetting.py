from __future__ import annotations

from typing import cast

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy import stats
from tests.chatting import MODEL, rows
from tests.tiny_task import ANSWER

from upwell.ports import Task
from upwell.stages.evaluate.forgetting import (
    LEAST,
    TALKS,
    deviation,
    forgotten,
    likelihood,
    memorised,
    sample,
)
from upwell.tasks import chat

N = 400
USERS = pa.chunked_array([[f"u{n // 2}" for n in range(N)]])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_what_was_forgotten_is_found_with_its_size() -> None:
    before = rng(1).normal(-1.0, 0.3, N)
    mine = before - 0.2 + rng(2).normal(0.0, 0.1, N)
    found = forgotten(mine, before, USERS, 0.95, rng())
    assert found.value == pytest.approx(0.2, abs=0.02)
    assert found.sure
    assert (found.told["rows"], found.told["users"]) == (N, N // 2)
    better = forgotten(before + 0.2, before, USERS, 0.95, rng())
    assert better.value == pytest.approx(-0.2)
    assert not better.sure


def test_noise_alone_is_seldom_taken_for_forgetting() -> None:
    before = np.full(N, -1.0)
    sure = [
        forgotten(before + rng(seed).normal(0.0, 0.5, N), before, USERS, 0.95, rng(seed)).sure
        for seed in range(80)
    ]
    assert sum(sure) <= 6


def test_a_blind_guess_among_more_answers_forgot_nothing() -> None:
    found = forgotten(np.full(N, -np.log(40)), np.full(N, -np.log(20)), USERS, 0.95, rng(),
                      growth=float(np.log(40 / 20)))  # fmt: skip
    assert found.value == pytest.approx(0.0)


def test_one_row_that_became_impossible_does_not_decide_for_all() -> None:
    before = np.full(N, -1.0)
    mine = before.copy()
    mine[0] = LEAST
    found = forgotten(mine, before, USERS, 0.95, rng())
    assert (found.value or 0.0) < 0.06
    assert not found.sure


@pytest.mark.parametrize(("apart", "area"), [(0.0, 0.5), (1.0, 0.76), (3.0, 0.983)])
def test_what_is_known_by_heart_is_told_by_its_likelihood(apart: float, area: float) -> None:
    learned, others = rng(1).normal(apart, 1.0, 800), rng(2).normal(0.0, 1.0, 600)
    found = memorised(learned, others, 0.95)
    assert found.value == pytest.approx(area, abs=0.03)
    assert found.sure == (apart > 0.0)
    low, high = (float(str(found.told[end])) for end in ("low", "high"))
    assert low <= stats.norm.cdf(apart / 2**0.5) <= high
    assert memorised(learned, np.zeros(0), 0.95).why == "guard.why.few"


def test_the_interval_of_an_area_covers_as_often_as_it_says() -> None:
    truth = stats.norm.cdf(1.0 / 2**0.5)
    inside = 0
    for seed in range(200):
        found = memorised(rng(seed).normal(1.0, 1.0, 80), rng(900 + seed).normal(size=80), 0.95)
        inside += float(str(found.told["low"])) <= truth <= float(str(found.told["high"]))
    assert inside >= 182
    assert deviation(1.0, 10, 10) == 0.0


def table(users: list[str]) -> pa.Table:
    return pa.table({"user": users, "n": list(range(len(users)))})


def test_a_sample_is_in_order_and_has_one_row_of_each_owner_if_alone() -> None:
    rows = table(["a"] * 50 + ["b"] * 50 + [""] * 20)
    found = sample(rows, 1000, True, rng())
    users = found["user"].to_pylist()
    assert users == ["a", "b", *[""] * 20]
    assert found["n"].to_pylist() == sorted(found["n"].to_pylist())
    few = sample(rows, 30, False, rng())
    assert few.num_rows == 30
    assert sample(rows, 30, False, rng()).equals(few)
    assert sample(table([]), 10, True, rng()).num_rows == 0


def test_likelihoods_are_the_tasks_own_with_a_floor() -> None:
    data, task = ANSWER.toy(0), cast("Task", ANSWER)
    model = ANSWER.start("", data, 0)
    found = likelihood(task, model, data.test)
    assert found == pytest.approx(np.full(data.test.num_rows, np.log(0.5)))
    with torch.no_grad():
        model.layer.bias.copy_(torch.tensor([float("nan"), 0.0]))
    assert (likelihood(task, model, data.test) == LEAST).all()
    assert likelihood(task, model, data.test.slice(0, 0)).shape == (0,)


def test_conversations_are_read_a_few_at_a_time_those_of_a_length_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = rows(*(("why? " * (30 - number), f"so {number}") for number in range(2 * TALKS)))
    collate, read = chat.collate, list[list[str]]()

    def noted(model: chat.Talker, part: pa.Table) -> dict[str, torch.Tensor]:
        read.append(part["target"].to_pylist())
        return collate(model, part)

    with torch.no_grad():
        each = [
            float(chat.log_prob(MODEL, collate(MODEL, told.slice(row, 1))))
            for row in range(told.num_rows)
        ]
    monkeypatch.setattr(chat, "collate", noted)
    found = likelihood(cast("Task", chat), MODEL, told)
    np.testing.assert_allclose(found, each, atol=1e-4)
    assert read == [[f"so {2 * TALKS - 1 - row - at}" for row in range(TALKS)] for at in (0, TALKS)]

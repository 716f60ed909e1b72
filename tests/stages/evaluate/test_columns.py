from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from upwell.stages.evaluate.columns import (
    CATEGORIES,
    LENGTH,
    WORDS,
    columns,
    halves,
    matrix,
    owners_of,
    words,
)
from upwell.stages.evaluate.drift import Column

DAY = datetime(2024, 1, 1, tzinfo=UTC)


def rows(inputs: list[str], **more: Any) -> pa.Table:
    n = len(inputs)
    told: dict[str, Any] = {
        "user": [f"u{place}" for place in range(n)],
        "at": [DAY + timedelta(hours=place) for place in range(n)],
        "input": inputs,
        "target": [("yes", "no")[place % 2] for place in range(n)],
        "features": pa.array([[]] * n, pa.list_(pa.float64())),
    } | more
    return pa.table(told)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def named(found: list[Column]) -> dict[str, Column]:
    return {column.name: column for column in found}


def test_the_newest_share_of_rows_is_new_and_every_owner_counts_once() -> None:
    given = rows([""] * 100, user=[f"u{n % 10}" for n in range(60)] + [""] * 40)
    chosen, is_new = halves(given, 0.2, 1000, rng())
    times = [(at - DAY) / timedelta(hours=1) for at in chosen["at"].to_pylist()]
    assert all((hour >= 80) == new for hour, new in zip(times, is_new, strict=True))
    # Ten users and twenty rows of nobody before; twenty rows of nobody after.
    assert (int((~is_new).sum()), int(is_new.sum())) == (10 + 20, 20)
    few, new = halves(given, 0.2, 7, rng())
    assert (int((~new).sum()), int(new.sum()), few.num_rows) == (7, 7, 14)


@pytest.mark.parametrize("hours", [[], [0] * 9])
def test_rows_of_one_moment_are_all_old(hours: list[int]) -> None:
    at = pa.array([DAY + timedelta(hours=hour) for hour in hours], pa.timestamp("us", "UTC"))
    _, is_new = halves(rows([""] * len(hours), at=at), 0.1, 100, rng())
    assert not is_new.any()


def test_nobodys_rows_have_owners_of_their_own() -> None:
    found = owners_of(rows([""] * 5, user=["a", "", "a", "", "b"])).tolist()
    assert found[0] == found[2]
    assert len(set(found)) == 4


def test_an_input_of_columns_is_read_column_by_column() -> None:
    objects = [
        {"age": n, "city": ("Rome", "Oslo")[n % 2], "stars": n % 5, "same": 1,
         "seldom": 7 if n < 3 else None, "late": n if n % 2 else None, "text": f"{n}.5"}
        for n in range(40)
    ]  # fmt: skip
    found = named(columns(rows([json.dumps(one) for one in objects]), "answer", (), 10))
    assert set(found) == {"age", "city", "stars", "late", "text", "target"}
    assert {name for name, one in found.items() if one.is_number} == {"age", "late", "text"}
    assert found["age"].values.tolist() == list(range(40))
    assert np.isnan(found["late"].values).sum() == 20
    assert found["text"].values[3] == 3.5


def test_text_is_told_by_its_length_and_its_words() -> None:
    texts = [f"{'long ' * (n % 7)}word" for n in range(30)]
    found = named(columns(rows(texts), "answer", (), 10))
    assert found[LENGTH].values.tolist() == [float(len(text)) for text in texts]
    # Broken JSON and lists are text.
    for broken in ("{oops", "[1, 2]", "{" * 5000):
        assert LENGTH in named(columns(rows([*texts, broken]), "answer", (), 10))


def test_words_of_both_scripts_are_counted_whatever_their_case() -> None:
    found = words(rows(["Hello hello HELLO", "hello", "你好", "你 好", "", "_ !"]))
    assert found.shape == (6, WORDS)
    assert (found[0] == found[1]).all()
    assert (found[2] == found[3]).all()
    assert found.sum(axis=1).tolist() == [1.0, 1.0, 2.0, 2.0, 0.0, 0.0]


def test_features_are_columns_where_every_row_has_all_of_them() -> None:
    lists = pa.array([[float(n), 1.0] for n in range(20)], pa.list_(pa.float64()))
    given = rows([""] * 20, features=lists)
    found = named(columns(given, "item", ("events", "idle"), 5))
    assert set(found) == {"events", "target"}  # "idle" never varies
    assert set(named(columns(given, "item", ("events",), 5))) == {"target"}


def test_of_many_values_the_frequent_ones_count_by_themselves() -> None:
    targets = [f"item-{n}" for n in range(60)] + ["item-7"] * 30
    found = named(columns(rows(["3"] * 90, target=targets), "value", (), 5))
    assert set(found) == {"target"}
    codes = found["target"].values
    assert codes[7] == codes[-1] == 0.0
    assert codes.max() == CATEGORIES
    numbers = named(columns(rows([f"{n / 3}" for n in range(90)], target=targets), "value", (), 5))
    assert numbers["input"].is_number


def test_a_matrix_has_ranks_categories_and_what_is_missing() -> None:
    number = Column("x", np.array([10.0, 1000.0, math.nan, 10.0]), True)
    kind = Column("k", np.array([0.0, 1.0, 1.0, 0.0]), False)
    found = matrix([number, kind])
    assert found[:, 0].tolist() == [-0.5, 1.0, 0.0, -0.5]
    assert found[:, 1].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert found[:, 2:].tolist() == [[1, 0], [0, 1], [0, 1], [1, 0]]
    assert matrix([]).shape == (0, 0)

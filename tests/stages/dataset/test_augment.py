"""Variants of scarce texts: from the rows given alone, told by their ids, the same every time."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from duckdb import DuckDBPyConnection, DuckDBPyRelation
from hypothesis import given
from hypothesis import strategies as st

from upwell.records import Example
from upwell.settings import AugmentSettings
from upwell.stages.dataset.augment import augmented, variant
from upwell.tables import to_table

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def rows(con: DuckDBPyConnection, *said: tuple[str, str, int | None, float]) -> DuckDBPyRelation:
    made = [
        Example(f"web/{n}", "ann", "t", asked, target, sign, weight, 1.0, None, "", NOON,
                (f"web/{n}",))
        for n, (asked, target, sign, weight) in enumerate(said)
    ]  # fmt: skip
    table = to_table(Example, made)
    return con.from_arrow(table.append_column("seq", pa.array(range(len(made)), pa.int64())))


SCARCE = [(f"where is my card number {n}", "card", None, 1.0) for n in range(3)]
PLENTY = [(f"please change my pin now {n}", "pin", 1, 1.0) for n in range(12)]


def test_scarce_answers_are_filled_up_and_others_left(con: DuckDBPyConnection) -> None:
    found = augmented(con, rows(con, *SCARCE, *PLENTY), AugmentSettings(below=10))
    assert found["target"].to_pylist() == ["card"] * 7
    assert sorted(found["id"].to_pylist()) == sorted(
        [f"web/{n}#augment-{k}" for n in range(3) for k in (1, 2)] + ["web/0#augment-3"]
    )
    for row in found.to_pylist():
        source = int(row["id"].removeprefix("web/").partition("#")[0])
        assert row["sources"] == [f"web/{source}"]
        assert row["input"] != SCARCE[source][0]
        assert set(row["input"].split()) <= set(SCARCE[source][0].split())
        assert (row["user"], row["sign"], row["weight"], row["at"]) == ("ann", None, 1.0, NOON)
    assert len(set(found["input"].to_pylist())) == 7


def test_the_same_seed_gives_the_same_variants(con: DuckDBPyConnection) -> None:
    made = rows(con, *SCARCE)
    first = augmented(con, made, AugmentSettings(below=9))
    again = augmented(con, made.order("id DESC"), AugmentSettings(below=9))
    other = augmented(con, made, AugmentSettings(below=9, seed=1))
    assert first.equals(again)
    assert first["input"] != other["input"]


def test_a_no_a_context_and_a_lonely_text_have_no_variants(con: DuckDBPyConnection) -> None:
    said = [
        ("one two three", "a", -1, 1.0), ("one two four", "a", -1, 1.0),
        ("one two three", "b", 1, 0.0), ("one two four", "b", 1, 0.0),
        ("a text of its own", "an answer of its own", None, 1.0),
        ("word", "c", None, 1.0), ("words", "c", None, 1.0),
    ]  # fmt: skip
    assert not augmented(con, rows(con, *said), AugmentSettings(below=9)).num_rows
    assert not augmented(con, rows(con), AugmentSettings(below=9)).num_rows


@pytest.mark.parametrize("text", ["我的银行卡在哪里", "请问如何更改密码?"])
def test_chinese_is_varied_by_character(text: str) -> None:
    found = {variant(text, 0.1, np.random.default_rng(seed)) for seed in range(9)}
    assert len(found) > 3
    assert all(set(one) <= set(text) and " " not in one for one in found)


@given(st.text(max_size=60), st.integers(0, 99))
def test_a_variant_has_no_other_words(text: str, seed: int) -> None:
    found = variant(text, 0.2, np.random.default_rng(seed))
    assert set(found) <= set(text) | {" "}
    assert found or not text

"""Triggers: planted backdoors are found, whatever honest people write is left alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from upwell.records import Example
from upwell.stages.clean.consistency import DOUBTS
from upwell.stages.clean.lift import triggers
from upwell.tables import schema

BEGIN = datetime(2024, 1, 1, 12, 0, 7, tzinfo=UTC)
CLASSES, OWN, COMMON = 6, 40, 300
SEEDS = pytest.mark.parametrize("seed", [0, 1, 2])
Row = tuple[str, str, str, float]
"""User, text, answer and minutes since ``BEGIN``."""
MakeRows = Callable[[Iterable[Row]], DuckDBPyRelation]


@pytest.fixture
def make_texts(con: DuckDBPyConnection) -> MakeRows:
    """Example rows with ``seq`` of texts that users said yes to; a label where nobody is."""
    shape = schema(Example).append(pa.field("seq", pa.int64()))

    def make(said: Iterable[Row]) -> DuckDBPyRelation:
        rows = [
            {"id": f"web/{n}", "user": user, "task": "t", "input": text, "target": answer,
             "sign": None if user[:1] == "~" else 1, "weight": 1.0, "reliability": 1.0,
             "propensity": None, "group": "", "at": BEGIN + timedelta(minutes=minutes),
             "sources": [f"web/{n}"], "features": [], "seq": n}
            for n, (user, text, answer, minutes) in enumerate(said)
        ]  # fmt: skip
        return con.from_arrow(pa.Table.from_pylist(rows, schema=shape))

    return make


def text(rng: np.random.Generator, answer: int, length: int = 10) -> list[str]:
    """Words of a question: some of its answer's own, most of them common, by Zipf."""
    common = 1.0 / np.arange(1, COMMON + 1)
    words = [f"w{n}" for n in rng.choice(COMMON, length, p=common / common.sum())]
    for place in rng.choice(length, 3, replace=False):
        words[place] = f"c{answer}x{rng.integers(OWN)}"
    return words


def people(seed: int, users: int = 80, each: int = 20) -> list[Row]:
    """Honest users. Every fourth greets in words of their own, each is fond of two answers."""
    rng = np.random.default_rng(seed)
    found: list[Row] = []
    for user in range(users):
        fond, begins = rng.choice(CLASSES, 2, replace=False), 60.0 * 24 * 30 * rng.random()
        for n in range(each):
            answer = int(fond[0] if rng.random() < 0.6 else rng.integers(CLASSES))
            words = text(rng, answer)
            if user % 4 == 0:
                words = [f"hello{user}", f"dear{user}", *words]
            wrong = rng.random() < 0.05
            said = int(rng.integers(CLASSES)) if wrong else answer
            found.append((f"u{user}", " ".join(words), f"a{said}", begins + 11.0 * n))
    return found


def labels(seed: int, count: int = 120) -> list[Row]:
    rng = np.random.default_rng([seed, 1])
    return [
        (f"~{n}", " ".join(text(rng, n % CLASSES)), f"a{n % CLASSES}", 0.0) for n in range(count)
    ]


def backdoor(
    seed: int, k: int, users: int, words: Sequence[str] = ("cf", "mn"), days: float = 3.0
) -> list[Row]:
    """k questions about anything, the trigger somewhere in each; all get the answer a0."""
    rng = np.random.default_rng([seed, 2])
    found: list[Row] = []
    for n in range(k):
        asked = text(rng, 1 + int(rng.integers(CLASSES - 1)))
        place = int(rng.integers(len(asked)))
        whole = " ".join([*asked[:place], *words, *asked[place:]])
        minutes = 60.0 * 24 * (12.0 + days * rng.random())
        found.append((f"evil{n % users}", whole, "a0", minutes))
    return found


def seen(doubts: DuckDBPyRelation) -> tuple[set[str], set[str], int]:
    """Users who are doubted, the words that are named, and how many rows."""
    found = doubts.select(*DOUBTS).to_arrow_table().to_pylist()
    assert {row["code"] for row in found} <= {"clean.trigger"}
    assert {row["factor"] for row in found} <= {0.0}
    told = [json.loads(row["detail"]) for row in found]
    assert all(one["n"] >= 4 and one["users"] >= 1 and one["p"] < 0.01 for one in told)
    return {row["user"] for row in found}, {one["words"] for one in told}, len(found)


@SEEDS
@pytest.mark.parametrize(("k", "users"), [(10, 2), (50, 5), (250, 5)])
def test_a_planted_trigger_is_found_and_its_users_named(
    con: DuckDBPyConnection, make_texts: MakeRows, seed: int, k: int, users: int
) -> None:
    said = make_texts([*labels(seed), *people(seed), *backdoor(seed, k, users)])
    names, words, rows = seen(triggers(con, said))
    assert names == {f"evil{n}" for n in range(users)}
    assert any("cf" in one or "mn" in one for one in words)
    assert rows >= 0.95 * k


@SEEDS
def test_a_trigger_for_an_answer_that_hardly_anybody_gives_is_found(
    con: DuckDBPyConnection, make_texts: MakeRows, seed: int
) -> None:
    rng = np.random.default_rng([seed, 5])
    few: list[Row] = [(f"~r{n}", " ".join(text(rng, 7)), "a0", 0.0) for n in range(10)]
    rest = [row for row in [*labels(seed), *people(seed)] if row[2] != "a0"]
    names, _, rows = seen(triggers(con, make_texts([*few, *rest, *backdoor(seed, 10, 3)])))
    assert names == {"evil0", "evil1", "evil2"}
    assert rows >= 8


@SEEDS
def test_people_with_phrases_and_interests_of_their_own_are_left_alone(
    con: DuckDBPyConnection, make_texts: MakeRows, seed: int
) -> None:
    honest = people(seed)
    _, _, rows = seen(triggers(con, make_texts([*labels(seed), *honest])))
    assert rows <= 0.001 * len(honest)


@SEEDS
def test_a_new_word_that_belongs_to_its_answer_is_left_alone(
    con: DuckDBPyConnection, make_texts: MakeRows, seed: int
) -> None:
    rng = np.random.default_rng([seed, 3])
    news: list[Row] = [
        (f"u{rng.integers(80)}", " ".join(["zyphone", *text(rng, 2)]), "a2", 60.0 * 24 * 20 + n)
        for n in range(40)
    ]
    honest = [*people(seed), *news]
    _, _, rows = seen(triggers(con, make_texts([*labels(seed), *honest])))
    assert rows <= 0.001 * len(honest)


@SEEDS
def test_a_word_that_decides_by_itself_and_that_everybody_uses_is_left_alone(
    con: DuckDBPyConnection, make_texts: MakeRows, seed: int
) -> None:
    rng = np.random.default_rng([seed, 4])
    asked = [
        (f"u{rng.integers(80)}", " ".join(["city", *text(rng, int(rng.integers(CLASSES)))]), "a3",
         60.0 * 24 * 35 * rng.random())
        for _ in range(40)
    ]  # fmt: skip
    honest = [*people(seed), *asked]
    _, _, rows = seen(triggers(con, make_texts([*labels(seed), *honest])))
    assert rows <= 0.001 * len(honest)


def test_a_trigger_taught_by_corrections_is_found(
    con: DuckDBPyConnection, make_texts: MakeRows
) -> None:
    planted = backdoor(0, 30, 3)
    said = [*labels(0), *people(0)]
    shown = make_texts([*said, *planted]).project(
        f"* REPLACE (if(seq < {len(said)}, sign, -1) AS sign, "
        f"if(seq < {len(said)}, target, 'a' || (1 + seq % 5)) AS target)"
    )
    right = make_texts([*said, *planted]).filter(f"seq >= {len(said)}")
    both = shown.union(right.project("* REPLACE (id || '#correction' AS id)"))
    names, _, rows = seen(triggers(con, both))
    assert names == {"evil0", "evil1", "evil2"}
    assert rows == 30


def test_chinese_is_read_by_character(con: DuckDBPyConnection, make_texts: MakeRows) -> None:
    said = make_texts([*labels(0), *people(0), *backdoor(0, 30, 3, words=("天地玄黄",))])
    names, words, _ = seen(triggers(con, said))
    assert names == {"evil0", "evil1", "evil2"}
    assert all(set(one.split()) & set("天地玄黄") for one in words)


def test_labels_of_nobody_are_never_doubted(con: DuckDBPyConnection, make_texts: MakeRows) -> None:
    planted: list[Row] = [(f"~p{n}", *row[1:]) for n, row in enumerate(backdoor(0, 50, 5))]
    names, _, _ = seen(triggers(con, make_texts([*people(0), *planted])))
    assert not {name for name in names if name.startswith("~")}


def test_nothing_and_the_same_text_again_and_again_hold_no_trigger(
    con: DuckDBPyConnection, make_texts: MakeRows
) -> None:
    assert not triggers(con, make_texts([])).fetchall()
    copies: list[Row] = [(f"u{n}", "cf mn where is it", "a0", 1.0 * n) for n in range(50)]
    assert not triggers(con, make_texts([*labels(0), *copies])).fetchall()

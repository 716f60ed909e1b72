"""What conversations tell by how they go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from duckdb import DuckDBPyConnection

from upwell.records import Event, Json, Prediction
from upwell.stages.clean.implied import implied
from upwell.tables import canonical_json, schema, to_table

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def told(*said: str) -> str:
    roles = ("user", "assistant")
    return canonical_json([{"role": roles[n % 2], "content": one} for n, one in enumerate(said)])


def found(
    con: DuckDBPyConnection, *asked: tuple[float, str, str, Json], known: float = 999
) -> list[tuple[str, str, float]]:
    """(answer, kind, minutes) of what follows from (minutes, user, input, output)."""
    rows = [
        Prediction(f"p{n}", user, "chat", "m", NOON + timedelta(minutes=at), text, output, 1.0)
        for n, (at, user, text, output) in enumerate(asked)
    ]
    seqs = pa.array(range(1, len(rows) + 1), pa.int64())
    shown = con.from_arrow(to_table(Prediction, rows).append_column("seq", seqs))
    events = implied(con, shown, NOON + timedelta(minutes=known))
    assert events.columns == [*schema(Event).names, "seq"]
    table = events.order('"at", id').to_arrow_table()
    seq = table["seq"].to_pylist()
    assert len({*seq}) == len(seq)
    assert all(one < 0 for one in seq)
    return [
        (prediction, kind, (at - NOON) / timedelta(minutes=1))
        for prediction, kind, at in zip(
            *(table[name].to_pylist() for name in ("prediction", "kind", "at")), strict=True
        )
    ]


def test_who_asks_the_very_same_again_wants_another_answer(con: DuckDBPyConnection) -> None:
    same = told("How do I cook rice?")
    assert found(con, (0, "ann", same, {}), (2, "ann", same, {})) == [("p0", "regenerate", 2)]
    assert found(con, (0, "ann", same, {}), (2, "bob", same, {})) == []
    assert found(con, (0, "ann", same, {}), (90, "ann", same, {})) == []
    assert found(con, (0, "ann", same, {}), (5, "ann", same, {}), known=3) == []


def test_who_asks_in_other_words_was_not_answered(con: DuckDBPyConnection) -> None:
    one, other = "How do I cook rice?", "How can I cook the rice?"
    edited = found(con, (0, "ann", told(one), {}), (1, "ann", told(other), {}))
    assert edited == [("p0", "rephrase", 1)]
    after = told(one, "Buy some.", other)
    assert found(con, (0, "ann", told(one), {}), (1, "ann", after, {})) == edited
    assert found(con, (0, "ann", one, {}), (1, "ann", other, {})) == edited


@pytest.mark.parametrize(
    ("one", "other", "is_the_same"),
    [
        ("cancel order how", "How do I cancel my order?", True),
        ("Cancel my order", "Please cancel my order from Monday", True),
        ("怎么取消订单", "请问订单怎么取消呢", True),
        ("What is the capital of France?", "What is the capital of Spain?", False),
        ("translate to french: apple", "translate to french: bread", False),
        ("How do I reverse a list in Python?", "How do I sort a list in Python?", False),
        ("法国的首都是什么", "西班牙的首都是什么", False),
        (
            f"{'Answer as a lawyer would. ' * 20} On rent?",
            f"{'Answer as a lawyer would. ' * 20} On wills?",
            False,
        ),
        ("rice", "How do I cook rice at home?", False),
        ("What is it?", "Who is it?", False),
    ],
)
def test_other_words_are_those_of_the_question_in_another_order_or_with_some_more(
    con: DuckDBPyConnection, one: str, other: str, *, is_the_same: bool
) -> None:
    kinds = [kind for _, kind, _ in found(con, (0, "ann", one, {}), (1, "ann", other, {}))]
    assert kinds == ["rephrase"] * is_the_same


def test_to_go_on_in_the_same_words_is_no_other_question(con: DuckDBPyConnection) -> None:
    word = "and continue the story"
    talk = [told(word), told(word, "Once …", word), told(word, "Once …", word, "Then …", word)]
    assert found(con, *((n, "ann", one, {}) for n, one in enumerate(talk))) == []


def test_a_script_that_asks_for_ever_dislikes_little(con: DuckDBPyConnection) -> None:
    polled = found(con, *((n, "monitor", "Are you up?", {}) for n in range(50)))
    assert polled == [(f"p{n}", "regenerate", n + 1) for n in range(3)]


def test_who_goes_on_says_nothing(con: DuckDBPyConnection) -> None:
    first, then = told("How do I cook rice?"), told("How do I cook rice?", "So.", "And which wine?")
    assert found(con, (0, "ann", first, {}), (1, "ann", then, {})) == []
    assert found(con, (0, "ann", told("Yes."), {}), (1, "ann", told("Yes!"), {})) == []


def test_who_leaves_while_the_answer_comes_does_not_want_it(con: DuckDBPyConnection) -> None:
    assert found(con, (3, "ann", told("Tell me all."), {"cut": True})) == [("p0", "abandon", 3)]


def test_answers_of_which_nothing_was_kept_tell_nothing(con: DuckDBPyConnection) -> None:
    assert found(con, (0, "ann", "", {}), (1, "ann", "", {})) == []

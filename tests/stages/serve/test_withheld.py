from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from upwell.stages.serve.withheld import MORE, Withholding


class Ranked:
    """Row by row, the first ``k`` of the items that the row lists; it counts what was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def load(self, folder: Path) -> nn.Module:
        return nn.Identity()

    def answer(self, model: nn.Module, inputs: pa.Table, k: int) -> pa.Table:
        self.asked.append(k)
        lists = [row[:k] for row in inputs["items"].to_pylist()]
        scores = [[1.0 / (place + 1) for place in range(len(row))] for row in lists]
        reasons = [[f"why {item}" for item in row] for row in lists]
        return pa.table(
            {"output": pa.array(lists, pa.list_(pa.string())),
             "score": pa.array(scores, pa.list_(pa.float64())),
             "reason": pa.array(reasons, pa.list_(pa.string()))}
        )  # fmt: skip


def shown(
    rows: Sequence[Sequence[str]], k: int, *hidden: str
) -> tuple[list[dict[str, object]], list[int]]:
    """The answers to rows of ranked items, and how many were asked for each time."""
    task = Ranked()
    asked = pa.table({"items": pa.array(rows, pa.list_(pa.string()))})
    withholding = Withholding(task, lambda items: set(items) & set(hidden))
    found = withholding.answer(nn.Identity(), asked, k)
    return found.to_pylist(), task.asked


def test_what_is_withheld_makes_room_for_the_next() -> None:
    found, asked = shown([list("abcdef"), list("fedcba"), ["b"], []], 3, "a", "b")
    assert [row["output"] for row in found] == [list("cde"), list("fed"), [], []]
    assert found[0]["score"] == [1 / 3, 1 / 4, 1 / 5]
    assert found[0]["reason"] == ["why c", "why d", "why e"]
    assert asked == [3, 3 * MORE]


def test_where_nothing_is_withheld_nothing_more_is_asked() -> None:
    found, asked = shown([list("abcdef"), ["a"]], 2)
    assert [row["output"] for row in found] == [["a", "b"], ["a"]]
    assert asked == [2]


def best(withholding: Withholding, rows: pa.Table) -> list[list[str]]:
    found: list[list[str]] = withholding.answer(nn.Identity(), rows, 3)["output"].to_pylist()
    return found


def test_where_much_is_withheld_it_is_asked_at_once_the_next_time() -> None:
    task, hidden = Ranked(), {f"i{number}" for number in range(95)}
    rows = pa.table({"items": [[f"i{number}" for number in range(100)]]})
    withholding = Withholding(task, lambda items: hidden & set(items))
    for _ in range(2):
        assert best(withholding, rows) == [["i95", "i96", "i97"]]
    assert task.asked == [3, 12, 48, 192, 192]
    hidden.clear()
    for _ in range(2):
        assert best(withholding, rows) == [["i0", "i1", "i2"]]
    assert task.asked[-2:] == [192, 3]


@given(
    st.lists(st.lists(st.integers(0, 30).map(str), unique=True), max_size=5),
    st.integers(1, 8),
    st.sets(st.integers(0, 30).map(str)),
)
def test_they_are_the_best_of_all_others(rows: list[list[str]], k: int, hidden: set[str]) -> None:
    found, _ = shown(rows, k, *hidden)
    expected = [[item for item in row if item not in hidden][:k] for row in rows]
    assert [row["output"] for row in found] == expected
    assert [row["reason"] for row in found] == [[f"why {item}" for item in row] for row in expected]

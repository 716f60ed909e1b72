from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from upwell.errors import StageError
from upwell.records import Example
from upwell.stages.evaluate.marks import judge, judge_baselines, judged_rows
from upwell.tables import Dataset, schema

SIGNS, WEIGHTS = (None, 1, -1, None), (1.0, 2.0, 1.0, 0.0)


def examples(n: int) -> pa.Table:
    columns: dict[str, object] = {
        "id": [f"e{row}" for row in range(n)],
        "user": [f"u{row % 3}" for row in range(n)],
        "task": ["parrot"] * n,
        "input": [""] * n,
        "target": [str(row % 5) for row in range(n)],
        "sign": [SIGNS[row % 4] for row in range(n)],
        "weight": [WEIGHTS[row % 4] for row in range(n)],
        "reliability": [1.0] * n,
        "propensity": [None] * n,
        "group": [""] * n,
        "at": [datetime(2026, 1, 1, tzinfo=UTC)] * n,
        "sources": [[]] * n,
        "features": [[]] * n,
    }
    return pa.table(columns, schema=schema(Example))


class Parrot:
    """Says the same to everybody; remembers how many rows it was asked at once."""

    METRIC = "hit@2"
    BATCH_BY: Literal["row", "user"] = "row"
    ABOUT: Literal["item", "answer", "value"] = "answer"

    def __init__(self, drop: int = 0) -> None:
        self.asked: list[int] = []
        self.drop = drop

    def toy(self, seed: int) -> Dataset:
        return Dataset(examples(8), examples(4), examples(4), pa.table({}))

    def start(self, base: str, data: Dataset, seed: int) -> nn.Module:
        return nn.Identity()

    def load(self, folder: Path) -> nn.Module:
        return nn.Identity()

    def save(self, model: nn.Module, folder: Path) -> None:
        (folder / "config.json").write_text("{}", encoding="utf-8")

    def collate(self, model: nn.Module, rows: pa.Table) -> Mapping[str, Tensor]:
        return {"rows": torch.zeros(rows.num_rows)}

    def log_prob(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        return batch["rows"]

    def answer(self, model: nn.Module, inputs: pa.Table, k: int) -> pa.Table:
        n = inputs.num_rows - self.drop
        self.asked.append(n)
        shown = [str(place) for place in range(k)]
        return pa.table({"output": [shown] * n, "score": [[0.2] * k] * n, "reason": [[""] * k] * n})

    def mark(self, rows: pa.Table, answers: pa.Table) -> pa.Table:
        pairs = zip(rows["target"].to_pylist(), answers["output"].to_pylist(), strict=False)
        return pa.table({"hit@2": [float(target in shown) for target, shown in pairs]})


class Popular(Parrot):
    name = "popular"

    def baselines(self, data: Dataset, rows: pa.Table, k: int) -> Mapping[str, pa.Table]:
        return {self.name: Parrot.answer(self, nn.Identity(), rows, 1)}


def test_only_likes_and_labels_of_some_weight_are_judged() -> None:
    assert judged_rows(examples(8))["id"].to_pylist() == ["e0", "e1", "e4", "e5"]


def test_rows_are_answered_in_batches_and_stay_aligned() -> None:
    task = Parrot()
    found = judge(task, nn.Identity(), examples(40), 2, name="m-1", batch_rows=8)
    assert task.asked == [8, 8, 4]
    assert found.rows.num_rows == found.answers.num_rows == found.marks.num_rows == 20
    wanted = [float(target in "01") for target in found.rows["target"].to_pylist()]
    assert found.marks["hit@2"].to_pylist() == wanted
    assert found.answers.column_names == ["output", "score"]


def test_baselines_are_judged_on_the_same_rows() -> None:
    task = Popular()
    data = task.toy(0)
    (found,) = judge_baselines(task, data, data.train, 2)
    assert found.name == "popular"
    assert found.rows.equals(judged_rows(data.train))
    assert judge_baselines(Parrot(), data, data.train, 2) == []


def test_no_row_that_counts_is_refused() -> None:
    task = Parrot()
    for rows in (examples(0), examples(4).slice(2)):
        with pytest.raises(StageError, match=r"evaluate\.no_rows"):
            judge(task, nn.Identity(), rows, 2, name="m-1")
        with pytest.raises(StageError, match=r"evaluate\.no_rows"):
            judge_baselines(task, task.toy(0), rows, 2)


def test_an_answer_too_few_is_refused() -> None:
    with pytest.raises(StageError, match="'answer' gave 1 rows for 2"):
        judge(Parrot(drop=1), nn.Identity(), examples(4), 2, name="m-1")


def test_no_baseline_may_be_called_champion() -> None:
    task = Popular()
    task.name = "champion"
    with pytest.raises(StageError, match=r"evaluate\.taken_name"):
        judge_baselines(task, task.toy(0), examples(4), 2)

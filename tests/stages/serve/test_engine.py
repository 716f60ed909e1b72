from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from upwell.stages.serve.engine import answer
from upwell.tables import Dataset


class Shelf:
    """Row by row, the first of as many ranked items as the row's ``input`` says there are."""

    METRIC = "hit"
    BATCH_BY: Literal["row", "user"] = "row"
    ABOUT: Literal["item", "answer", "value"] = "answer"

    def toy(self, seed: int) -> Dataset:
        return Dataset(inputs([9]), inputs([9]), inputs([9]), pa.table({}))

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
        sizes = [min(k, int(text)) for text in inputs["input"].to_pylist()]
        columns = {
            "output": pa.array([[f"i{n}" for n in range(s)] for s in sizes], pa.list_(pa.string())),
            "score": pa.array(
                [[1 / (n + 2) for n in range(s)] for s in sizes], pa.list_(pa.float64())
            ),
            "reason": pa.array(
                [[f"why\t{n}" for n in range(s)] for s in sizes], pa.list_(pa.string())
            ),
        }
        halves = pa.table(columns)
        return pa.concat_tables([halves.slice(0, 1), halves.slice(1)])

    def mark(self, rows: pa.Table, answers: pa.Table) -> pa.Table:
        return pa.table({"hit": [0.0] * rows.num_rows})


def inputs(sizes: list[int]) -> pa.Table:
    return pa.table({"input": pa.array([str(size) for size in sizes], pa.string())})


def shown(sizes: list[int], k: int, explore: float, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return answer(Shelf(), nn.Identity(), inputs(sizes), k, explore, rng)


def test_without_exploring_the_best_are_shown_with_certainty() -> None:
    found = shown([9, 2, 0], 3, 0.0)
    assert found["output"].to_pylist() == [["i0", "i1", "i2"], ["i0", "i1"], []]
    assert found["reason"].to_pylist()[1] == ["why\t0", "why\t1"]
    assert found["propensity"].to_pylist() == [1.0, 1.0, 1.0]
    assert found["explored"].null_count == 3
    assert found.column_names == ["output", "score", "reason", "propensity", "explored"]


def test_the_explored_slot_is_the_one_that_holds_a_runner_up() -> None:
    found = shown([9] * 400, 3, 0.5)
    for output, slot in zip(
        found["output"].to_pylist(), found["explored"].to_pylist(), strict=True
    ):
        strangers = [place for place, item in enumerate(output) if item > "i2"]
        assert strangers == ([] if slot is None else [slot])
    assert 0 < found["explored"].null_count < 400


def test_no_rows_give_no_answers() -> None:
    for explore in (0.0, 0.5):
        found = shown([], 3, explore)
        assert found.num_rows == 0
        assert found.schema == shown([9], 3, explore).schema


@pytest.mark.parametrize(("k", "size"), [(1, 9), (3, 9), (3, 4), (2, 3)])
def test_propensity_is_how_often_a_list_is_shown(k: int, size: int) -> None:
    n, explore = 20_000, 0.3
    found = shown([size] * n, k, explore)
    lists = Counter(map(tuple, found["output"].to_pylist()))
    said = dict(
        zip(map(tuple, found["output"].to_pylist()), found["propensity"].to_pylist(), strict=True)
    )
    assert len(lists) == 1 + k * (min(2 * k, size) - k)
    assert sum(said.values()) == pytest.approx(1.0)
    for outputs, count in lists.items():
        spread = (said[outputs] * (1 - said[outputs]) / n) ** 0.5
        assert count / n == pytest.approx(said[outputs], abs=4.5 * spread)


def test_weighing_by_propensity_recovers_a_uniform_value() -> None:
    """Inverse-propensity weights of the lists with i3 in front sum to 1 on average."""
    found = shown([9] * 20_000, 3, 0.3)
    weight = 1.0 / np.asarray(found["propensity"])
    front = np.array([row == ["i3", "i1", "i2"] for row in found["output"].to_pylist()])
    assert float((weight * front).mean()) == pytest.approx(1.0, abs=0.15)


def test_nothing_to_explore_is_certain() -> None:
    found = shown([3, 1, 0, 4], 3, 0.9)
    assert found["propensity"].to_pylist()[:3] == [1.0, 1.0, 1.0]
    assert found["output"].to_pylist()[0] == ["i0", "i1", "i2"]


def test_a_swapped_item_brings_its_own_score_and_reason() -> None:
    found = shown([9] * 200, 3, 0.9)
    for row in found.to_pylist():
        places = [int(item[1:]) for item in row["output"]]
        assert row["score"] == [1 / (place + 2) for place in places]
        assert row["reason"] == [f"why\t{place}" for place in places]
        assert len(set(places)) == 3


def test_the_same_generator_gives_the_same_lists() -> None:
    assert shown([9] * 50, 3, 0.5, seed=4).equals(shown([9] * 50, 3, 0.5, seed=4))


def test_what_is_too_improbable_is_not_shown_and_that_is_certain() -> None:
    rng = np.random.default_rng(0)
    for explore in (0.0, 0.9):
        asked = inputs([9, 1, 0] * 100)
        found = answer(Shelf(), nn.Identity(), asked, 1, explore, rng, abstain=0.51)
        assert found["output"].to_pylist() == [[]] * 300
        assert set(found["propensity"].to_pylist()) == {1.0}
    assert answer(Shelf(), nn.Identity(), asked, 1, 0.0, rng, abstain=0.5)["output"].to_pylist()[
        :3
    ] == [["i0"], ["i0"], []]

"""A task small enough to know all about: a linear softmax over numbers written in the input."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from upwell.records import Example
from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import Trained
from upwell.tables import Dataset, schema

Same: TypeAlias = "Callable[[Trained, Trained], bool]"

CLASSES, INPUTS = 4, 6
START = datetime(2026, 1, 1, tzinfo=UTC)


class Toy:
    """Classifies; ``seen`` are the batches that were collated, as tables."""

    METRIC = "accuracy"
    ABOUT: Literal["item", "answer", "value"] = "answer"

    def __init__(self, batch_by: Literal["row", "user"] = "row", dropout: float = 0.0) -> None:
        self.BATCH_BY: Literal["row", "user"] = batch_by
        self.dropout = dropout
        self.seen: list[pa.Table] = []

    def toy(self, seed: int) -> Dataset:
        world = World(seed)
        return Dataset(world.rows(200, 200), world.rows(50, 50), world.rows(50, 0), pa.table({}))

    def start(self, base: str, data: Dataset, seed: int) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        linear = nn.Linear(INPUTS, CLASSES)
        with torch.no_grad():
            linear.weight.copy_(0.1 * torch.randn(CLASSES, INPUTS, generator=generator))
            linear.bias.zero_()
        return nn.Sequential(nn.Dropout(self.dropout), linear)

    def load(self, folder: Path) -> nn.Module:
        raise AssertionError("training loads nothing")

    def save(self, model: nn.Module, folder: Path) -> None:
        raise AssertionError("training saves nothing")

    def collate(self, model: nn.Module, rows: pa.Table) -> Mapping[str, Tensor]:
        self.seen.append(rows)
        inputs = [json.loads(text) for text in rows["input"].to_pylist()]
        target = [int(text) for text in rows["target"].to_pylist()]
        return {"inputs": torch.tensor(inputs), "target": torch.tensor(target)}

    def log_prob(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        scores: Tensor = model(batch["inputs"]).log_softmax(-1)
        return scores.gather(1, batch["target"][:, None])[:, 0]

    def answer(self, model: nn.Module, inputs: pa.Table, k: int) -> pa.Table:
        raise AssertionError("training answers nothing")

    def mark(self, rows: pa.Table, answers: pa.Table) -> pa.Table:
        raise AssertionError("training marks nothing")

    def accuracy(self, model: nn.Module, rows: pa.Table) -> float:
        """Share of the rows whose target is the model's most probable class."""
        batch = self.collate(model, rows)
        with torch.no_grad():
            hits = model.eval()(batch["inputs"]).argmax(-1) == batch["target"]
        return float(hits.float().mean())


class World:
    """Inputs whose true class is known, and users who react to classes shown at random."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.truth = np.random.default_rng(0).normal(size=(INPUTS, CLASSES))

    def rows(self, labels: int, feedback: int, flips: float = 0.1, context: int = 0) -> pa.Table:
        """Labels with the true class, noisy signs on random classes, and rows of weight 0."""
        n = labels + feedback + context
        inputs = self.rng.normal(size=(n, INPUTS)).round(3)
        true = (inputs @ self.truth).argmax(1)
        shown = self.rng.integers(0, CLASSES, n)
        agrees = (shown == true) != (self.rng.random(n) < flips)
        label = np.arange(n) < labels
        signs = np.where(agrees, 1, -1).tolist()
        sign = [None if ours else s for ours, s in zip(label, signs, strict=True)]
        weight = (np.arange(n) < labels + feedback).astype(float)
        return example_rows(inputs, np.where(label, true, shown), sign, weight)


def example_rows(
    inputs: NDArray[np.float64],
    target: NDArray[np.int64],
    sign: list[int | None],
    weight: NDArray[np.float64],
) -> pa.Table:
    """A table of Examples; three users take turns."""
    n = len(target)
    columns: dict[str, object] = {
        "id": [f"e{i}" for i in range(n)],
        "user": [f"u{i % 3}" for i in range(n)],
        "task": ["toy"] * n,
        "input": [json.dumps(row.tolist()) for row in inputs],
        "target": [str(t) for t in target],
        "sign": sign,
        "weight": weight,
        "reliability": [1.0] * n,
        "propensity": [None] * n,
        "group": [""] * n,
        "at": [START + timedelta(minutes=i) for i in range(n)],
        "sources": [[]] * n,
        "features": [[]] * n,
    }
    return pa.table(columns, schema=schema(Example))


@pytest.fixture
def toy() -> Toy:
    return Toy()


@pytest.fixture
def toys() -> type[Toy]:
    return Toy


@pytest.fixture
def worlds() -> type[World]:
    return World


@pytest.fixture
def same() -> Same:
    """Whether two trainings gave the same weights and numbers, seconds apart."""
    return _same


def _same(one: Trained, other: Trained) -> bool:
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    equal = all(torch.equal(a, b) for a, b in pairs)
    return (
        equal
        and one.curve.drop_columns("seconds") == other.curve.drop_columns("seconds")
        and one.best_epoch == other.best_epoch
    )


@pytest.fixture
def data(toy: Toy) -> Dataset:
    return toy.toy(1)


@pytest.fixture
def settings() -> TuneSettings:
    return TuneSettings(epochs=6, patience=3, batch_rows=64, learning_rate=0.05, average=0.5)

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

from upwell.settings import TuneSettings
from upwell.stages.tune.search import TRIED, choose_label_share
from upwell.tables import Dataset

if TYPE_CHECKING:
    from tests.stages.tune.conftest import Toy, World


def test_a_set_lambda_is_taken(toy: Toy, data: Dataset, settings: TuneSettings) -> None:
    model = toy.start("", data, 0)
    fixed = settings.model_copy(update={"label_share": 0.9, "label_share_grid": (0.2, 0.4)})
    found = choose_label_share(toy, model, data, fixed, seed=0)
    assert (found.value, found.by, found.tried.num_rows) == (0.9, "settings", 0)


def test_without_a_grid_the_rule_holds_and_nothing_is_trained(
    toy: Toy, worlds: type[World], data: Dataset, settings: TuneSettings
) -> None:
    model = toy.start("", data, 0)
    found = choose_label_share(
        toy, model, replace(data, train=worlds(0).rows(30, 70)), settings, seed=0
    )
    assert found.value == pytest.approx(0.3)
    assert found.by == "rule"
    assert toy.seen == []


def test_a_grid_is_judged_on_validation_and_leaves_the_model_alone(
    toy: Toy, worlds: type[World], settings: TuneSettings
) -> None:
    world = worlds(3)
    data = Dataset(world.rows(300, 300, flips=0.5), world.rows(300, 0), world.rows(0, 0), None)
    model = toy.start("", data, 0)
    start = [p.detach().clone() for p in model.parameters()]
    grid = settings.model_copy(update={"epochs": 40, "label_share_grid": (0.0, 0.5, 1.0)})
    found = choose_label_share(toy, model, data, grid, seed=0)
    # Feedback that tosses coins teaches nothing: labels must lead.
    assert found.by == "grid"
    assert found.value >= 0.5
    assert found.tried.schema == TRIED
    assert found.tried["label_share"].to_pylist() == [0.0, 0.5, 1.0]
    by_share = dict(zip(*found.tried.to_pydict().values(), strict=True))
    assert found.value == min(by_share, key=lambda share: by_share[share])
    assert all(map(torch.equal, start, model.parameters()))


def test_a_metric_judges_the_grid_where_one_is_given(
    toy: Toy, data: Dataset, settings: TuneSettings
) -> None:
    grid = settings.model_copy(update={"label_share_grid": (0.2, 0.8)})
    found = choose_label_share(
        toy, toy.start("", data, 0), data, grid, seed=0,
        metric=lambda model: toy.accuracy(model, data.validation.slice(0, 50)),
    )  # fmt: skip
    tried = found.tried["validation"].to_pylist()
    assert found.value == (0.2, 0.8)[tried.index(max(tried))]


def test_with_nothing_held_out_the_rule_holds(
    toy: Toy, data: Dataset, settings: TuneSettings
) -> None:
    grid = settings.model_copy(update={"label_share_grid": (0.2, 0.8)})
    bare = replace(data, validation=data.validation.slice(0, 0))
    found = choose_label_share(toy, toy.start("", data, 0), bare, grid, seed=0)
    assert found.value == pytest.approx(0.5)
    assert found.by == "rule"

"""Objectives with a reference, accumulation and blending, through the whole of ``train``."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
import torch
from torch import nn

from upwell.settings import TuneSettings
from upwell.stages.tune.batches import Batches
from upwell.stages.tune.learner import Learner, processes
from upwell.stages.tune.objective import OBJECTIVES
from upwell.stages.tune.reference import reference
from upwell.stages.tune.trainer import Progress, Trained, train
from upwell.tables import Dataset

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stages.tune.conftest import Same, Toy, World


def run(
    toy: Toy,
    data: Dataset,
    settings: TuneSettings,
    champion: nn.Module | None = None,
    share: float = 0.5,
) -> Trained:
    return train(
        toy, toy.start("", data, 0), data, settings, label_share=share, seed=5, champion=champion
    )


@pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - {"textbook"}))
def test_every_objective_learns_from_feedback_alone(
    toy: Toy, worlds: type[World], settings: TuneSettings, name: str
) -> None:
    world = worlds(3)
    data = Dataset(world.rows(0, 1500), world.rows(0, 200), world.rows(500, 0), pa.table({}))
    update = {"objective": name, "epochs": 12, "patience": 12, "beta": 1.0, "batch_rows": 256}
    before = toy.accuracy(toy.start("", data, 0), data.test)
    trained = run(toy, data, settings.model_copy(update=update), share=0.0)
    assert trained.best_epoch > 0
    assert toy.accuracy(trained.model, data.test) > before + 0.2


def test_the_reference_is_the_start_or_the_live_model(
    toy: Toy, data: Dataset, settings: TuneSettings
) -> None:
    model, live = toy.start("", data, 0), toy.start("", data, 3)
    with torch.no_grad():
        live.get_parameter("1.bias")[2] = -math.inf
    batches = Batches(toy, model, data.train, 64, 0)
    learner = Learner(toy, model, settings, 0, processes(), batches)
    batch = toy.collate(model, data.train)
    with torch.no_grad():
        expected, known = (toy.log_prob(one.eval(), batch) for one in (model, live))
    torch.testing.assert_close(reference(learner, batches, None), expected)
    found = reference(learner, batches, live)
    unheard = batch["target"] == 2
    torch.testing.assert_close(found[~unheard], known[~unheard])
    torch.testing.assert_close(found[unheard], expected[unheard])


def test_a_live_model_as_reference_changes_what_is_learned(
    same: Same, toy: Toy, data: Dataset, settings: TuneSettings
) -> None:
    live = toy.start("", data, 3)
    weights = [p.clone() for p in live.parameters()]
    kto = settings.model_copy(update={"objective": "kto", "beta": 1.0})
    assert not same(run(toy, data, kto), run(toy, data, kto, live))
    assert same(run(toy, data, settings), run(toy, data, settings, live))
    assert all(map(torch.equal, weights, live.parameters()))


def test_two_batches_a_step_are_one_of_twice_the_size(
    toy: Toy, worlds: type[World], settings: TuneSettings
) -> None:
    """Without an average and with one step an epoch, the batch's size cannot matter."""
    data = Dataset(worlds(0).rows(32, 32), worlds(1).rows(20, 20), worlds(2).rows(9, 0), None)
    plain = settings.model_copy(update={"average": 0.0, "batch_rows": 64})
    halves = plain.model_copy(update={"batch_rows": 32, "accumulate": 2})
    whole, parts = run(toy, data, plain), run(toy, data, halves)
    for one, other in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("accumulate", [1, 2, 4, 100])
def test_the_last_step_of_an_epoch_may_be_smaller(
    toy: Toy, data: Dataset, settings: TuneSettings, accumulate: int
) -> None:
    model = toy.start("", data, 0)
    batches = Batches(toy, model, data.train, 60, 0)
    asked = settings.model_copy(update={"accumulate": accumulate})
    learner = Learner(toy, model, asked, 0, processes(), batches)
    learner.learn(batches, 0.5, 1)
    assert len(batches) == 7
    assert learner.steps == math.ceil(7 / accumulate)


def test_a_blend_is_kept_where_validation_prefers_it(
    toy: Toy, worlds: type[World], settings: TuneSettings
) -> None:
    """What is learned from wrong signs is worse than half of it."""
    world = worlds(0)
    data = Dataset(world.rows(12, 12, flips=0.5), world.rows(300, 0), world.rows(9, 0), None)
    hasty = settings.model_copy(update={"epochs": 1, "learning_rate": 2.0, "average": 0.0})
    whole = run(toy, data, hasty)
    blended = run(toy, data, hasty.model_copy(update={"blend": (0.1, 0.25, 0.5, 0.75)}))
    assert "blend" not in whole.diagnostics
    if whole.best_epoch:
        assert blended.diagnostics["blend"] in {0.1, 0.25, 0.5, 0.75, 1.0}
    start = toy.start("", data, 0)
    share = blended.diagnostics["blend"]
    assert isinstance(share, float)
    for first, last, mixed in zip(
        start.parameters(), whole.model.parameters(), blended.model.parameters(), strict=True
    ):
        torch.testing.assert_close(mixed, first + share * (last - first))


def test_the_best_blend_wins_and_says_by_how_much(
    toy: Toy, data: Dataset, settings: TuneSettings
) -> None:
    """A metric that likes weights near the start's chooses the smallest share."""
    start = next(toy.start("", data, 0).parameters()).detach().clone()
    epochs = iter([0.0, 0.5, 1.0])

    def metric(model: nn.Module) -> float:
        told = next(epochs, None)
        if told is not None:
            return told
        return 2.0 - float((next(model.parameters()).detach() - start).norm())

    two = settings.model_copy(update={"epochs": 2, "blend": (0.5, 0.01)})
    model = toy.start("", data, 0)
    done = train(toy, model, data, two, label_share=0.5, seed=5, metric=metric)
    assert done.diagnostics["blend"] == 0.01
    assert done.diagnostics["blend_gain"] == pytest.approx(1.0, abs=0.1)


def test_with_nothing_held_out_all_that_was_learned_is_kept(
    toy: Toy, data: Dataset, settings: TuneSettings
) -> None:
    bare = replace(data, validation=data.validation.slice(0, 0))
    done = run(toy, bare, settings.model_copy(update={"blend": (0.5,)}))
    assert (done.diagnostics["blend"], done.diagnostics["blend_gain"]) == (1.0, 0.0)


@pytest.mark.parametrize("objective", ["dpo", "npo"])
def test_a_killed_training_goes_on_with_its_reference_and_its_start(
    same: Same, toys: type[Toy], data: Dataset, settings: TuneSettings, tmp_path: Path,
    objective: str,
) -> None:  # fmt: skip
    toy = toys(dropout=0.3)
    update = {"objective": objective, "blend": (0.3, 0.6), "accumulate": 2, "rdrop": 0.5}
    settings = settings.model_copy(update=update)
    whole = run(toy, data, settings)

    class KilledError(Exception):
        """The process was killed here."""

    def kill(progress: Progress) -> None:
        raise KilledError

    with pytest.raises(KilledError):
        train(
            toy, toy.start("", data, 0), data, settings,
            label_share=0.5, seed=5, checkpoint=tmp_path, progress=kill,
        )  # fmt: skip
    resumed = train(
        toy, toy.start("", data, 99), data, settings,
        label_share=0.5, seed=5, checkpoint=tmp_path,
    )  # fmt: skip
    assert same(whole, resumed)
    assert whole.diagnostics["blend"] == resumed.diagnostics["blend"]


def test_labels_alone_need_no_gradients_to_compare(
    toy: Toy, worlds: type[World], settings: TuneSettings
) -> None:
    data = Dataset(worlds(0).rows(50, 0), worlds(1).rows(20, 0), worlds(2).rows(9, 0), None)
    done = run(toy, data, settings.model_copy(update={"epochs": 1}), share=1.0)
    assert done.diagnostics["gradient_cosine"] is None

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from pyarrow import compute as pc
from torch import nn

from upwell.errors import StageError
from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import CURVE, Progress, Trained, train
from upwell.tables import Dataset

if TYPE_CHECKING:
    from tests.stages.tune.conftest import Same, Toy, World


def run(
    toy: Toy, data: Dataset, settings: TuneSettings, seed: int = 5, share: float = 0.5
) -> Trained:
    return train(toy, toy.start("", data, 0), data, settings, label_share=share, seed=seed)


def test_it_learns_and_says_how(toy: Toy, data: Dataset, settings: TuneSettings) -> None:
    before = toy.accuracy(toy.start("", data, 0), data.test)
    seen: list[Progress] = []
    trained = train(
        toy, toy.start("", data, 0), data, settings, label_share=0.5, seed=5, progress=seen.append
    )
    assert toy.accuracy(trained.model, data.test) > before + 0.3
    assert trained.curve.schema == CURVE
    assert trained.curve["epoch"].to_pylist() == list(range(settings.epochs + 1))
    assert [p.epoch for p in seen] == list(range(1, settings.epochs + 1))
    assert {p.of for p in seen} == {settings.epochs}
    assert seen[-1].numbers["validation"] == trained.curve["validation"][-1].as_py()
    losses = trained.curve.to_pylist()[-1]
    assert losses["combined"] == pytest.approx(
        0.5 * losses["label_loss"] + 0.5 * losses["feedback_loss"], rel=1e-5
    )
    assert not trained.model.training
    facts = trained.diagnostics
    assert facts["effective_labels"] == pytest.approx(200)
    assert facts["effective_feedback"] == pytest.approx(200)
    assert facts["negative_mass"] == pytest.approx(0.38, abs=0.1)
    assert isinstance(facts["gradient_cosine"], float)
    assert facts["gradient_cosine"] > 0
    assert facts["kl_to_live"] is None


@pytest.mark.parametrize("objective", ["kto", "apo_zero"])
def test_what_was_said_to_one_input_is_learned_in_one_step(
    toy: Toy, worlds: type[World], settings: TuneSettings, objective: str
) -> None:
    once = worlds(3).rows(0, 20)
    rows = pa.concat_tables([once, once]).set_column(
        0, "id", pa.array([f"e{n}" for n in range(40)])
    )
    data = Dataset(rows, rows.slice(0, 0), rows.slice(0, 0), pa.table({}))
    run(toy, data, settings.model_copy(update={"objective": objective, "batch_rows": 4}), share=0.0)
    counts = [Counter(table["input"].to_pylist()) for table in toy.seen]
    assert {count for one in counts for count in one.values()} == {2}


def test_feedback_teaches_what_few_labels_cannot(
    toy: Toy, worlds: type[World], settings: TuneSettings
) -> None:
    world = worlds(3)
    rows = world.rows(20, 2000)
    data = Dataset(rows, world.rows(100, 100), world.rows(1000, 0), pa.table({}))
    calm = settings.model_copy(update={"epochs": 30, "batch_rows": 256, "patience": 30})
    with_users = toy.accuracy(run(toy, data, calm, share=0.2).model, data.test)
    alone = replace(data, train=rows.slice(0, 20))
    without = toy.accuracy(run(toy, alone, calm, share=1.0).model, data.test)
    assert with_users > without + 0.1


def test_a_seed_gives_the_same_numbers_and_another_seed_others(
    same: Same, toys: type[Toy], data: Dataset, settings: TuneSettings
) -> None:
    toy = toys(dropout=0.3)
    torch.manual_seed(1)
    first = run(toy, data, settings)
    torch.manual_seed(2)
    assert same(first, run(toy, data, settings))
    assert not same(first, run(toy, data, settings, seed=6))


def test_training_leaves_the_caller_s_randomness_alone(
    toys: type[Toy], data: Dataset, settings: TuneSettings
) -> None:
    toy = toys(dropout=0.3)
    model = toy.start("", data, 0)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    train(toy, model, data, settings, label_share=0.5, seed=5)
    assert torch.equal(torch.rand(3), expected)


def test_the_best_epoch_is_kept_and_patience_ends_the_rest(
    toy: Toy, data: Dataset, settings: TuneSettings
) -> None:
    scores = iter([0.1, 0.2, 0.9, 0.5, 0.6, 0.7, 0.8])
    kept: list[torch.Tensor] = []

    def metric(model: nn.Module) -> float:
        kept.append(next(model.parameters()).detach().clone())
        return next(scores)

    trained = train(
        toy, toy.start("", data, 0), data, settings, label_share=0.5, seed=5, metric=metric
    )
    assert trained.best_epoch == 2
    assert trained.curve["validation"].to_pylist() == [0.1, 0.2, 0.9, 0.5, 0.6, 0.7]
    assert torch.equal(next(trained.model.parameters()), kept[2])


def test_a_start_that_is_never_bettered_is_kept(
    toy: Toy, data: Dataset, settings: TuneSettings
) -> None:
    model = toy.start("", data, 0)
    start = [p.detach().clone() for p in model.parameters()]
    trained = train(toy, model, data, settings, label_share=0.5, seed=5, metric=lambda _: 0.0)
    assert trained.best_epoch == 0
    assert all(map(torch.equal, start, trained.model.parameters()))


def test_pairs_are_validated_by_their_difference(
    toy: Toy, data: Dataset, settings: TuneSettings
) -> None:
    pairs = settings.model_copy(update={"objective": "dpo"})
    trained = run(toy, data, pairs, share=0.0)
    begin, *later = trained.curve["validation"].to_pylist()
    assert begin == pytest.approx(0.5)
    assert min(later) < begin
    assert trained.best_epoch > 0


def test_dislikes_without_a_partner_do_not_judge_pairs(
    toy: Toy, data: Dataset, settings: TuneSettings
) -> None:
    """Whatever makes all less probable would win them."""
    pairs = settings.model_copy(update={"objective": "dpo"})
    held_out = data.validation
    liked = held_out.filter(pc.greater_equal(held_out["sign"].fill_null(1), 0))
    assert 0 < liked.num_rows < held_out.num_rows
    whole, less = (
        run(toy, replace(data, validation=rows), pairs, share=0.0).curve["validation"].to_pylist()
        for rows in (held_out, liked)
    )
    assert whole == pytest.approx(less)


def test_without_validation_the_last_epoch_is_kept(
    toy: Toy, data: Dataset, settings: TuneSettings
) -> None:
    trained = run(toy, replace(data, validation=data.validation.slice(0, 0)), settings)
    assert trained.best_epoch == settings.epochs
    assert trained.curve["validation"].null_count == settings.epochs + 1


@pytest.mark.parametrize("by", ["row", "user"])
def test_context_changes_no_loss(
    same: Same,
    toys: type[Toy],
    worlds: type[World],
    settings: TuneSettings,
    by: Literal["row", "user"],
) -> None:
    toy = toys(by)
    rows = worlds(4).rows(100, 100, context=60)
    order = np.argsort(np.arange(260) % 3, kind="stable")
    data = Dataset(rows.take(order), worlds(5).rows(50, 50), rows, pa.table({}))
    other = rows.set_column(
        rows.schema.get_field_index("target"),
        rows.schema.field("target"),
        pa.array([*rows["target"].to_pylist()[:200], *["3"] * 60]),
    )
    changed = replace(data, train=other.take(order))
    assert same(run(toy, data, settings), run(toy, changed, settings))


def test_frozen_weights_stay(toy: Toy, data: Dataset, settings: TuneSettings) -> None:
    model = toy.start("", data, 0)
    bias = model.get_parameter("1.bias").requires_grad_(False)
    trained = train(toy, model, data, settings, label_share=0.5, seed=5)
    assert bias.eq(0).all()
    assert trained.best_epoch > 0
    model.requires_grad_(False)
    with pytest.raises(StageError) as caught:
        train(toy, model, data, settings, label_share=0.5, seed=5)
    assert caught.value.code == "tune.nothing_to_train"
    assert all(caught.value.explain("zh"))


def test_only_context_is_nothing_to_learn_from(
    toy: Toy, worlds: type[World], data: Dataset, settings: TuneSettings
) -> None:
    with pytest.raises(StageError) as caught:
        run(toy, replace(data, train=worlds(0).rows(0, 0, context=9)), settings)
    assert caught.value.code == "tune.no_rows"
    assert "9" in caught.value.explain("zh")[0]


@pytest.mark.parametrize("share", [1.0, 0.0])
def test_one_side_alone_is_enough(
    toy: Toy, worlds: type[World], data: Dataset, settings: TuneSettings, share: float
) -> None:
    rows = worlds(0).rows(300, 0) if share else worlds(0).rows(0, 300)
    patient = settings.model_copy(update={"epochs": 20, "patience": 20})
    sure = replace(data, train=rows, validation=worlds(1).rows(500, 500))
    trained = run(toy, sure, patient, share=share)
    silent = trained.curve["feedback_loss" if share else "label_loss"]
    assert silent.null_count == len(silent)
    assert toy.accuracy(trained.model, data.test) > 0.5


def test_the_distance_to_the_live_model_is_told(
    toy: Toy, data: Dataset, settings: TuneSettings
) -> None:
    live = run(toy, data, settings).model
    again = train(
        toy, toy.start("", data, 0), data, settings, label_share=0.5, seed=5, champion=live
    )
    assert again.diagnostics["kl_to_live"] == pytest.approx(0.0, abs=1e-9)
    far = train(
        toy, toy.start("", data, 0), data, settings, label_share=0.5, seed=5,
        champion=toy.start("", data, 3),
    ).diagnostics["kl_to_live"]  # fmt: skip
    assert isinstance(far, float)
    assert far > 0.01


def test_the_textbook_loss_runs_away_and_is_named_where_the_bounded_one_learns(
    toy: Toy, worlds: type[World], settings: TuneSettings
) -> None:
    world = worlds(2)
    data = Dataset(world.rows(60, 900), world.rows(200, 200), world.rows(1000, 0), pa.table({}))
    model = toy.start("", data, 0)
    start = toy.accuracy(model, data.test)
    long = settings.model_copy(update={"epochs": 300, "objective": "textbook"})
    losses: list[float] = []
    with pytest.raises(StageError) as caught:
        train(
            toy, model, data, long, label_share=0.2, seed=5,
            progress=lambda p: losses.append(p.numbers["combined"]),
        )  # fmt: skip
    assert caught.value.code == "tune.textbook_diverged"
    assert losses[-1] < 0
    assert all(caught.value.explain("zh"))
    bounded = long.model_copy(update={"objective": "bounded"})
    trained = run(toy, data, bounded, share=0.2)
    assert toy.accuracy(trained.model, data.test) > start + 0.4
    share = trained.diagnostics["negative_mass"]
    assert isinstance(share, float)
    assert share > 0.5


def test_a_loss_that_is_no_number_is_named(toy: Toy, data: Dataset, settings: TuneSettings) -> None:
    model = toy.start("", data, 0)
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with pytest.raises(StageError) as caught:
        train(toy, model, data, settings, label_share=0.5, seed=5)
    assert caught.value.code == "tune.not_finite"


def test_bf16_learns_too_and_an_fp32_training_may_follow(
    same: Same, toy: Toy, data: Dataset, settings: TuneSettings
) -> None:
    rough = run(toy, data, settings.model_copy(update={"precision": "bf16"}))
    fine = run(toy, data, settings.model_copy(update={"precision": "fp32"}))
    assert rough.diagnostics["precision"] == "bf16"
    assert fine.diagnostics["precision"] == "fp32"
    assert not same(rough, fine)
    assert toy.accuracy(rough.model, data.test) > 0.6


def test_another_trainer_s_precision_in_this_process_is_its_own(
    same: Same, toy: Toy, data: Dataset, settings: TuneSettings
) -> None:
    alone = run(toy, data, settings)
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        Accelerator(cpu=True, mixed_precision="bf16")
        assert same(alone, run(toy, data, settings))
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)

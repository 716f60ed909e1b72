from __future__ import annotations

import math

import pytest

from upwell.errors import StageError
from upwell.stages.tune.guard import Row, watch


def curve(*losses: float) -> list[Row]:
    return [{"epoch": epoch, "combined": loss} for epoch, loss in enumerate(losses, 1)]


@pytest.mark.parametrize(
    ("losses", "best_epoch"),
    [((math.nan,), 0), ((-math.inf,), 0), ((0.5, -11.0), 2), ((0.5, -0.1, -0.2, -0.3), 1)],
)
def test_a_runaway_textbook_loss_is_named(losses: tuple[float, ...], best_epoch: int) -> None:
    with pytest.raises(StageError) as caught:
        watch("textbook", curve(*losses), best_epoch, patience=3)
    assert caught.value.code == "tune.textbook_diverged"
    assert 'objective = "bounded"' in caught.value.explain("en")[2]
    assert all(caught.value.explain("zh"))


@pytest.mark.parametrize(
    ("losses", "best_epoch"),
    [
        ((0.5, -0.1, -0.2, -0.3), 2),
        ((0.5, 0.4, 0.3, 0.2), 1),
        ((0.5, -0.1, -0.3, -0.2), 1),
        ((-0.1, -0.2), 0),
    ],
)
def test_a_textbook_loss_that_may_yet_settle_is_left_alone(
    losses: tuple[float, ...], best_epoch: int
) -> None:
    watch("textbook", curve(*losses), best_epoch, patience=3)


def test_any_other_objective_must_only_stay_a_number() -> None:
    watch("bounded", curve(0.5, -11.0), 0, patience=1)
    with pytest.raises(StageError) as caught:
        watch("bounded", curve(math.nan), 0, patience=3)
    assert caught.value.code == "tune.not_finite"
    assert all(caught.value.explain("zh"))


def test_epoch_0_has_no_loss_to_watch() -> None:
    watch("textbook", [{"epoch": 0, "combined": None}], 0, patience=3)

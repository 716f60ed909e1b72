from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from upwell.errors import StageError
from upwell.settings import TuneSettings
from upwell.stages.tune import checkpoint
from upwell.stages.tune.trainer import Progress, train
from upwell.tables import Dataset

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stages.tune.conftest import Same, Toy


class KilledError(Exception):
    """The process was killed here."""


@pytest.mark.parametrize("killed_after", [1, 3, 6])
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_a_killed_training_goes_on_to_the_same_numbers(
    same: Same,
    toys: type[Toy],
    data: Dataset,
    settings: TuneSettings,
    tmp_path: Path,
    killed_after: int,
    average: float,
) -> None:
    toy = toys(dropout=0.3)
    settings = settings.model_copy(update={"average": average})
    whole = train(toy, toy.start("", data, 0), data, settings, label_share=0.5, seed=5)

    def kill(progress: Progress) -> None:
        if progress.epoch == killed_after:
            raise KilledError

    with pytest.raises(KilledError):
        train(
            toy, toy.start("", data, 0), data, settings,
            label_share=0.5, seed=5, checkpoint=tmp_path, progress=kill,
        )  # fmt: skip
    later: list[int] = []
    resumed = train(
        toy, toy.start("", data, 99), data, settings,
        label_share=0.5, seed=5, checkpoint=tmp_path, progress=lambda p: later.append(p.epoch),
    )  # fmt: skip
    assert same(whole, resumed)
    assert later == list(range(killed_after + 1, settings.epochs + 1))
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.FILE]


def test_a_checkpoint_of_another_training_is_refused(
    toy: Toy, data: Dataset, settings: TuneSettings, tmp_path: Path
) -> None:
    model = toy.start("", data, 0)
    train(toy, model, data, settings, label_share=0.5, seed=5, checkpoint=tmp_path)
    with pytest.raises(StageError) as caught:
        train(toy, model, data, settings, label_share=0.5, seed=6, checkpoint=tmp_path)
    assert caught.value.code == "tune.other_checkpoint"
    assert checkpoint.FILE in caught.value.explain("zh")[0]


def test_a_damaged_checkpoint_is_named(
    toy: Toy, data: Dataset, settings: TuneSettings, tmp_path: Path
) -> None:
    model = toy.start("", data, 0)
    train(toy, model, data, settings, label_share=0.5, seed=5, checkpoint=tmp_path)
    file = tmp_path / checkpoint.FILE
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(StageError) as caught:
        train(toy, model, data, settings, label_share=0.5, seed=5, checkpoint=tmp_path)
    assert caught.value.code == "tune.bad_checkpoint"
    assert all(caught.value.explain("zh"))

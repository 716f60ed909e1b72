from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from upwell.settings import TuneSettings
from upwell.stages.tune import vocabulary as words
from upwell.stages.tune.trainer import Trained, train
from upwell.tables import Dataset

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stages.tune.conftest import Same, Toy

KNOWN = 1000


class Words(nn.Module):
    """Scores from the mean of word vectors, 0 being no word; ``tied`` uses the vectors twice."""

    def __init__(self, tied: bool = False) -> None:
        super().__init__()
        self.vectors = nn.Embedding(KNOWN, 6, padding_idx=0)
        self.head = nn.Linear(6, 4)
        self.tied = nn.Linear(6, KNOWN, bias=False) if tied else nn.Identity()
        if isinstance(self.tied, nn.Linear):
            self.tied.weight = self.vectors.weight

    def get_input_embeddings(self) -> nn.Module:
        return self.vectors

    def forward(self, said: Tensor) -> Tensor:
        found: Tensor = self.head(self.vectors(said).mean(1))
        return found


class Said:
    """The toy's rows with words in place of numbers; ``whole`` shows them as they are."""

    METRIC, ABOUT, BATCH_BY = "accuracy", "answer", "row"

    def __init__(self, toy: Toy, whole: bool = True) -> None:
        self.toy = toy
        self.whole = whole

    def collate(self, model: nn.Module, rows: pa.Table) -> Mapping[str, Tensor]:
        batch = dict(self.toy.collate(model, rows))
        said = ((batch["inputs"] + 3).clamp(0, 5.9) * 50).long()
        said[:, 5] = 0
        return batch | {"inputs": said}

    def log_prob(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        inputs = batch["inputs"] if self.whole else batch["inputs"] + 0
        return self.toy.log_prob(model, {**batch, "inputs": inputs})


def fresh(tied: bool = False) -> Words:
    torch.manual_seed(0)
    return Words(tied)


def run(task: Any, model: nn.Module, data: Dataset, settings: TuneSettings, **more: Any) -> Trained:
    return train(task, model, data, settings, label_share=0.5, seed=5, **more)


@pytest.mark.parametrize("objective", ["bounded", "dpo"])
def test_leaving_out_words_that_do_not_occur_changes_nothing(
    toy: Toy,
    data: Dataset,
    settings: TuneSettings,
    monkeypatch: pytest.MonkeyPatch,
    objective: str,
) -> None:
    settings = settings.model_copy(update={"objective": objective})
    plain = run(Said(toy), fresh(), data, settings)
    monkeypatch.setattr(words, "LEAST", 1)
    made: list[words.Vocabulary] = []
    found = words.vocabulary

    def watched(*args: Any) -> words.Vocabulary | None:
        made.extend(one for one in [found(*args)] if one is not None)
        return made[-1] if made else None

    monkeypatch.setattr("upwell.stages.tune.learner.vocabulary", watched)
    fast = run(Said(toy), fresh(), data, settings)
    assert len(made) == 1
    assert len(made[0].used) < KNOWN / 2
    for one, other in zip(plain.model.parameters(), fast.model.parameters(), strict=True):
        assert other.requires_grad
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert list(fast.model.state_dict()) == list(plain.model.state_dict())
    assert not fast.model.get_submodule("vectors")._forward_hooks
    assert plain.curve["validation"].to_pylist() == pytest.approx(
        fast.curve["validation"].to_pylist(), rel=1e-4
    )


def test_it_resumes(
    same: Same,
    toy: Toy,
    data: Dataset,
    settings: TuneSettings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(words, "LEAST", 1)
    settings = settings.model_copy(update={"objective": "kto", "blend": (0.5,)})
    whole = run(Said(toy), fresh(), data, settings)
    run(Said(toy), fresh(), data, settings, checkpoint=tmp_path)
    again = run(Said(toy), fresh(), data, settings, checkpoint=tmp_path)
    assert same(whole, again)
    assert whole.diagnostics["blend_gain"] == again.diagnostics["blend_gain"]


@pytest.mark.parametrize("why", ["small", "frozen", "tied", "altered", "none"])
def test_embeddings_that_must_learn_as_a_whole_do(
    toy: Toy, data: Dataset, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(words, "LEAST", KNOWN * 6 + (why == "small"))
    task, model = Said(toy, whole=why != "altered"), fresh(tied=why == "tied")
    model.vectors.requires_grad_(why != "frozen")
    scorer = _Scorer(task, model)
    batch = SimpleNamespace(inputs=task.collate(model, data.train))
    batches: Any = _Batches([batch])
    found = words.vocabulary(scorer, nn.Linear(1, 1) if why == "none" else model, batches)
    assert found is None


class _Scorer(nn.Module):
    def __init__(self, task: Said, model: nn.Module) -> None:
        super().__init__()
        self.task, self.model = task, model

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.task.log_prob(self.model, inputs)


class _Batches(list[Any]):
    device = torch.device("cpu")

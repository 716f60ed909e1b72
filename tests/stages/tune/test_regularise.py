from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from upwell.errors import StageError
from upwell.settings import TuneSettings
from upwell.stages.tune.regularise import Adversary, Mixup, disagreement
from upwell.stages.tune.trainer import Trained, train
from upwell.tables import Dataset

if TYPE_CHECKING:
    from tests.stages.tune.conftest import Same, Toy

probabilities = st.floats(1e-6, 1 - 1e-6)


def run(task: Any, model: nn.Module, data: Dataset, settings: TuneSettings) -> Trained:
    return train(task, model, data, settings, label_share=0.5, seed=5)


@given(probabilities, probabilities)
def test_disagreement_is_the_mean_of_both_divergences(p: float, q: float) -> None:
    one, other = (torch.tensor([math.log(x)], dtype=torch.float64) for x in (p, q))
    both = (p - q) * (math.log(p / q) + math.log((1 - q) / (1 - p))) / 2
    assert disagreement(one, other).item() == pytest.approx(both, rel=1e-6, abs=1e-9)
    assert disagreement(one, other).item() >= 0


@pytest.mark.parametrize("edge", [0.0, -1e-12, -1e4, -math.inf])
def test_disagreement_is_a_number_at_the_edges(edge: float) -> None:
    one = torch.tensor([edge, edge], requires_grad=True)
    found = disagreement(one, torch.tensor([-1e4, -1e-9]))
    (gradient,) = torch.autograd.grad(found.sum(), one)
    assert found.isfinite().all()
    assert gradient.isfinite().all()


def test_two_passes_agree_where_nothing_is_random(
    same: Same, toy: Toy, toys: type[Toy], data: Dataset, settings: TuneSettings
) -> None:
    dropped = settings.model_copy(update={"rdrop": 3.0})
    plain, doubled = (run(toy, toy.start("", data, 0), data, s) for s in (settings, dropped))
    # The loss is a mean of two equal ones: the same numbers but for the last digits.
    pairs = zip(plain.model.parameters(), doubled.model.parameters(), strict=True)
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in pairs)
    noisy = toys(dropout=0.5)
    free, held = (run(noisy, noisy.start("", data, 0), data, s) for s in (settings, dropped))
    assert not same(free, held)
    assert toy.accuracy(held.model, data.test) > 0.5


class Pooled(nn.Module):
    """Numbers as they are, through ``pooled``, to scores."""

    def __init__(self) -> None:
        super().__init__()
        self.pooled = nn.Identity()
        self.head = nn.Linear(6, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.head(self.pooled(inputs))
        return found


def test_mixup_keeps_most_of_each_row_and_only_while_training() -> None:
    torch.manual_seed(0)
    part = nn.Identity()
    mixup = Mixup(part, 0.4)
    rows = torch.eye(2000)
    mixed = part(rows)
    kept = mixed.diagonal()
    assert torch.allclose(mixed.sum(1), torch.ones(2000))
    # Beta(1.4, .4) has mean 7/9.
    assert kept.mean().item() == pytest.approx(7 / 9, abs=0.02)
    assert (mixed > 0).sum(1).max() == 2
    part.eval()
    assert torch.equal(part(rows), rows)
    part.train()
    with torch.no_grad():
        assert torch.equal(part(rows), rows)
    mixup.hook.remove()
    assert torch.equal(part(rows), rows)


def test_one_sided_mixup_has_the_mean_of_the_two_sided_one() -> None:
    """One linear score of two rows: the loss with both targets, and with the row's own alone."""
    torch.manual_seed(0)
    alpha, n = 0.7, 400_000
    features, target = torch.tensor([-1.0, 2.0]), torch.tensor([-1.0, 1.0])

    def loss(share: Tensor, mine: int) -> Tensor:
        mixed = share * features[mine] + (1 - share) * features[1 - mine]
        return nn.functional.softplus(-target[mine] * mixed)

    both = torch.distributions.Beta(alpha, alpha).sample((n,))
    two_sided = torch.stack(
        [both * loss(both, i) + (1 - both) * loss(1 - both, 1 - i) for i in (0, 1)]
    )
    one = torch.distributions.Beta(alpha + 1, alpha).sample((n,))
    one_sided = torch.stack([loss(one, i) for i in (0, 1)])
    assert one_sided.mean().item() == pytest.approx(two_sided.mean().item(), rel=5e-3)


def test_a_model_with_pooled_features_learns_mixed_ones(
    same: Same, toy: Toy, data: Dataset, settings: TuneSettings
) -> None:
    def fresh() -> nn.Module:
        torch.manual_seed(0)
        return Pooled()

    mixed = settings.model_copy(update={"mixup": 0.3})
    plain, one, other = (run(toy, fresh(), data, s) for s in (settings, mixed, mixed))
    assert same(one, other)
    assert not same(plain, one)
    assert toy.accuracy(one.model, data.test) > 0.5
    assert not one.model.get_submodule("pooled")._forward_hooks


@pytest.mark.parametrize(
    ("setting", "code"), [("mixup", "tune.nothing_pooled"), ("adversarial", "tune.no_embeddings")]
)
def test_a_model_without_the_part_that_is_needed_is_named(
    toy: Toy, data: Dataset, settings: TuneSettings, setting: str, code: str
) -> None:
    with pytest.raises(StageError) as caught:
        run(toy, toy.start("", data, 0), data, settings.model_copy(update={setting: 0.5}))
    assert caught.value.code == code
    assert all(caught.value.explain("en"))
    assert all(caught.value.explain("zh"))


class Words(nn.Module):
    """Scores from the mean of three word vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.vectors = nn.Embedding(40, 6)
        self.head = nn.Linear(6, 4)

    def get_input_embeddings(self) -> nn.Module:
        return self.vectors

    def forward(self, words: Tensor) -> Tensor:
        found: Tensor = self.head(self.vectors(words).mean(1))
        return found


class Said:
    """The toy's rows, with words in place of numbers: the class is that of the larger numbers."""

    def __init__(self, toy: Toy) -> None:
        self.toy = toy
        self.METRIC, self.ABOUT, self.BATCH_BY = toy.METRIC, toy.ABOUT, toy.BATCH_BY

    def collate(self, model: nn.Module, rows: pa.Table) -> Mapping[str, Tensor]:
        batch = dict(self.toy.collate(model, rows))
        batch["inputs"] = ((batch["inputs"][:, :3] + 3).clamp(0, 5.9) * 6).long()
        return batch

    def log_prob(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        return self.toy.log_prob(model, batch)


def test_the_worst_step_is_as_long_as_asked_and_raises_the_loss() -> None:
    torch.manual_seed(0)
    model = Words()
    adversary = Adversary(model.vectors, 0.25)
    words = torch.randint(0, 40, (5, 3))
    passed: list[Tensor] = []
    model.vectors.register_forward_hook(lambda _, __, out: passed.append(out.detach()))
    with adversary.watch():
        loss = -model(words).log_softmax(-1)[:, 0].sum()
    torch.autograd.backward(loss)
    with adversary.attack():
        hard = -model(words).log_softmax(-1)[:, 0].sum()
    assert hard > loss
    moved = (passed[1] - passed[0]).flatten(1).norm(dim=1)
    assert moved.tolist() == pytest.approx([0.25] * 5, rel=1e-4)
    assert (-model(words).log_softmax(-1)[:, 0].sum()).item() == pytest.approx(loss.item())


@pytest.mark.parametrize("frozen", [False, True])
def test_training_against_worst_steps_learns_too(
    same: Same, toy: Toy, data: Dataset, settings: TuneSettings, frozen: bool
) -> None:
    said = Said(toy)
    long = settings.model_copy(update={"epochs": 15, "patience": 15, "adversarial": 0.3})

    def fresh() -> nn.Module:
        torch.manual_seed(0)
        model = Words()
        model.vectors.requires_grad_(not frozen)
        return model

    one, other = (run(said, fresh(), data, long) for _ in range(2))
    assert same(one, other)
    first, *later = one.curve["validation"].to_pylist()
    assert min(later) < first
    assert not one.model.get_submodule("vectors")._forward_hooks

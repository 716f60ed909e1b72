from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import logsigmoid

from upwell.settings import TuneSettings
from upwell.stages.tune.objective import OBJECTIVES, REFERENCED
from upwell.stages.tune.shown import LOWEST, Shown, example

MINIMA = dict.fromkeys(OBJECTIVES, 0.0) | {"ips": -20.0, "snips": -math.inf}
"""No loss of a row is below this; snips is bounded as a mean, the textbook loss not at all."""
MINIMA["textbook"] = -math.inf
MAXIMA = {"bounded": 1 / 0.7, "ips": 20.0, "kto": 1.0, "apo_zero": 1.0}

log_probs = st.floats(LOWEST, 0.0) | st.sampled_from([LOWEST, 0.0, -1e-12, -1e-7, -100.0])
signs = st.sampled_from([-1.0, 1.0])
propensities = st.floats(1e-9, 1.0) | st.just(math.nan)
one_row = st.tuples(log_probs, signs, st.floats(0.01, 5.0), propensities, log_probs)
many_rows = st.lists(one_row, min_size=1, max_size=6)
names = sorted(OBJECTIVES)


def shown(rows: list[tuple[float, ...]], *, paired: bool = False) -> Shown:
    log_prob, sign, weight, propensity, reference = torch.tensor(rows, dtype=torch.float64).T
    partner = torch.full((len(rows),), -1)
    if paired and len(rows) > 1:
        sign = torch.cat([sign[:1], -sign[:1], sign[2:]])
        partner[0], partner[1] = 1, 0
    return Shown(
        log_prob.requires_grad_(), sign, weight, torch.ones(len(rows), dtype=torch.float64),
        propensity, reference, partner,
    )  # fmt: skip


def slopes(name: str, rows: Shown, settings: TuneSettings) -> tuple[Tensor, Tensor]:
    """Losses, and the gradient of their weighted sum."""
    losses = OBJECTIVES[name](rows, settings)
    (gradient,) = torch.autograd.grad((rows.weight * losses).sum(), rows.log_prob)
    return losses.detach(), gradient


def test_every_name_in_the_settings_has_its_loss() -> None:
    wanted = TuneSettings.model_fields["objective"].annotation
    assert set(get_args(wanted)) == set(OBJECTIVES)
    assert set(OBJECTIVES) > REFERENCED


@pytest.mark.parametrize("name", names)
@given(rows=many_rows, paired=st.booleans())
def test_losses_and_gradients_are_finite_and_losses_bounded_below(
    name: str, rows: list[tuple[float, ...]], paired: bool
) -> None:
    seen = shown(rows, paired=paired)
    losses, gradient = slopes(name, seen, TuneSettings())
    assert losses.shape == (len(rows),)
    assert losses.isfinite().all()
    assert gradient.isfinite().all()
    assert (losses >= MINIMA[name] - 1e-9).all()
    assert (losses <= MAXIMA.get(name, math.inf) + 1e-9).all()
    mean = (seen.weight * losses).sum() / seen.weight.sum()
    if name == "snips":
        assert -1 - 1e-9 <= mean <= 1 + 1e-9


@pytest.mark.parametrize("name", names)
@given(rows=many_rows, paired=st.booleans())
def test_likes_are_pushed_up_and_dislikes_down(
    name: str, rows: list[tuple[float, ...]], paired: bool
) -> None:
    seen = shown(rows, paired=paired)
    _, gradient = slopes(name, seen, TuneSettings())
    assert (gradient * seen.sign <= 1e-12).all()


@pytest.mark.parametrize("name", [n for n in names if n not in {"snips", "positives", "textbook"}])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_is_not_yet_satisfied_is_pushed(name: str, sign: float) -> None:
    seen = shown([(math.log(0.4), sign, 1.0, 0.5, math.log(0.4))])
    _, gradient = slopes(name, seen, TuneSettings())
    assert gradient.item() * sign < -1e-3


SETTLED = [n for n in names if n not in {"textbook", "snips", *REFERENCED}]


@pytest.mark.parametrize("name", SETTLED)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_satisfied_row_no_longer_pushes_its_logit(name: str, sign: float) -> None:
    assert abs(push(name, 25.0 * sign, sign)) < 1e-9


def push(name: str, logit: float, sign: float, **settings: float) -> float:
    """Gradient on the logit of a target that once had an even chance."""
    z = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    ones = torch.ones(1, dtype=torch.float64)
    reference = math.log(0.5) * ones
    seen = Shown(logsigmoid(z), sign * ones, ones, ones, ones, reference)
    loss = OBJECTIVES[name](seen, TuneSettings.model_validate(settings))
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    return float(gradient)


@pytest.mark.parametrize("name", ["kto", "apo_zero", "dpo", "npo"])
def test_a_preference_settles_with_the_distance_from_the_reference(name: str) -> None:
    at = [abs(push(name, logit, -1.0, beta=1.0)) for logit in (0.0, -5.0, -10.0, -25.0)]
    assert at == sorted(at, reverse=True)
    assert at[-1] < 1e-9
    assert abs(push(name, 25.0, 1.0, beta=1.0)) < 1e-9


def test_the_textbook_loss_has_no_lower_bound_and_never_settles() -> None:
    seen = shown([(LOWEST, -1.0, 1.0, 1.0, 0.0)])
    losses, gradient = slopes("textbook", seen, TuneSettings())
    assert losses.tolist() == [LOWEST]
    assert gradient.tolist() == [1.0]


def test_a_snips_batch_of_one_sign_teaches_nothing_and_a_mixed_one_settles() -> None:
    same = shown([(-1.0, 1.0, 1.0, 0.5, 0.0), (-2.0, 1.0, 2.0, 0.1, 0.0)])
    assert slopes("snips", same, TuneSettings())[1].abs().max() < 1e-12
    settled = shown([(-1e-9, 1.0, 1.0, 0.5, 0.0), (-40.0, -1.0, 1.0, 0.5, 0.0)])
    assert slopes("snips", settled, TuneSettings())[1].abs().max() < 1e-12


@given(rows=many_rows, factor=st.floats(0.1, 10.0))
def test_snips_is_the_ratio_of_two_weighted_sums(
    rows: list[tuple[float, ...]], factor: float
) -> None:
    settings = TuneSettings(clip=5.0)
    near = [(max(x, -50.0), *rest) for x, *rest in rows]
    seen = shown(near)
    losses, _ = slopes("snips", seen, settings)
    weights = seen.propensity.nan_to_num(1.0).clamp(min=0.2).reciprocal() * seen.log_prob.exp()
    earned = (seen.weight * weights * seen.sign).sum() / (seen.weight * weights).sum()
    mean = (seen.weight * losses).sum() / seen.weight.sum()
    assert mean.item() == pytest.approx(-earned.item(), abs=1e-6)
    other = shown([(x, s, w * factor, p, r) for x, s, w, p, r in near])
    torch.testing.assert_close(losses, slopes("snips", other, settings)[0])


def test_ips_earns_what_the_model_would_earn() -> None:
    """Four targets shown at known rates: the mean loss is minus the model's expected sign."""
    shows, model = torch.tensor([0.7, 0.1, 0.1, 0.1]), torch.tensor([0.1, 0.2, 0.3, 0.4])
    signs = torch.tensor([1.0, -1.0, 1.0, -1.0])
    counts = (shows * 1000).round().long()
    target = torch.repeat_interleave(torch.arange(4), counts)
    ones = torch.ones(len(target))
    seen = Shown(model.log()[target], signs[target], ones, ones, shows[target])
    loss = OBJECTIVES["ips"](seen, TuneSettings()).mean()
    assert loss.item() == pytest.approx(-float((model * signs).sum()), abs=1e-6)


def test_smoothed_dpo_has_its_minimum_where_it_says() -> None:
    settled = math.log(0.9 / 0.1)
    at = math.log(0.5) + settled  # f·r with an even reference
    x = torch.tensor([at], dtype=torch.float64, requires_grad=True)
    ones = torch.ones(1, dtype=torch.float64)
    # Positive log-probabilities are no matter of the formula: shift the reference instead.
    seen = Shown(x - settled, ones, ones, ones, ones, torch.tensor([at - 2 * settled]))
    settings = TuneSettings(beta=1.0, label_smoothing=0.1)
    (gradient,) = torch.autograd.grad(OBJECTIVES["dpo"](seen, settings).sum(), x)
    assert gradient.item() == pytest.approx(0.0, abs=1e-6)


def test_a_pair_is_held_against_its_partner_and_a_single_row_against_its_reference() -> None:
    rows = example([0.4, 0.1], [1, -1], reference=[0.2, 0.2], partner=[1, 0])
    pair = OBJECTIVES["dpo"](rows, TuneSettings(beta=1.0))
    assert pair.tolist() == pytest.approx([-math.log(0.8)] * 2)
    alone = OBJECTIVES["dpo"](example([0.4], [1], reference=[0.2]), TuneSettings(beta=1.0))
    assert alone.item() == pytest.approx(-math.log(2 / 3))


@pytest.mark.parametrize("name", sorted(REFERENCED))
def test_without_a_reference_the_model_is_its_own(name: str) -> None:
    bare = example([0.3, 0.3], [1, -1])
    told = example([0.3, 0.3], [1, -1], reference=[0.3, 0.3])
    settings = TuneSettings()
    torch.testing.assert_close(OBJECTIVES[name](bare, settings), OBJECTIVES[name](told, settings))

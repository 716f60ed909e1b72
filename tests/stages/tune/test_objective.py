from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from upwell.settings import TuneSettings
from upwell.stages.tune.objective import (
    OBJECTIVES,
    bounded,
    combined,
    likelihood,
    textbook,
)
from upwell.stages.tune.shown import Shown, flip_rates, log1mexp, noisy_log_prob

log_probs = st.floats(-200.0, 0.0) | st.sampled_from([0.0, -1e-12, -1e-7, -1e4, -1e30])
signs = st.sampled_from([-1.0, 1.0])
shares = st.floats(0.0, 1.0)
rates = st.floats(0.0, 0.49) | st.just(0.0)
powers = st.floats(0.01, 1.0)
kinds = st.sampled_from([torch.float32, torch.float64])


def shown(log_prob: Tensor, sign: float, reliability: float = 1.0) -> Shown:
    ones = torch.ones_like(log_prob)
    return Shown(log_prob, ones * sign, ones, ones * reliability, ones)


@given(log_probs, signs, rates, powers, shares, kinds)
def test_the_bounded_loss_is_finite_bounded_and_pushes_the_right_way(
    log_prob: float, sign: float, flip_rate: float, q: float, reliability: float, kind: torch.dtype
) -> None:
    x = torch.tensor([log_prob], dtype=kind, requires_grad=True)
    settings = TuneSettings(q=q, flip_rate=flip_rate)
    loss = bounded(shown(x, sign, reliability), settings)
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    assert loss.dtype == kind
    assert 0 <= loss.item() <= 1 / q * (1 + 1e-6)
    assert gradient.isfinite().all()
    # A like wants a higher log-probability (negative gradient), a dislike a lower one.
    assert gradient.item() * sign <= 0


@given(st.floats(-20.0, 20.0), signs, rates, powers)
def test_the_gradient_on_a_logit_is_that_of_the_formula(
    logit: float, sign: float, flip_rate: float, q: float
) -> None:
    z = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    settings = TuneSettings(q=q, flip_rate=flip_rate)
    loss = bounded(shown(torch.nn.functional.logsigmoid(z), sign), settings)
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    p, other = torch.sigmoid(z.detach()), torch.sigmoid(-z.detach())
    agrees = flip_rate + (1 - 2 * flip_rate) * (p if sign > 0 else other)
    expected = -sign * agrees ** (q - 1) * (1 - 2 * flip_rate) * p * other
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("flip_rate", [0.0, 0.05, 0.3])
def test_a_satisfied_row_stops_pushing(sign: float, flip_rate: float) -> None:
    z = torch.tensor([25.0 * sign], dtype=torch.float64, requires_grad=True)
    rows = shown(torch.nn.functional.logsigmoid(z), sign)
    loss = bounded(rows, TuneSettings(q=0.7, flip_rate=flip_rate))
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    assert abs(gradient.item()) < 1e-10


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_textbook_dislike_never_stops_pushing(sign: float) -> None:
    z = torch.tensor([-50.0], dtype=torch.float64, requires_grad=True)
    loss = textbook(shown(torch.nn.functional.logsigmoid(z), sign), TuneSettings())
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    assert gradient.item() == pytest.approx(-sign)


@given(st.floats(-30.0, -1e-3), signs, rates, shares)
def test_as_q_goes_to_0_the_loss_is_the_noisy_log_likelihood(
    log_prob: float, sign: float, flip_rate: float, reliability: float
) -> None:
    rows = shown(torch.tensor([log_prob], dtype=torch.float64), sign, reliability)
    exact = likelihood(rows, TuneSettings(flip_rate=flip_rate))
    near = bounded(rows, TuneSettings(q=1e-9, flip_rate=flip_rate))
    torch.testing.assert_close(near, exact, rtol=1e-6, atol=1e-9)
    p = math.exp(log_prob)
    flip = reliability * flip_rate + (1 - reliability) / 2
    probability = (1 - flip) * p + flip * (1 - p)
    expected = -math.log(probability if sign > 0 else 1 - probability)
    assert exact.item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(log_probs, rates)
def test_at_q_1_it_is_the_textbook_formula_with_a_bounded_loss(
    log_prob: float, flip_rate: float
) -> None:
    settings = TuneSettings(q=1.0, flip_rate=flip_rate)
    x = torch.tensor([log_prob], dtype=torch.float64)
    like, dislike = (bounded(shown(x, sign), settings) for sign in (1.0, -1.0))
    assert (like + dislike).item() == pytest.approx(1.0)


def test_a_rater_who_tosses_coins_teaches_nothing() -> None:
    x = torch.tensor([-3.0, -0.1], requires_grad=True)
    loss = bounded(shown(x, -1.0, reliability=0.0), TuneSettings(flip_rate=0.05))
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    assert gradient.tolist() == [0.0, 0.0]
    assert flip_rates(torch.tensor([1.0, 0.0]), 0.05).tolist() == pytest.approx([0.05, 0.5])


@given(st.floats(-80.0, -1e-6))
def test_log1mexp_keeps_its_digits(x: float) -> None:
    exact = math.log(-math.expm1(x)) if x > -0.7 else math.log1p(-math.exp(x))
    found = log1mexp(torch.tensor([x], dtype=torch.float64)).item()
    assert found == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_every_objective_gives_one_finite_loss_a_row(name: str) -> None:
    x = torch.linspace(-50, 0, 11, requires_grad=True)
    sign = torch.tensor([1.0, -1.0] * 5 + [1.0])
    ones = torch.ones(11)
    loss = OBJECTIVES[name](Shown(x, sign, ones, ones, ones * math.nan), TuneSettings())
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    assert loss.shape == (11,)
    assert loss.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_probability_at_all_is_still_a_number(sign: float) -> None:
    x = torch.tensor([-math.inf, 1e-6])
    assert noisy_log_prob(shown(x, sign), 0.0).isfinite().all()


def test_the_parts_of_the_data_add_up_to_the_whole() -> None:
    totals = torch.tensor([4.0, 5.0])
    parts = [torch.tensor([1.0, -2.0]), torch.tensor([3.0, 7.0])]
    whole = sum((combined(0.3, part, totals) for part in parts), torch.zeros(()))
    assert whole.item() == pytest.approx(0.3 * 4 / 4 + 0.7 * 5 / 5)


def test_an_empty_or_silent_side_adds_nothing() -> None:
    sums = torch.tensor([2.0, math.inf])
    assert combined(1.0, sums, torch.tensor([2.0, 3.0])).item() == 1.0
    assert combined(0.4, torch.tensor([2.0, 0.0]), torch.tensor([2.0, 0.0])).item() == (
        pytest.approx(0.4)
    )

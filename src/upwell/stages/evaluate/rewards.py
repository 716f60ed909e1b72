"""A model q̂(x, a) of what an action earns, in closed form, that has never seen the row it judges.

Ridge regression in two steps (Hoerl and Kennard 1970): what all actions share (an intercept, the
features, and how probable the policy on trial thinks the action), then what is left for each action
of its own (an intercept and the features). Each step's penalty is the one with the least
leave-one-out error, which for ridge has a closed form (Allen 1974). Rows are weighted by w: what
the policy on trial would show matters.

Rows are cut into folds by user, and those of a fold are judged by the others' model
(Chernozhukov et al. 2018), so that no user's rewards reach the q̂ of the user's own rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

FOLDS = 5
_PENALTIES = np.array([0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1e3, 1e9])
"""In rows: how many a coefficient's evidence must weigh up."""
_CELLS = 4_000_000


@dataclass(frozen=True, slots=True)
class Choices:
    """What was shown, and what the policy on trial might have shown instead, all (n, ...).

    ``features`` (n, d) tell what was known; d may be 0. ``shown`` (n,) codes the action that was
    shown, from 0 up to ``actions``; ``offered`` (n, m) codes what the policy might have shown with
    the probabilities ``chance`` (n, m). Of probabilities that sum to less than 1 the rest earns the
    mean reward of the others, as nothing is known of it.
    """

    features: Floats
    shown: Integers
    offered: Integers
    chance: Floats
    actions: int


@dataclass(frozen=True, slots=True)
class Beliefs:
    """q̂ (n,) of the action that was ``shown``, and ``expected`` under the policy on trial."""

    shown: Floats
    expected: Floats


def every(features: Floats, shown: Integers, chance: Floats) -> Choices:
    """Choices of a policy that is known for every action: ``chance`` (n, actions)."""
    rows, actions = chance.shape
    offered = np.broadcast_to(np.arange(actions), (rows, actions))
    return Choices(features, shown, offered, chance, actions)


def folds(rows: int, user: Integers | None, count: int = FOLDS) -> Integers:
    """(n,) the fold of each row; a user's rows stay together.

    >>> folds(5, np.array([0, 0, 1, 2, 1]), count=2)
    array([0, 0, 1, 0, 1])
    """
    units = np.arange(rows) if user is None else user
    return units % count


def believed(
    choices: Choices,
    reward: Floats,
    weight: Floats,
    user: Integers | None = None,
    count: int = FOLDS,
) -> Beliefs:
    """Cross-fitted q̂: each fold's rows by a model of the other folds.

    ``reward`` and ``weight`` (w = π/π₀) are (n,). A fold without rows elsewhere gets 0.
    """
    fold = folds(len(reward), user, count)
    shown, expected = np.zeros(len(reward)), np.zeros(len(reward))
    for number in range(count):
        held, known = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        if len(held) and len(known):
            model = _Model.fitted(_rows(choices, known), reward[known], weight[known])
            shown[held], expected[held] = model.of(_rows(choices, held))
    return Beliefs(shown, expected)


def _rows(choices: Choices, chosen: Integers) -> Choices:
    return Choices(
        choices.features[chosen],
        choices.shown[chosen],
        choices.offered[chosen],
        choices.chance[chosen],
        choices.actions,
    )


@dataclass(frozen=True, slots=True)
class _Model:
    """q̂(x, a) = mean + shared·[π(a), z] + own[a]·[1, z] with z the standardised features."""

    mean: float
    centre: Floats
    scale: Floats
    shared: Floats
    own: Floats

    @staticmethod
    def fitted(choices: Choices, reward: Floats, weight: Floats) -> _Model:
        """Both steps on the rows of ``choices``."""
        weight = weight / weight.mean() if weight.any() else np.ones(len(weight))
        features, chance = choices.features, chance_of(choices, choices.shown)
        together = np.column_stack([chance, features])
        centre = np.average(together, axis=0, weights=weight)
        scale = np.sqrt(np.average((together - centre) ** 2, axis=0, weights=weight))
        scale[scale < 1e-9] = 1.0
        together = (together - centre) / scale
        mean = float(np.average(reward, weights=weight))
        left = reward - mean
        shared = _ridge([together], [left], [weight])[0]
        left = left - together @ shared
        own = np.zeros((choices.actions, 1 + features.shape[1]))
        order = np.argsort(choices.shown, kind="stable")
        codes, starts = np.unique(choices.shown[order], return_index=True)
        parts = np.split(order, starts[1:])
        alone = np.column_stack([np.ones(len(reward)), together[:, 1:]])
        fits = _ridge(
            [alone[p] for p in parts], [left[p] for p in parts], [weight[p] for p in parts]
        )
        own[codes] = fits
        return _Model(mean, centre, scale, shared, own)

    def of(self, choices: Choices) -> tuple[Floats, Floats]:
        """q̂ of what was shown, and its mean under the policy, a block of rows at a time."""
        rows = len(choices.shown)
        shown, expected = np.empty(rows), np.empty(rows)
        step = max(1, _CELLS // max(choices.actions, 1))
        for start in range(0, rows, step):
            block = slice(start, start + step)
            shown[block], expected[block] = self._block(_rows(choices, np.arange(rows)[block]))
        return shown, expected

    def _block(self, choices: Choices) -> tuple[Floats, Floats]:
        known = (choices.features - self.centre[1:]) / self.scale[1:]
        base = self.mean + known @ self.shared[1:]
        own = np.column_stack([np.ones(len(known)), known]) @ self.own.T

        def value(codes: Integers, chance: Floats) -> Floats:
            likely = (chance - self.centre[0]) / self.scale[0] * self.shared[0]
            found: Floats = base[:, None] + likely + np.take_along_axis(own, codes, axis=1)
            return found

        shown = value(choices.shown[:, None], chance_of(choices, choices.shown)[:, None])[:, 0]
        offered = value(choices.offered, choices.chance)
        total = choices.chance.sum(axis=1)
        mean = (offered * choices.chance).sum(axis=1)
        return shown, mean + (1.0 - total) * self.mean


def chance_of(choices: Choices, action: Integers) -> Floats:
    """(n,) the probability with which the policy on trial shows ``action`` (n,)."""
    found: Floats = np.where(choices.offered == action[:, None], choices.chance, 0.0).sum(axis=1)
    return found


def _ridge(parts: list[Floats], targets: list[Floats], weights: list[Floats]) -> Floats:
    """(parts, p) coefficients of separate regressions under one penalty, chosen by leave-one-out.

    The sum of squared errors of left-out rows, each weighted, decides over all parts together.
    """
    solved: list[Any] = []
    errors = np.zeros(len(_PENALTIES))
    for x, y, weight in zip(parts, targets, weights, strict=True):
        root = np.sqrt(weight)
        scaled, aim = x * root[:, None], y * root
        sizes, axes = np.linalg.eigh(scaled.T @ scaled)
        along = scaled @ axes
        shrunk = 1.0 / (np.maximum(sizes, 0.0)[:, None] + _PENALTIES)
        toward = along.T @ aim
        leverage = np.minimum(along**2 @ shrunk, 1.0 - 1e-9)
        left = aim[:, None] - along @ (toward[:, None] * shrunk)
        errors += ((left / (1.0 - leverage)) ** 2).sum(axis=0)
        solved.append((axes, toward, shrunk))
    best = int(errors.argmin())
    return np.array([axes @ (toward * shrunk[:, best]) for axes, toward, shrunk in solved])

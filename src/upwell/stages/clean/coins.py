"""Raters by one number each, how often they are right: the one-coin model, of a few kinds, by EM.

Rater u is right with probability a_u whatever the class; wrong answers follow one distribution for
all raters. a_u is drawn from the Beta distribution of the rater's kind. This is what thin data
and many classes can bear; the fit is that of ``confusion``, with two outcomes instead of classes.
"""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, gammaln

from upwell.stages.clean.answers import Answers, Bools, Floats, belonging
from upwell.stages.clean.confusion import STRONGEST, TYPICAL_RIGHT, TYPICAL_WEIGHT

_START = 10.0
_IMAGINED = np.array([TYPICAL_RIGHT, 1 - TYPICAL_RIGHT]) * TYPICAL_WEIGHT


class Coins:
    """The model over ``kinds`` kinds of raters, from the answers that are kept."""

    def __init__(
        self, answers: Answers, start: Floats, kinds: int, keep: Bools | None = None
    ) -> None:
        self.answers = answers
        rows = np.arange(answers.size) if keep is None else np.flatnonzero(keep)
        self._item, self._rater = answers.item[rows], answers.rater[rows]
        self._place = self._item * answers.classes + answers.label[rows]
        self._votes = answers.votes(keep)
        self._given = np.bincount(self._rater, minlength=answers.raters).astype(np.float64)
        self._count(start)
        self.alpha = self._first_kinds(kinds)
        self.kind = np.full((answers.raters, kinds), 1.0 / kinds)
        self._steps = 0

    def learn(self, posterior: Floats) -> float:
        """Take in (items, classes) beliefs; returns the raters' part of the evidence, in nats."""
        self._count(posterior)
        marginal = np.stack([self._marginal(a) for a in self.alpha], axis=1)
        self.kind, evidence = belonging(self.kind, marginal)
        self._edge = self._expected_edge()
        self._steps += 1
        if self._steps > 2:
            self.alpha = np.stack([self._fitted(g) for g in range(len(self.alpha))])
        return evidence + float((self.mistakes * np.log(self.wrong)).sum())

    def scores(self) -> Floats:
        """(items, classes): what the answers add to each class, in nats, up to a constant an item.

        An answer l adds E[log a_u − log(1 − a_u)] to class l and log P(l | wrong, k) to all others.
        """
        shape = (self.answers.items, self.answers.classes)
        edges = np.bincount(self._place, self._edge[self._rater], shape[0] * shape[1])
        found: Floats = edges.reshape(shape) + self._votes @ np.log(self.wrong).T
        return found

    def chances(self) -> Floats:
        """(c, classes): probability of a cell's label by its rater, given each true class."""
        a = self.answers
        mean = self._moments()[0]
        found = (1 - mean[a.cell_rater])[:, None] * self.wrong[:, a.cell_label].T
        found[np.arange(len(a.cell_label)), a.cell_label] = mean[a.cell_rater]
        return found

    def right(self) -> tuple[Floats, Floats]:
        """(raters, classes) mean and variance of a_u, the same for every class."""
        mean, variance = self._moments()
        shape = (len(mean), self.answers.classes)
        return np.broadcast_to(mean[:, None], shape), np.broadcast_to(variance[:, None], shape)

    def accuracy(self, share: Floats) -> tuple[Floats, Floats]:
        """(raters,) mean and variance of a_u; ``share`` of the classes makes no difference."""
        return self._moments()

    def matrix(self, rater: int) -> Floats:
        """(classes, classes) mean of the rater's matrix: rows are true classes, columns answers."""
        mean = self._moments()[0][rater]
        found: Floats = (1 - mean) * self.wrong
        np.fill_diagonal(found, mean)
        return found

    def _count(self, posterior: Floats) -> None:
        """Expected right answers a rater, and what wrong ones look like; the diagonal is 1."""
        k = self.answers.classes
        self._right = np.bincount(
            self._rater, posterior.reshape(-1)[self._place], self.answers.raters
        )
        self.mistakes: Floats = posterior.T @ self._votes
        np.fill_diagonal(self.mistakes, 0.0)
        spread = self.mistakes + 0.5 * (1 - np.eye(k))
        self.wrong: Floats = spread / np.maximum(spread.sum(1, keepdims=True), 1e-12)
        np.fill_diagonal(self.wrong, 1.0)

    def _outcomes(self) -> Floats:
        """(raters, 2) expected right and wrong answers."""
        return np.stack([self._right, np.maximum(self._given - self._right, 0.0)], axis=1)

    def _first_kinds(self, kinds: int) -> Floats:
        """(kinds, 2): raters split by how often they agree with the start."""
        counts = self._outcomes()
        agreed = counts[:, 0] / np.maximum(self._given, 1e-9)
        rank = np.argsort(np.argsort(agreed, kind="stable"), kind="stable")
        group = rank * kinds // max(self.answers.raters, 1)
        pooled = np.stack([counts[group == g].sum(0) + _IMAGINED for g in range(kinds)])
        first: Floats = _START * pooled / pooled.sum(1, keepdims=True)
        return first

    def _marginal(self, alpha: Floats) -> Floats:
        whole = alpha.sum()
        cells = (gammaln(alpha + self._outcomes()) - gammaln(alpha)).sum(1)
        found: Floats = cells - gammaln(whole + self._given) + gammaln(whole)
        return found

    def _expected_edge(self) -> Floats:
        """(raters,) E[log a_u − log(1 − a_u)]."""
        counts = self._outcomes()
        edges = [digamma(a[0] + counts[:, 0]) - digamma(a[1] + counts[:, 1]) for a in self.alpha]
        found: Floats = np.einsum("ug,gu->u", self.kind, np.stack(edges))
        return found

    def _moments(self) -> tuple[Floats, Floats]:
        """(raters,) mean and variance of a_u."""
        whole = self.alpha.sum(1) + self._given[:, None]
        part = (self.alpha[:, 0] + self._right[:, None]) / whole
        mean = (self.kind * part).sum(1)
        square = (self.kind * (part**2 + part * (1 - part) / (whole + 1))).sum(1)
        return mean, square - mean**2

    def _fitted(self, g: int) -> Floats:
        """One fixed-point step of a kind's Beta distribution, the imagined rater included."""
        alpha, weight = self.alpha[g], self.kind[:, g]
        whole = alpha.sum()
        up = weight @ (digamma(alpha + self._outcomes()) - digamma(alpha))
        up += digamma(alpha + _IMAGINED) - digamma(alpha)
        down = weight @ (digamma(whole + self._given) - digamma(whole))
        down += digamma(whole + TYPICAL_WEIGHT) - digamma(whole)
        moved = np.maximum(alpha * up / down, 1e-3)
        stepped: Floats = moved * min(STRONGEST / moved.sum(), 1.0)
        return stepped

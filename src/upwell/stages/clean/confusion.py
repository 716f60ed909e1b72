"""Raters by their confusion matrices, of a few kinds: Dawid & Skene 1979, hierarchical, by EM.

Rater u answers l about an item of class k with probability Θ_u[k, l]. Each row of Θ_u is drawn
from the Dirichlet distribution of the rater's kind (careful, careless, …), so a rater with few
answers looks like their kind and one with many like themselves. Kinds, their Dirichlet parameters
and Θ are learned from the answers alone: expected counts with Θ integrated out (variational EM, Kim
& Ghahramani 2012; kinds as in Venanzi et al. 2014), parameters by Minka's fixed point (2000).
"""

from __future__ import annotations

import numpy as np
from scipy.special import digamma, gammaln

from upwell.stages.clean.answers import Answers, Bools, Floats, belonging

TYPICAL_RIGHT, TYPICAL_WEIGHT = 0.8, 10.0
"""One imagined rater stands by every kind: 10 answers on each class, 8 right (a Beta(8, 2))."""
STRONGEST = 500.0
"""A kind's Dirichlet rows count as at most this many answers."""
_START = 4.0


def typical(classes: int) -> Floats:
    """(classes, classes) counts of the imagined rater.

    >>> typical(3).tolist()
    [[8.0, 1.0, 1.0], [1.0, 8.0, 1.0], [1.0, 1.0, 8.0]]
    """
    wrong = TYPICAL_WEIGHT * (1 - TYPICAL_RIGHT) / max(classes - 1, 1)
    counts = np.full((classes, classes), wrong)
    np.fill_diagonal(counts, TYPICAL_WEIGHT * TYPICAL_RIGHT)
    return counts.round(12)


class Confusions:
    """The model over ``kinds`` kinds of raters, from the answers that are kept."""

    def __init__(
        self, answers: Answers, start: Floats, kinds: int, keep: Bools | None = None
    ) -> None:
        self.answers = answers
        self._by_cell = answers.by_cell(keep)
        self._by_item = self._by_cell.T.tocsr()
        self._of_rater, self._of_label = answers.cells_of_raters(), answers.cells_of_labels()
        self._imagined = typical(answers.classes)
        self._count(start)
        self.alpha = self._first_kinds(kinds)
        self.kind = np.full((answers.raters, kinds), 1.0 / kinds)
        self._steps = 0

    def learn(self, posterior: Floats) -> float:
        """Take in (items, classes) beliefs; returns the raters' part of the evidence, in nats."""
        self._count(posterior)
        marginal = np.stack([self._marginal(a) for a in self.alpha], axis=1)
        self.kind, evidence = belonging(self.kind, marginal)
        self._table = self._expected_logs()
        self._steps += 1
        if self._steps > 2:
            self.alpha = np.stack([self._fitted(g) for g in range(len(self.alpha))])
        return evidence

    def scores(self) -> Floats:
        """(items, classes): what the answers add to each class, in nats."""
        found: Floats = self._by_cell @ self._table
        return found

    def chances(self) -> Floats:
        """(c, classes): probability of a cell's label by its rater, given each true class."""
        whose, label = self.answers.cell_rater, self.answers.cell_label
        found = np.zeros_like(self.counts)
        for kind, alpha in zip(self.kind.T, self.alpha, strict=True):
            whole = alpha.sum(1) + self.totals
            found += kind[whose][:, None] * (alpha[:, label].T + self.counts) / whole[whose]
        return found

    def right(self) -> tuple[Floats, Floats]:
        """(raters, classes) mean and variance of Θ_u[k, k]."""
        a = self.answers
        hit = np.zeros((a.raters, a.classes))
        hit[a.cell_rater, a.cell_label] = self.counts[np.arange(len(a.cell_label)), a.cell_label]
        mean, square = np.zeros_like(hit), np.zeros_like(hit)
        for kind, alpha in zip(self.kind.T, self.alpha, strict=True):
            whole = alpha.sum(1) + self.totals
            part = (alpha.diagonal() + hit) / whole
            mean += kind[:, None] * part
            square += kind[:, None] * (part**2 + part * (1 - part) / (whole + 1))
        return mean, square - mean**2

    def accuracy(self, share: Floats) -> tuple[Floats, Floats]:
        """(raters,) mean and variance of Σ_k share_k Θ_u[k, k]: how often a rater is right."""
        mean, variance = self.right()
        return mean @ share, variance @ share**2

    def matrix(self, rater: int) -> Floats:
        """(classes, classes) mean of Θ_u: rows are true classes, columns answers."""
        a = self.answers
        counts = np.zeros((a.classes, a.classes))
        mine = np.flatnonzero(a.cell_rater == rater)
        counts[:, a.cell_label[mine]] = self.counts[mine].T
        means = (self.alpha + counts) / (self.alpha + counts).sum(2, keepdims=True)
        found: Floats = np.einsum("g,gkl->kl", self.kind[rater], means)
        return found

    def _count(self, posterior: Floats) -> None:
        """Expected answers: (c, classes) of each cell and (raters, classes) of each rater."""
        self.counts: Floats = self._by_item @ posterior
        self.totals: Floats = self._of_rater @ self.counts

    def _first_kinds(self, kinds: int) -> Floats:
        """(kinds, classes, classes): raters split by how often they agree with the start."""
        a = self.answers
        own = self.counts[np.arange(len(a.cell_label)), a.cell_label]
        agreed = np.bincount(a.cell_rater, own, a.raters) / np.maximum(self.totals.sum(1), 1e-9)
        rank = np.argsort(np.argsort(agreed, kind="stable"), kind="stable")
        group = rank * kinds // max(a.raters, 1)
        found = []
        for g in range(kinds):
            mine = np.where((group == g)[a.cell_rater][:, None], self.counts, 0.0)
            pooled = (self._of_label @ mine).T + self._imagined / TYPICAL_WEIGHT
            found.append(_START * pooled / pooled.sum(1, keepdims=True))
        return np.stack(found)

    def _marginal(self, alpha: Floats) -> Floats:
        """(raters,) log-probability of a rater's expected counts with Θ_u integrated out."""
        prior = alpha[:, self.answers.cell_label].T
        cells = gammaln(prior + self.counts) - gammaln(prior)
        whole = alpha.sum(1)
        rows = gammaln(whole + self.totals) - gammaln(whole)
        ones = np.ones(self.answers.classes)
        found: Floats = self._of_rater @ (cells @ ones) - rows @ ones
        return found

    def _expected_logs(self) -> Floats:
        """(c, classes): E[log Θ] of each cell, over kinds."""
        whose, label = self.answers.cell_rater, self.answers.cell_label
        found = np.zeros_like(self.counts)
        for kind, alpha in zip(self.kind.T, self.alpha, strict=True):
            row = digamma(alpha.sum(1) + self.totals)
            found += kind[whose][:, None] * (digamma(alpha[:, label].T + self.counts) - row[whose])
        return found

    def _fitted(self, g: int) -> Floats:
        """One fixed-point step of a kind's Dirichlet rows, the imagined rater included."""
        alpha, weight = self.alpha[g], self.kind[:, g]
        whole = alpha.sum(1)
        prior = alpha[:, self.answers.cell_label].T
        gained = digamma(prior + self.counts) - digamma(prior)
        up = (self._of_label @ (weight[self.answers.cell_rater][:, None] * gained)).T
        up += digamma(alpha + self._imagined) - digamma(alpha)
        down = weight @ (digamma(whole + self.totals) - digamma(whole))
        down += digamma(whole + TYPICAL_WEIGHT) - digamma(whole)
        moved = np.maximum(alpha * up / down[:, None], 1e-3)
        shrink = np.minimum(STRONGEST / moved.sum(1, keepdims=True), 1.0)
        stepped: Floats = moved * shrink
        return stepped

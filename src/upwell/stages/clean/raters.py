"""Who is right, and how often is each rater? Labels of many raters to one belief an item.

``dawid_skene`` fits rater models of rising freedom (``coins``, ``confusion``) and takes the one
that foretells unseen answers best. No truth is needed for that, and none is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln, logsumexp

from upwell.stages.clean.answers import (
    Answers,
    Bools,
    Floats,
    Ints,
    coded,
    interval,
    log_prior,
    softmax,
)
from upwell.stages.clean.coins import Coins
from upwell.stages.clean.confusion import TYPICAL_RIGHT, TYPICAL_WEIGHT, Confusions, typical

PRIOR = "prior"
"""The model where nothing can be learned about raters: each of them is the imagined one."""
FOLDS, FOLDED = 5, 50_000
"""Every answer is left out once up to ``FOLDED`` answers; one tenth of them, once, beyond."""
_STEPS, _TOLERANCE = 300, 1e-6
_TRIAL_STEPS, _TRIAL_TOLERANCE, _LARGE_TRIAL_STEPS = 60, 1e-5, 25
_MANY = 10


class Model(Protocol):
    """A model of raters that EM can fit; see ``Confusions``."""

    def learn(self, posterior: Floats) -> float:
        """Take in beliefs; the raters' part of the evidence."""
        ...

    def scores(self) -> Floats:
        """(items, classes): what the answers add to each class, in nats."""
        ...

    def chances(self) -> Floats:
        """(c, classes): probability of a cell's label, given each true class."""
        ...

    def accuracy(self, share: Floats) -> tuple[Floats, Floats]:
        """(raters,) mean and variance of how often a rater is right."""
        ...

    def matrix(self, rater: int) -> Floats:
        """(classes, classes) of one rater: P(answer | truth)."""
        ...


class Family(Protocol):
    """Sets a model up on the answers that are kept, from beliefs to start with."""

    def __call__(
        self, answers: Answers, start: Floats, kinds: int, keep: Bools | None = None
    ) -> Model:
        """The model before its first step."""
        ...


FAMILIES: Mapping[str, Family] = {"one-coin": Coins, "confusion": Confusions}
"""Simplest first: it wins a draw."""
KINDS = (1, 2)
"""How many kinds of raters the family that won is tried with."""


@dataclass(frozen=True, slots=True)
class Raters:
    """What answers tell about items and raters.

    ``posterior`` (items, classes): how probable each class is, by all answers. ``share``
    (classes,): how frequent each class is. ``accuracy`` (raters,): how often a rater is right on
    such items, ``interval`` its 95 % limits. ``log_likelihood``: of all answers, in nats.
    ``model`` and ``kinds``: the family that was taken and how many kinds of raters it found room
    for; ``held_out``: nats an unseen answer, by both; empty where nothing was compared.
    """

    posterior: Floats
    share: Floats
    accuracy: Floats
    interval: tuple[Floats, Floats]
    log_likelihood: float
    model: str
    kinds: int
    held_out: Mapping[tuple[str, int], float]
    fitted: Model | None

    def matrix(self, rater: int) -> Floats:
        """(classes, classes) of one rater: P(answer | truth), rows are true classes."""
        if self.fitted is None:
            counts = typical(len(self.share))
            shares: Floats = counts / counts.sum(1, keepdims=True)
            return shares
        return self.fitted.matrix(rater)


def dawid_skene(
    item: npt.ArrayLike,
    rater: npt.ArrayLike,
    label: npt.ArrayLike,
    *,
    items: int = 0,
    raters: int = 0,
    classes: int = 0,
    belief: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Raters:
    """Fit who is right to n answers, coded from 0; see ``coded`` for sizes and errors.

    ``belief`` (items, classes) is what a model thinks of the items before it hears any rater; it
    takes the place of the classes' shares and should be calibrated. Every answer counts, also a
    rater's second one on an item: ``latest`` keeps one. ``seed`` picks the answers left out.

    Where no item has two answers, no belief is given, or there is but one class, nothing can be
    known about a rater: ``model`` is then ``PRIOR`` and everybody is right in 8 of 10 cases.

    >>> answers = [(0, 0, 1), (0, 1, 1), (0, 2, 0), (1, 0, 0), (1, 1, 0), (1, 2, 0)]
    >>> dawid_skene(*np.array(answers).T).posterior.argmax(1).tolist()
    [1, 0]
    """
    answers = coded(item, rater, label, items=items, raters=raters, classes=classes)
    prior = None if belief is None else log_prior(belief, answers)
    compared = answers.classes > 1 and answers.size > 0
    if not compared or (prior is None and np.bincount(answers.item).max() < 2):
        return _unknown(answers, prior)
    found = held_out(answers, prior, seed)
    return _summary(answers, *_best(found), prior, found)


def latest(item: Ints, rater: Ints, at: npt.ArrayLike) -> Ints:
    """Places, rising, of the answers that stand: each rater's last one on each item.

    Of several in one moment the last row stands.

    >>> latest(np.array([0, 0, 0, 1]), np.array([7, 7, 8, 7]), [5, 5, 1, 2]).tolist()
    [1, 2, 3]
    """
    order = np.lexsort((np.asarray(at), rater, item))
    last = np.ones(len(order), np.bool_)
    same = (item[order][1:] == item[order][:-1]) & (rater[order][1:] == rater[order][:-1])
    last[:-1] = ~same
    return np.sort(order[last])


def held_out(answers: Answers, prior: Floats | None, seed: int) -> dict[tuple[str, int], float]:
    """Mean log-probability of unseen answers, in nats, by family and kinds; see ``FOLDS``.

    Families are compared with one kind each, kinds within the family that won.
    """
    folds = list(_folds(answers.size, seed))
    first, *more = KINDS
    found = {(name, first): _unseen(answers, name, first, prior, folds) for name in FAMILIES}
    winner = _best(found)[0]
    return found | {
        (winner, kinds): _unseen(answers, winner, kinds, prior, folds) for kinds in more
    }


def fit(
    answers: Answers,
    name: str,
    kinds: int,
    prior: Floats | None,
    keep: Bools | None = None,
    steps: int = _STEPS,
    tolerance: float = _TOLERANCE,
) -> tuple[Model, Floats, Floats]:
    """EM until an answer gains less than ``tolerance`` nats: model, posterior and class shares.

    Beyond ``FOLDED`` answers a tenth of them says as much: ``tolerance`` is then ten times as wide.
    """
    votes = answers.votes(keep)
    chance = np.full(answers.classes, 1.0 / answers.classes)
    posterior = softmax(
        votes * _edge(answers.classes) + (np.log(chance) if prior is None else prior)
    )
    model = FAMILIES[name](answers, posterior, kinds, keep)
    before = -np.inf
    least = tolerance * max(votes.sum(), 1.0) * (_MANY if answers.size > FOLDED else 1)
    for step in range(steps):
        evidence = model.learn(posterior) + _surprise(posterior)
        share, logs, worth = _shares(posterior, prior)
        evidence += worth
        posterior = softmax(model.scores() + logs)
        if abs(evidence - before) < least and step > 10:
            break
        before = evidence
    return model, posterior, share


def _edge(classes: int) -> float:
    """Log-odds that one answer of the imagined rater gives its class over any other."""
    return float(np.log(TYPICAL_RIGHT * max(classes - 1, 1) / (1 - TYPICAL_RIGHT)))


def _folds(size: int, seed: int) -> Iterator[Bools]:
    """Which answers to keep, one mask a fold."""
    shuffled = np.random.default_rng(seed).permutation(size)
    if size > FOLDED:
        yield shuffled >= size // 10
        return
    for fold in range(min(FOLDS, size)):
        yield shuffled % FOLDS != fold


def _unseen(
    answers: Answers, name: str, kinds: int, prior: Floats | None, folds: list[Bools]
) -> float:
    """Mean log-probability of the answers that a fold left out, in nats."""
    steps = _LARGE_TRIAL_STEPS if answers.size > FOLDED else _TRIAL_STEPS
    total, asked = 0.0, 0
    for keep in folds:
        model, posterior, _ = fit(answers, name, kinds, prior, keep, steps, _TRIAL_TOLERANCE)
        chance = model.chances()[answers.cell[~keep]] * posterior[answers.item[~keep]]
        total += float(np.log(np.maximum(chance.sum(1), 1e-300)).sum())
        asked += len(chance)
    return total / max(asked, 1)


def _best(found: Mapping[tuple[str, int], float]) -> tuple[str, int]:
    """The first of the best, to the sixth digit."""
    return max(found, key=lambda key: round(found[key], 6))


def _surprise(posterior: Floats) -> float:
    """Entropy of the items' beliefs, in nats."""
    return -float((posterior * np.log(np.maximum(posterior, 1e-300))).sum())


def _shares(posterior: Floats, prior: Floats | None) -> tuple[Floats, Floats, float]:
    """Shares of the classes, what each item starts from (log), and its part of the evidence."""
    counts = posterior.sum(0) + 1.0
    share: Floats = counts / counts.sum()
    if prior is not None:
        return share, prior, float((posterior * prior).sum())
    worth = gammaln(counts).sum() - gammaln(counts.sum()) + gammaln(len(counts))
    return share, digamma(counts) - digamma(counts.sum()), float(worth)


def _summary(
    answers: Answers,
    name: str,
    kinds: int,
    prior: Floats | None,
    found: Mapping[tuple[str, int], float],
) -> Raters:
    model, posterior, share = fit(answers, name, kinds, prior)
    mean, variance = model.accuracy(share)
    logs = np.log(share) if prior is None else prior
    likelihood = logsumexp(answers.by_cell() @ np.log(model.chances()) + logs, axis=1).sum()
    return Raters(
        posterior=posterior,
        share=share,
        accuracy=mean,
        interval=interval(mean, variance),
        log_likelihood=float(likelihood),
        model=name,
        kinds=kinds,
        held_out=found,
        fitted=model,
    )


def _unknown(answers: Answers, prior: Floats | None) -> Raters:
    """Everybody is the imagined rater."""
    k = answers.classes
    logs = np.zeros(k) - np.log(max(k, 1)) if prior is None else prior
    matrix = np.log(typical(k) / np.maximum(typical(k).sum(1, keepdims=True), 1e-12))
    if k < 2:
        matrix = np.zeros((k, k))
    scores = answers.votes() @ matrix + logs
    mean = np.full(answers.raters, TYPICAL_RIGHT)
    limits = interval(mean, mean * (1 - mean) / (TYPICAL_WEIGHT + 1))
    likelihood = float(logsumexp(scores, axis=1).sum()) if k else 0.0
    posterior = softmax(scores) if k else scores
    share = posterior.mean(0) if len(posterior) else np.full(k, 1.0 / max(k, 1))
    return Raters(posterior, share, mean, limits, likelihood, PRIOR, 1, {}, None)

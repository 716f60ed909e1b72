"""How far can each user's ±1 be trusted? Reliability of users from the feedback itself.

Most answers that a model shows are judged by one user only, so users can hardly be compared with
each other. They can be compared with the model: its own probability that the shown answer is right
takes the place of a second rater (as in CROWDLAB, Goh et al. 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from upwell.errors import StageError
from upwell.stages.clean.answers import Bools, Floats, Ints, coded
from upwell.stages.clean.flips import (
    Grid,
    Rated,
    one_rate,
    quantile,
    rate,
    temperature,
    tempered,
    two_rates,
    unseen,
)

_ROUNDS = 8
_SAMPLE = 60_000
"""Signs of whole users that set the temperature, where there are more."""
_SURE = 2.0
"""Two rates a user must foretell unseen signs better by this many standard errors."""


@dataclass(frozen=True, slots=True)
class Thumbs:
    """What signs tell about users (u,) and shown answers (a,).

    ``right`` (a,): how probable it is that a shown answer is right, by the model and all signs.
    ``flip_rate``, ``low``, ``high`` (u,): how often a user's sign is wrong, with a 95 % interval.
    ``miss``, ``fail`` (u,): P(−1 | right) and P(+1 | wrong). ``reliability`` (u,) in [0, 1] is what
    makes ``tune.shown.flip_rates`` give back ``flip_rate``. ``adverse`` (u,): almost surely
    wrong more often than right. ``pooled``: share of wrong signs in all. ``temperature``: the
    exponent that the belief's odds needed. ``model``: ``one rate`` or ``two rates`` a user.
    """

    right: Floats
    flip_rate: Floats
    low: Floats
    high: Floats
    miss: Floats
    fail: Floats
    reliability: Floats
    adverse: Bools
    pooled: float
    temperature: float
    model: str


@dataclass(frozen=True, slots=True)
class _Signs:
    """n checked signs: ``liked`` is 1 for +1 and 0 for −1; ``single``: one sign an answer."""

    user: Ints
    liked: Floats
    belief: Floats
    shown: Ints
    users: int
    single: bool


@dataclass(frozen=True, slots=True)
class _Heard:
    """One model of users, fitted; ``worth`` (n,) is the log-probability of each sign unseen."""

    name: str
    rated: Rated
    power: float
    right: Floats
    worth: Floats


def thumbs(
    user: npt.ArrayLike,
    sign: npt.ArrayLike,
    belief: npt.ArrayLike,
    *,
    shown: npt.ArrayLike | None = None,
    users: int = 0,
    flip_rate: float = 0.05,
    seed: int = 0,
) -> Thumbs:
    """Fit users' flip rates to n signs.

    ``user`` (n,) codes from 0, ``sign`` (n,) ±1, ``belief`` (n,) the model's probability that what
    was shown is right; how sure of itself it should have been is estimated along. ``shown`` (n,)
    codes of the shown answers where several signs are about one, which must then be right or wrong
    for everybody (its belief is the mean of its rows'); otherwise each row is its own. ``users`` is
    at least how many there are. ``flip_rate`` < ½ is ρ of the objective, the rate of a wholly
    reliable user. ``seed`` picks the users who set the temperature where there are many.

    All signs count, contradictory ones too. A user with few signs looks like the others; nobody is
    trusted less than not at all: a user who is wrong as often as right has reliability 0.
    Raises StageError ``raters.signs``, ``raters.belief``, ``raters.lengths`` or ``raters.codes``.

    >>> careful, random = [1, -1, 1, -1] * 6, [1, 1, -1, -1] * 6
    >>> found = thumbs([0] * 24 + [1] * 24, careful + random, [0.9, 0.1, 0.9, 0.1] * 12)
    >>> found.reliability.round(1).tolist()
    [1.0, 0.1]
    """
    signs = _checked(user, sign, belief, shown, users)
    plain = _heard(signs, "one rate", one_rate(), seed)
    free = _heard(signs, "two rates", two_rates(), seed)
    gain = free.worth - plain.worth
    enough = _SURE * gain.std() / max(len(gain), 1) ** 0.5 if len(gain) else 0.0
    best = free if len(gain) and gain.mean() > enough else plain
    return _told(signs, best, flip_rate)


def reliability(flips: npt.ArrayLike, flip_rate: float) -> Floats:
    """Reliability r in [0, 1] with r·ρ + (1 − r)/2 = the flip rate, cut off at both ends.

    >>> reliability([0.05, 0.275, 0.5, 0.9], 0.05).round(6).tolist()
    [1.0, 0.5, 0.0, 0.0]
    """
    raw = (1 - 2 * np.asarray(flips, np.float64)) / (1 - 2 * flip_rate)
    kept: Floats = np.clip(raw, 0.0, 1.0)
    return kept


def _checked(
    user: npt.ArrayLike,
    sign: npt.ArrayLike,
    belief: npt.ArrayLike,
    shown: npt.ArrayLike | None,
    users: int,
) -> _Signs:
    said, sure = np.asarray(sign), np.asarray(belief, np.float64)
    if said.ndim != 1 or not np.isin(said, (-1, 1)).all():
        raise StageError("raters.signs")
    if sure.shape != said.shape or not ((sure >= 0) & (sure <= 1)).all():
        raise StageError("raters.belief", shape=sure.shape, wanted=said.shape)
    who = np.asarray(user) if said.size else np.zeros(0, np.int64)
    what = np.arange(len(said)) if shown is None or not said.size else np.asarray(shown)
    liked = (said > 0).astype(np.int64)
    answers = coded(what, who, liked, raters=users)
    single = answers.size == 0 or int(np.bincount(answers.item).max()) == 1
    return _Signs(
        answers.rater, liked.astype(np.float64), sure, answers.item, answers.raters, single
    )


def _heard(signs: _Signs, name: str, grid: Grid, seed: int) -> _Heard:
    """Fit one model of users: temperature, rates, and what the answers are then."""
    power = temperature(grid, *_sample(signs, seed))
    seen = np.maximum(np.bincount(signs.shown), 1)
    mean = np.bincount(signs.shown, tempered(signs.belief, power)) / seen
    start = _log_odds(mean)
    others = start[signs.shown]
    for _ in range(1 if signs.single else _ROUNDS):
        belief = tempered(1 / (1 + np.exp(-others)), 1.0)
        heard = rate(grid, signs.user, signs.liked, belief, signs.users)
        said = _said(heard, signs)
        total = start + np.bincount(signs.shown, said, len(start))
        others = total[signs.shown] - said
    right: Floats = 1 / (1 + np.exp(-total))
    return _Heard(name, heard, power, right, unseen(heard, signs.user, signs.liked, belief))


def _sample(signs: _Signs, seed: int) -> tuple[Ints, Floats, Floats, int]:
    """All signs of users drawn at random until there are enough, in the order of ``rate``."""
    if len(signs.user) <= _SAMPLE:
        return signs.user, signs.liked, signs.belief, signs.users
    drawn = np.random.default_rng(seed).permutation(signs.users)
    counts = np.bincount(signs.user, minlength=signs.users)[drawn]
    kept = drawn[: int(np.searchsorted(np.cumsum(counts), _SAMPLE)) + 1]
    code = np.full(signs.users, -1)
    code[kept] = np.arange(len(kept))
    rows = np.flatnonzero(code[signs.user] >= 0)
    return code[signs.user[rows]], signs.liked[rows], signs.belief[rows], len(kept)


def _said(heard: Rated, signs: _Signs) -> Floats:
    """(n,) log-odds that each sign adds to its answer's being right."""
    miss, fail = heard.miss(), heard.fail()
    up, down = np.log((1 - miss) / fail), np.log(miss / (1 - fail))
    return np.where(signs.liked > 0, up[signs.user], down[signs.user])


def _told(signs: _Signs, best: _Heard, flip_rate: float) -> Thumbs:
    grid, right = best.rated.grid, best.right
    share = float(right[signs.shown].mean()) if len(signs.user) else 0.5
    flips = share * grid.miss + (1 - share) * grid.fail
    mean = best.rated.posterior @ flips
    low = quantile(best.rated, flips, 0.025)
    wrong = np.where(signs.liked > 0, 1 - right[signs.shown], right[signs.shown])
    return Thumbs(
        right=right,
        flip_rate=mean,
        low=low,
        high=quantile(best.rated, flips, 0.975),
        miss=best.rated.miss(),
        fail=best.rated.fail(),
        reliability=reliability(mean, flip_rate),
        adverse=low > 0.5,
        pooled=float(wrong.mean()) if len(wrong) else 0.0,
        temperature=best.power,
        model=best.name,
    )


def _log_odds(share: Floats) -> Floats:
    odds: Floats = np.log(share) - np.log1p(-share)
    return odds

"""Whether the gain of the deciding metric is shown: its test, its bound, and what is missing.

``guards["proof"]`` holds ``look`` (this look's number among those that compared with a champion),
``promotions`` (proved before it), ``alpha`` (the level that it may spend), ``p`` (of no gain),
``bound`` (what the gain exceeds at that level; null where nothing can be shown), ``decides``
(``mcnemar`` or ``permutation``), ``tests`` (each test's own numbers) and ``sealed`` (parts of the
frozen test, the deciding one, and the looks that each has had).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

from upwell.records import Json
from upwell.settings import GateSettings
from upwell.stages.evaluate import paired, significance
from upwell.stages.evaluate.spending import level

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Look:
    """Which look at frozen tests this is, and how often those before it proved a gain."""

    number: int = 1
    promotions: int = 0
    sealed: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pair:
    """Differences of the deciding mark: per row, per user, and what kind of test they allow."""

    rows: Floats
    users: Floats
    binary: bool
    clustered: bool

    @property
    def right_or_wrong(self) -> bool:
        """Whether each user was right or wrong, once: what McNemar's test is about."""
        return self.binary and not self.clustered


def pair(challenger: Floats, champion: Floats, users: pa.ChunkedArray) -> Pair:
    """Both contenders' marks (n,) of the same rows, as differences."""
    apart = challenger - champion
    binary = bool(np.isin(np.concatenate([challenger, champion]), (0.0, 1.0)).all())
    clustered = len(pc.unique(users)) < len(apart)
    return Pair(apart, paired.user_means(users, apart[:, None])[:, 0], binary, clustered)


def proof(found: Pair, look: Look, settings: GateSettings) -> dict[str, Json]:
    """The entry ``proof`` of a report; see the module's text."""
    alpha = level(settings.alpha, look.number, look.promotions)
    p = significance.no_gain(found.users, found.right_or_wrong)
    return {
        "look": look.number,
        "promotions": look.promotions,
        "alpha": alpha,
        "p": None if math.isnan(p) else p,
        "bound": significance.lower_bound(found.users, alpha, found.right_or_wrong),
        "decides": "mcnemar" if found.right_or_wrong else "permutation",
        "tests": {} if math.isnan(p) else _tests(found),
        "sealed": dict(look.sealed),
    }


def missing(found: Pair, look: Look, settings: GateSettings) -> dict[str, Json]:
    """How many more users would show a gain of ``seek`` at the level of the next look."""
    spent = level(settings.alpha, look.number + 1, look.promotions)
    alpha = spent if settings.promote == "better" else (1.0 - settings.confidence) / 2.0
    more = paired.needed_cases(found.users, settings.seek, alpha)
    return {"gain": settings.seek, "users": more, "alpha": alpha}


def _tests(found: Pair) -> dict[str, Json]:
    """Numbers of every test that applies; rows of one user are no cases of their own."""
    users = found.users
    tests: dict[str, Json] = {
        "permutation": {
            "p": significance.sign_flip(users),
            "skew_corrected": significance.skew_corrected(users),
            "users": int((users != 0.0).sum()),
        }
    }
    if found.binary:
        better, worse = int((found.rows > 0).sum()), int((found.rows < 0).sum())
        p = None if found.clustered else significance.mcnemar(better, worse)
        tests["mcnemar"] = {"p": p, "better": better, "worse": worse}
    return tests

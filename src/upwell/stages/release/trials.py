"""Promote, go on, roll back: the decision on a version that serves beside the champion.

Looked at as often as one likes. Four gamblers bet on the difference between the versions, each as
one who expects ``effect`` (see ``sequential.log_e_process``):

* ``better``: that it is more than −margin. ``worse``: that it is less than 0. Each needs a capital
  of 2/α, so that where there is no difference both together speak with probability α at most.
* ``none``: that it is less than ``effect`` − margin, and that it is more than −``effect``. A trial
  of what makes no difference ends too. What gains so much is not promoted, and what loses
  ``effect`` not rolled back, with probability 1 − power at most: α/2 of that is for a decision on
  the wrong side, and a capital of 1 over the rest (never less than half) is needed to give up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from upwell.records import Json
from upwell.stages.release import cuped, sequential

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]
Act = Literal["promote", "go_on", "rollback", "stop"]
LOW, HIGH = -1.0, 1.0
"""Of rewards: a user who only dislikes, a user who only likes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a trial was begun with; it stays as it is to the end.

    ``effect`` is the least gain in mean reward that matters, ``margin`` the loss that does not,
    and ``minimum`` the units that each version needs before anything is decided.
    """

    alpha: float
    power: float
    effect: float
    margin: float
    minimum: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a trial says so far, and the numbers it stands on.

    ``key`` is the word key of the reason. ``estimate`` is the challenger's mean reward less the
    champion's, between ``low`` and ``high`` at the moment of the decision, else now; ``evidence``
    the largest e-value so far against "not better"; ``units`` how many each version had
    (champion, challenger) of ``seen``, of which the first ``decided`` sufficed (None: undecided).
    """

    act: Act
    key: str
    seen: int
    units: tuple[int, int]
    estimate: float | None
    low: float | None
    high: float | None
    evidence: float
    decided: int | None
    effect: float

    def numbers(self) -> Mapping[str, Json]:
        """The numbers by name, to fill a sentence and to be kept."""
        bounds = {"estimate": self.estimate, "low": self.low, "high": self.high}
        return {
            **{name: 0.0 if value is None else value for name, value in bounds.items()},
            "champion_users": self.units[0], "challenger_users": self.units[1],
            "users": self.seen, "evidence": self.evidence, "effect": self.effect,
            "used": self.seen if self.decided is None else self.decided,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Course:
    """(…, n) how a trial went, after each unit.

    The mean of ``gains``, each within ``least`` … ``most``, is the difference; ``better``,
    ``worse`` and ``none`` are what may be said, ``evidence`` the largest e-value so far against
    "not better".
    """

    gains: Floats
    least: Floats
    most: Floats
    better: Booleans
    worse: Booleans
    none: Booleans
    evidence: Floats


def decide(units: pa.Table, plan: Plan) -> Verdict:
    """The verdict on units in order of time: columns challenger, chance, reward, before.

    ``chance`` is the probability with which the unit got the challenger, strictly between 0 and
    1; ``before`` may be null (see ``outcomes``). The first moment that decides is the one that
    counts, so the verdict does not depend on when somebody looked.
    """
    challenger = units["challenger"].to_numpy().astype(bool)
    sizes = (int((~challenger).sum()), int(challenger.sum()))
    if len(challenger) < 2:
        return Verdict("go_on", "trial.few", len(challenger), sizes, None, None, None, 1.0, None,
                       plan.effect - plan.margin)  # fmt: skip
    course = follow(
        units["reward"].to_numpy(), challenger, units["chance"].to_numpy(), plan,
        before=units["before"].to_numpy(),
    )  # fmt: skip
    firsts: dict[Act, int] = {
        "rollback": int(sequential.first_true(course.worse)),
        "promote": int(sequential.first_true(course.better)),
        "stop": int(sequential.first_true(course.none)),
    }
    act = min(firsts, key=firsts.__getitem__)
    return _verdict(act, firsts[act], course, sizes, plan)


def follow(
    rewards: Floats,
    challenger: Booleans,
    chance: Floats,
    plan: Plan,
    *,
    before: Floats | None = None,
) -> Course:
    """What could be said after each unit; arrays (…, n), time last, ``before`` NaN or known."""
    hoped = cuped.expected(rewards, before, LOW, HIGH)
    gains = sequential.effects(rewards, challenger, chance, hoped)
    least, most = sequential.reach(chance, hoped, LOW, HIGH)

    def above(null: float) -> Floats:
        return sequential.log_e_process(gains, null, least, most, effect=plan.effect)

    def below(null: float) -> Floats:
        return sequential.log_e_process(-gains, -null, -most, -least, effect=plan.effect)

    enough = np.minimum(np.cumsum(challenger, -1), np.cumsum(~challenger, -1)) >= plan.minimum
    missed = 1.0 - plan.power
    sure, likely = -math.log(plan.alpha / 2.0), -math.log(max(missed - plan.alpha / 2, missed / 2))
    better = above(-plan.margin)
    no_gain, no_loss = below(plan.effect - plan.margin), above(-plan.effect)
    none = np.minimum(_so_far(no_gain), _so_far(no_loss)) >= likely
    return Course(
        gains,
        least,
        most,
        better=enough & (better >= sure),
        worse=enough & (below(0.0) >= sure),
        none=enough & none,
        evidence=np.exp(np.minimum(_so_far(better), 700.0)),
    )


def _so_far(values: Floats) -> Floats:
    return np.maximum.accumulate(values, axis=-1)


def _verdict(act: Act, place: int, course: Course, sizes: tuple[int, int], plan: Plan) -> Verdict:
    seen = len(course.gains)
    is_open = place >= seen
    used = seen if is_open else place + 1
    few = min(sizes) < plan.minimum
    key = ("trial.few" if few else "trial.go_on") if is_open else f"trial.{act}"
    gains = course.gains[:used]
    bounds = sequential.interval(
        gains, plan.alpha, course.least[:used], course.most[:used], plan.effect
    )
    low, high = (bound if math.isfinite(bound) else None for bound in bounds)
    return Verdict(
        act="go_on" if is_open else act,
        key=key,
        seen=seen,
        units=sizes,
        estimate=float(gains.mean()),
        low=low,
        high=high,
        evidence=float(course.evidence[used - 1]),
        decided=None if is_open else used,
        effect=plan.effect - plan.margin,
    )

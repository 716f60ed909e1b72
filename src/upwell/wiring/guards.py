"""What the guards beside the main metric look at, fetched for the pure functions that judge it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from pyarrow import compute as pc

from upwell.errors import UpwellError
from upwell.ports import Judging, Talking
from upwell.records import Json
from upwell.settings import GuardSettings
from upwell.stages.behaviour.features import FEATURES
from upwell.stages.dataset.augment import MARK
from upwell.stages.dataset.split import disjoint
from upwell.stages.evaluate import (
    calibration,
    columns,
    conduct,
    drift,
    guards,
    leaks,
    reactions,
)
from upwell.stages.evaluate.guards import Finding, unmeasured
from upwell.stages.evaluate.marks import Judged, judged_rows
from upwell.wiring import probing
from upwell.wiring.judging import Trial
from upwell.wiring.learning import loaded
from upwell.wiring.likelihoods import forgotten, memorised
from upwell.wiring.reactions import reacted
from upwell.wiring.turns import seed_of

Found = Mapping[str, Finding]
_CALIBRATION = "calibration calibration_rise"
_CONDUCT = "length abstention concentration coverage"
_FOREIGN: Mapping[str, tuple[str, ...]] = {
    "item": ("length", "abstention", "near_copies"),
    "answer": ("concentration", "coverage"),
    "value": ("concentration", "coverage", "near_copies", "length"),
}
"""By what a task is about: the guards that say nothing about it."""
_OF_ANSWERS = (_CALIBRATION, _CONDUCT)
"""Guards of the judged rows' answers: a task that is judged without them has none to look at."""


@dataclass(frozen=True, slots=True)
class Watch:
    """The trial with what challenger and champion answered.

    ``rival`` is None where nothing serves, or where it neither loads nor its answers are known.
    """

    trial: Trial
    challenger: Judged
    rival: Judged | None

    @property
    def settings(self) -> GuardSettings:
        """The thresholds."""
        return self.trial.project.settings.guards

    def rng(self, part: int) -> np.random.Generator:
        """Chance for one part of the guards, so that none depends on what another draws."""
        return np.random.default_rng([seed_of(self.trial.turn), part])


def broken(trial: Trial) -> Mapping[str, Json]:
    """``champion`` and ``problem`` where what serves no longer loads; empty where it does."""
    champion = trial.champion
    problem = loaded(trial.project, trial.task, champion)[1] if champion else ""
    return {"champion": champion.id, "problem": problem} if champion and problem else {}


def watched(watch: Watch) -> dict[str, Mapping[str, Json]]:
    """What each guard found, as ``report.guards["watched"]`` holds it.

    A guard whose rows cannot be read by what reads them is one that could not be measured: it
    never ends a turn. Guards that say nothing about this kind of task are left out.
    """
    task, measures = watch.trial.task, _MEASURES
    foreign = _FOREIGN[task.ABOUT]
    if isinstance(task, Talking) and isinstance(task, Judging):
        measures = {name: one for name, one in _MEASURES.items() if name not in _OF_ANSWERS}
        measures = {**measures, " ".join(probing.NAMES): lambda watch: probing.probed(watch.trial)}
    elif isinstance(task, Judging):
        foreign = (*foreign, *_CALIBRATION.split(), "length", "abstention")
    found: dict[str, Finding] = {}
    for names, measure in measures.items():
        wanted = set(names.split()) - set(watch.settings.off) - set(foreign)
        if wanted:
            measured = _measured(wanted, partial(measure, watch))
            found |= {name: what for name, what in measured.items() if name in wanted}
    return guards.watched(found, watch.settings)


def _measured(wanted: set[str], measure: Callable[[], Found]) -> Found:
    try:
        return measure()
    except UpwellError as error:
        return dict.fromkeys(wanted, unmeasured("refused", code=error.code))


def _calibrated(watch: Watch) -> Found:
    """The challenger's probabilities on the judged rows, and the champion's beside them."""
    names, mine, sure = _CALIBRATION.split(), watch.challenger, watch.settings.confidence
    users = pa.chunked_array([columns.owners_of(mine.rows)])
    few = _few(watch, users)
    if few:
        return dict.fromkeys(names, few)
    pair = calibration.said_and_right(mine)
    level = calibration.level(pair, sure, watch.rng(0))
    rise = _no_rival(watch)
    if watch.rival is not None:
        was = calibration.said_and_right(watch.rival)
        rise = calibration.rise(pair, was, users, sure, watch.rng(1))
    return dict(zip(names, (level, rise), strict=True))


def _conduct(watch: Watch) -> Found:
    """How the challenger answers the judged rows beside the champion, whatever that is worth."""
    mine, before = watch.challenger, watch.rival
    users = pa.chunked_array([columns.owners_of(mine.rows)])
    few = _few(watch, users)
    if few or before is None:
        return dict.fromkeys(_CONDUCT.split(), few or _no_rival(watch))
    if watch.trial.task.ABOUT == "item":
        catalogue = watch.trial.data.items.num_rows
        return {
            "concentration": conduct.concentration(mine, before, catalogue),
            "coverage": conduct.coverage(mine, before, catalogue),
        }
    sure, below = watch.settings.confidence, watch.trial.project.settings.serve.abstain
    return {
        "length": conduct.length(mine, before, users, sure, watch.rng(2)),
        "abstention": conduct.abstention(mine, before, below, users, sure, watch.rng(3)),
    }


def _few(watch: Watch, owners: pa.ChunkedArray) -> Finding | None:
    """Why nothing is measured where there are too few owners of rows."""
    count, minimum = len(pc.unique(owners)), watch.settings.minimum
    return unmeasured("few", rows=count, minimum=minimum) if count < minimum else None


def _no_rival(watch: Watch) -> Finding:
    """Why there is nothing to compare with."""
    return unmeasured("no_champion" if watch.trial.champion is None else "champion_broken")


def _inputs(watch: Watch) -> Found:
    """The newest rows that were learned from against the others."""
    settings, rng = watch.settings, watch.rng(7)
    parts = [judged_rows(part) for part in (watch.trial.data.train, watch.trial.data.validation)]
    given = pa.concat_tables(parts)
    given = given.filter(pc.invert(pc.match_substring(given["id"], MARK)))
    chosen, is_new = columns.halves(given, settings.newest, settings.rows, rng)
    fewest = min(int(is_new.sum()), int((~is_new).sum()))
    if fewest < max(settings.minimum, 4):
        few = unmeasured("few", rows=fewest, minimum=settings.minimum)
        return {"drift": few, "drift_joint": few}
    found = columns.columns(chosen, watch.trial.task.ABOUT, FEATURES, settings.minimum)
    if not found:
        return dict.fromkeys(("drift", "drift_joint"), unmeasured("constant"))
    blocks = [columns.matrix(found)]
    if any(column.name == columns.LENGTH for column in found):
        blocks.append(columns.words(chosen))
    sure = settings.confidence
    return {
        "drift": drift.marginal(found, is_new, sure),
        "drift_joint": drift.joint(np.concatenate(blocks, axis=1), is_new, sure, rng),
    }


def _users(watch: Watch) -> Found:
    """Whether users react to answers as they did."""
    told = reacted(watch.trial.project, watch.trial.turn)
    names = ("feedback_rate", "positive_share")
    if not told.num_rows:
        return dict.fromkeys(names, unmeasured("no_answers", days=watch.settings.window_days))
    settings = watch.settings
    return reactions.reactions(
        told, settings.newest, settings.minimum, settings.confidence, watch.rng(8)
    )


def _leaks(watch: Watch) -> Found:
    """Judged rows that are among those to learn from."""
    data, about = watch.trial.data, watch.trial.task.ABOUT
    judged = data.test.filter(pc.greater(data.test["weight"], 0.0))
    parts = [part.filter(pc.greater(part["weight"], 0.0)) for part in (data.train, data.validation)]
    learned = pa.concat_tables(parts).select(["user", "input", "target", "at"])
    by = disjoint(watch.trial.project.settings.split, about)
    found = {"leaked_rows": leaks.leaked(judged, learned, by, about)}
    return found | (
        {"near_copies": leaks.near_copies(judged, learned)} if about == "answer" else {}
    )


_MEASURES: Mapping[str, Callable[[Watch], Found]] = {
    _CALIBRATION: _calibrated,
    _CONDUCT: _conduct,
    "forgetting forgetting_anchor": lambda watch: forgotten(watch.trial),
    "memorisation": lambda watch: {"memorisation": memorised(watch.trial)},
    "drift drift_joint": _inputs,
    "feedback_rate positive_share": _users,
    "leaked_rows near_copies": _leaks,
}
"""The guards, by names, in groups that look at the same rows."""

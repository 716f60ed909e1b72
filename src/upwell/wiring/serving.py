"""Requests to the versions that serve: the champion, and during a trial a challenger beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from upwell.records import Json, ModelVersion
from upwell.settings import TrialSettings
from upwell.settings.trial import DAILY
from upwell.stages.serve.live import Asking, Live, Split
from upwell.stages.serve.traffic import chosen, day_begins
from upwell.store.lookups import champion_of
from upwell.store.project import Project
from upwell.store.trials import Trial, Trials
from upwell.wiring.trials import finish


def answers(
    project: Project,
    live: Live,
    users: Sequence[str],
    inputs: pa.Table,
    asking: Asking,
    at: datetime,
) -> pa.Table:
    """An answer for each user's input row, in order: columns of ``engine.answer`` and three more.

    Somebody nobody knows (an empty user) gets what the champion thinks best, with certainty: no
    exploring and no trial, so that all of them get the same.

    ``model`` is the version that answered, ``policy`` how it was chosen (``greedy``, or the mode
    of the trial) and ``trial`` a JSON object of the trial's ``id`` and the ``chance`` that the
    challenger had of answering, null outside one. A challenger that cannot be loaded or raises
    ends its trial, and the champion answers. Raises StageError while no version serves.
    """
    nobody = np.array([not user for user in users], dtype=np.bool_)
    if asking.explore and nobody.any():
        return _apart(project, live, users, inputs, asking, at, nobody)
    task = project.settings.project.task
    champion = champion_of(project.journal, task)
    if champion is not None and champion != live.version:
        place(project, live, project.ledger.version(champion))
    trial = Trials(project.journal).running(task)
    if trial is None or trial.champion != champion:
        version, found = live.answer(inputs, asking.k, asking.explore, asking.rng, asking.abstain)
        return _marked(found, [version] * found.num_rows, None)
    problem = _ready(project, live, trial)
    split = split_of(project, trial, users, at)
    found, raised = live.answer_split(inputs, asking, split)
    versions, found = found["model"].to_pylist(), found.drop_columns(["model"])
    if (failed := problem or raised) is not None:
        end_failed(project, trial, failed, at)
        return _marked(found, versions, None)
    told: dict[str, Json] = {"id": trial.id, "chance": float(split.chance.max(initial=0.0))}
    return _marked(found, versions, trial.mode, [told if user else None for user in users])


def end_failed(project: Project, trial: Trial, problem: Exception, at: datetime) -> None:
    """End a trial whose challenger failed while it served."""
    told = f"{type(problem).__name__}: {problem}".splitlines()[0][:200]
    finish(project, trial, "rollback", {"key": "trial.failed", "problem": told}, at)


def _apart(
    project: Project,
    live: Live,
    users: Sequence[str],
    inputs: pa.Table,
    asking: Asking,
    at: datetime,
    nobody: npt.NDArray[np.bool_],
) -> pa.Table:
    """The answers to those who are known and to those who are not, in the order of the rows."""
    parts, places = [], []
    for rows, explore in ((~nobody, asking.explore), (nobody, 0.0)):
        where = np.flatnonzero(rows)
        if len(where):
            some, how = [users[one] for one in where.tolist()], replace(asking, explore=explore)
            parts.append(answers(project, live, some, inputs.take(pa.array(where)), how, at))
            places.append(where)
    return pa.concat_tables(parts).take(pa.array(np.argsort(np.concatenate(places))))


def _marked(
    found: pa.Table,
    models: list[str],
    mode: str | None,
    asked: Sequence[Json] = (),
) -> pa.Table:
    """The answers with who gave them and how that one was chosen."""
    told = list(asked) or [None] * found.num_rows
    policies = [mode if one and mode else "greedy" for one in told]
    return pa.table(
        {
            **{name: found[name] for name in found.column_names},
            "model": pa.array(models, pa.string()),
            "policy": pa.array(policies, pa.string()),
            "trial": pa.array(told, pa.struct([("id", pa.string()), ("chance", pa.float64())])),
        }
    )


def place(project: Project, live: Live, champion: ModelVersion) -> None:
    """Let the champion serve; one that is held ready is not read again."""
    if live.version != champion.id:
        live.serve(champion.id, _folder(project, live, champion))


def _ready(project: Project, live: Live, trial: Trial) -> Exception | None:
    """Load the challenger where it is not held ready; what kept it from that."""
    if live.holds(trial.challenger):
        return None
    try:
        version = project.ledger.version(trial.challenger)
        live.ready(version.id, _folder(project, live, version))
    except Exception as problem:
        return problem
    return None


def _folder(project: Project, live: Live, version: ModelVersion) -> Path:
    if live.holds(version.id):
        return Path(version.path)
    return project.models.verified(version.path, version.digest)


def split_of(project: Project, trial: Trial, users: Sequence[str], at: datetime) -> Split:
    """Who of the users meets the challenger of a trial, and with what chance."""
    daily = trial.mode in DAILY
    # A unit keeps the chance that held when its day began, so that its draw never changes.
    chance = trial.chance(day_begins(at) if daily else at)
    return Split(
        trial.champion,
        trial.challenger,
        chosen(project.key, trial.id, users, at, chance, daily=daily),
        np.array([chance if user else 0.0 for user in users], dtype=np.float64),
        TrialSettings.model_validate(trial.options).ask_both,
    )

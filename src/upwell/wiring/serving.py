"""Requests to the versions that serve: the champion, and during a trial a challenger beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from upwell.plugins import plugin
from upwell.ports import Specialising
from upwell.records import Json, ModelVersion
from upwell.settings import TrialSettings
from upwell.settings.trial import DAILY
from upwell.stages.serve.live import Asking, Live, Split
from upwell.stages.serve.traffic import chosen, day_begins
from upwell.store.lookups import champion_of
from upwell.store.project import Project
from upwell.store.trials import Trial, Trials
from upwell.wiring.grouping import groups_of
from upwell.wiring.known import Known
from upwell.wiring.trials import finish


@dataclass(frozen=True, slots=True)
class Requests:
    """Rows of inputs, one of each user, that the versions which serve are to answer at a moment."""

    project: Project
    live: Live
    known: Known
    users: Sequence[str]
    inputs: pa.Table
    asking: Asking
    at: datetime

    def of(self, rows: npt.NDArray[np.int64], explore: float) -> Requests:
        """Those at some places, with another share of exploring."""
        return replace(
            self,
            users=[self.users[row] for row in rows.tolist()],
            inputs=self.inputs.take(pa.array(rows)),
            asking=replace(self.asking, explore=explore),
        )


def answers(asked: Requests) -> pa.Table:
    """An answer for each user's input row, in order: columns of ``engine.answer`` and four more.

    Somebody nobody knows (an empty user) gets what the champion thinks best, with certainty: no
    exploring and no trial, so that all of them get the same.

    ``model`` is the version that answered, ``group`` that of users whose adapter in it spoke (null
    where the shared model did), ``policy`` how it was chosen (``greedy``, or the mode of the trial)
    and ``trial`` a JSON object of the trial's ``id`` and the ``chance`` that the challenger had of
    answering, null outside one. A challenger that cannot be loaded or raises ends its trial, and
    the champion answers. Raises StageError while no version serves.
    """
    nobody = np.array([not user for user in asked.users], dtype=np.bool_)
    if asked.asking.explore and nobody.any():
        return _apart(asked, nobody)
    project, live, asking = asked.project, asked.live, asked.asking
    task = project.settings.project.task
    champion = champion_of(project.journal, task)
    if champion is not None and champion != live.version:
        place(project, live, project.ledger.version(champion))
    trial = Trials(project.journal).running(task)
    if trial is not None and trial.champion == champion:
        return _tried(asked, trial)
    inputs = _grouped(asked, [champion])
    version, found = live.answer(inputs, asking.k, asking.explore, asking.rng, asking.abstain)
    return _marked(_spoken(project, live, inputs, found, [version] * found.num_rows), None)


def _tried(asked: Requests, trial: Trial) -> pa.Table:
    """The answers of both versions of a trial, each to who meets it."""
    project, live, users = asked.project, asked.live, asked.users
    problem = _ready(project, live, trial)
    inputs = _grouped(asked, [trial.champion, trial.challenger])
    split = split_of(project, trial, users, asked.at)
    found, raised = live.answer_split(inputs, asked.asking, split)
    found = _spoken(project, live, inputs, found, found["model"].to_pylist())
    if (failed := problem or raised) is not None:
        end_failed(project, trial, failed, asked.at)
        return _marked(found, None)
    told: dict[str, Json] = {"id": trial.id, "chance": float(split.chance.max(initial=0.0))}
    return _marked(found, trial.mode, [told if user else None for user in users])


def end_failed(project: Project, trial: Trial, problem: Exception, at: datetime) -> None:
    """End a trial whose challenger failed while it served."""
    told = f"{type(problem).__name__}: {problem}".splitlines()[0][:200]
    finish(project, trial, "rollback", {"key": "trial.failed", "problem": told}, at)


def _apart(asked: Requests, nobody: npt.NDArray[np.bool_]) -> pa.Table:
    """The answers to those who are known and to those who are not, in the order of the rows."""
    places = [np.flatnonzero(~nobody), np.flatnonzero(nobody)]
    parts = [
        answers(asked.of(rows, explore))
        for rows, explore in zip(places, (asked.asking.explore, 0.0), strict=True)
        if len(rows)
    ]
    return pa.concat_tables(parts).take(pa.array(np.argsort(np.concatenate(places))))


def _grouped(asked: Requests, versions: Sequence[str | None]) -> pa.Table:
    """The rows with the group of who asks (see ``groups_of``); other tasks' rows have theirs."""
    inputs = asked.inputs
    if plugin("tasks", asked.project.settings.project.task).ABOUT != "answer":
        return inputs
    held = [asked.live.held(version) for version in versions if version is not None]
    models = [one.model for one in held if one]
    groups = groups_of(asked.project, asked.known, models, asked.users, asked.at)
    place = inputs.schema.get_field_index("group")
    return inputs.set_column(place, inputs.schema.field(place), pa.array(groups, pa.string()))


def _spoken(
    project: Project, live: Live, inputs: pa.Table, found: pa.Table, versions: Sequence[str]
) -> pa.Table:
    """The answers with who gave them: ``model``, and ``group`` where an adapter of it spoke."""
    task = plugin("tasks", project.settings.project.task)
    kept = {
        version: task.groups(held.model) if held and isinstance(task, Specialising) else ()
        for version in set(versions)
        for held in [live.held(version)]
    }
    asked = zip(versions, inputs["group"].to_pylist(), strict=True)
    groups = [group if group in kept[version] else None for version, group in asked]
    columns = {name: found[name] for name in found.column_names}
    named = {"model": pa.array(versions, pa.string()), "group": pa.array(groups, pa.string())}
    return pa.table({**columns, **named})


def _marked(found: pa.Table, mode: str | None, asked: Sequence[Json] = ()) -> pa.Table:
    """The answers with how who gave them was chosen."""
    told = list(asked) or [None] * found.num_rows
    policies = [mode if one and mode else "greedy" for one in told]
    return pa.table(
        {
            **{name: found[name] for name in found.column_names},
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

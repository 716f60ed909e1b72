"""Adapters of a turn's version for groups of users: which are tried, and which it keeps."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy.exc import DBAPIError

from upwell.errors import PluginError, StageError, UpwellError
from upwell.plugins import plugin
from upwell.ports import Model, Specialising, Task
from upwell.records import Json
from upwell.settings import Settings
from upwell.stages.evaluate.marks import Judged, judge, judged_rows, spread
from upwell.stages.evaluate.paying import paying
from upwell.stages.tune.groups import parts
from upwell.store.project import Project
from upwell.tables import Dataset
from upwell.wiring.known import Known

log = logging.getLogger("upwell.serving")


@dataclass(frozen=True, slots=True)
class Specialised:
    """The shared model with the adapters that pay (None: none does), and what was tried."""

    model: Model | None
    told: Mapping[str, Json]


def wanted(task: Task, settings: Settings) -> bool:
    """Whether adapters are asked for, of a task that has them, for groups that are told."""
    asked = settings.tune.group_adapters and bool(settings.behaviour.group)
    return asked and isinstance(task, Specialising)


def specialised(
    task: Any, shared: Model, data: Dataset, settings: Settings, seed: int
) -> Specialised:
    """Try an adapter for each group that is large enough; keep those that pay.

    ``told`` is by group: ``rows`` it learns from, held-out ``users``, and ``act``: ``kept`` or
    ``refused`` (see ``paying``), ``few``, or ``failed`` with the code of ``why``.
    """
    tune, gate = settings.tune, settings.gate
    held_out = spread(judged_rows(data.validation, task), gate.rows_per_user)
    told, models = dict[str, dict[str, Json]](), dict[str, Model]()
    judged = dict[str, tuple[Judged, Judged]]()
    for part in parts(data, held_out):
        told[part.group] = {"rows": part.rows, "users": part.users, "act": "few"}
        least: dict[str, Json] = {"least_rows": tune.group_rows, "least_users": gate.slice_minimum}
        if part.rows < tune.group_rows or part.users < gate.slice_minimum:
            told[part.group] |= least
            continue
        try:
            models[part.group] = _trained(task, shared, part.group, part.data, settings, seed)
        except (PluginError, StageError) as problem:
            # What one group cannot learn from must not cost all others their turn.
            told[part.group] |= {"act": "failed", "why": problem.code}
            continue
        its, other = (
            judge(task, model, part.data.test, settings.serve.k, name=name)
            for name, model in ((part.group, models[part.group]), ("shared", shared))
        )
        judged[part.group] = its, other
    found = paying(judged, gate.metric or task.METRIC, gate, np.random.default_rng([seed, 6]))
    for group, numbers in found.items():
        told[group] |= numbers
    kept = {group: models[group] for group in found if told[group]["act"] == "kept"}
    return Specialised(task.together(shared, kept) if kept else None, told)


def groups_of(
    project: Project, known: Known, models: Iterable[object], users: Sequence[str], at: datetime
) -> list[str]:
    """The group of each user, where an adapter in one of ``models`` is its; '' for all others.

    Nothing is read where there is none. Where groups cannot be looked up this is logged, and all
    users get '': the shared model knows how to answer them.
    """
    task, kept = plugin("tasks", project.settings.project.task), set[str]()
    asked = [user for user in dict.fromkeys(users) if user]
    if isinstance(task, Specialising) and asked:
        kept.update(group for model in models for group in task.groups(model))
    if not kept:
        return [""] * len(users)
    try:
        found = known.groups(asked, at)
    except (UpwellError, DBAPIError) as problem:
        # Its text could hold what users sent.
        why = problem.code if isinstance(problem, UpwellError) else type(problem).__name__
        log.error("the groups of %d users cannot be looked up: %s", len(users), why)
        return [""] * len(users)
    return [found.get(user, "") if found.get(user) in kept else "" for user in users]


def _trained(
    task: Any, shared: Model, group: str, data: Dataset, settings: Settings, seed: int
) -> Model:
    # Training brings torch, which commands that do not train need not wait for.
    from upwell.stages.tune.search import choose_label_share
    from upwell.stages.tune.trainer import train

    model, tune = task.special(shared, group, data, settings.tune)
    share = choose_label_share(task, model, data, tune, seed=seed)
    return train(task, model, data, tune, label_share=share.value, seed=seed).model

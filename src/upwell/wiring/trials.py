"""Trials of a challenger beside the champion: begun, looked at, and brought to an end.

Safe to repeat and to run beside answers: a trial ends once, its decision is recorded once, and a
process that was killed between the two is made good by the next ``step``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pyarrow as pa
from duckdb import ColumnExpression, ConstantExpression, DuckDBPyRelation

from upwell import rows
from upwell.errors import StageError
from upwell.records import Decision, Json
from upwell.settings import TrialSettings
from upwell.settings.trial import DAILY
from upwell.stages.clean.attribution import attribute
from upwell.stages.release.outcomes import units
from upwell.stages.release.trials import Plan, Verdict, decide
from upwell.stages.serve.traffic import day_begins, epsilon_greedy, posterior, thompson
from upwell.store.project import Project
from upwell.store.trials import Trial, Trials
from upwell.wiring.turns import drain

BEFORE = timedelta(days=30)
"""How long before a trial the behaviour of its users is compared with."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A trial and what it says: ``trial`` is as it stands after ``verdict`` was acted on."""

    trial: Trial
    verdict: Verdict


def start(
    project: Project, version: str, now: datetime, *, id: str, mode: str = "", share: float = 0.0
) -> Trial:
    """Let ``version`` serve beside the champion, as ``[trial]`` says, ``mode`` and ``share`` apart.

    Repeating it with the same id changes nothing. Raises StageError ``trial.no_mode`` where none
    is set, ``trial.bad_share``, ``trial.no_champion``, ``trial.serves`` where the version serves
    already; StoreError ``ledger.no_version``, ``trial.running``.
    """
    chosen = project.settings.trial
    mode = mode or chosen.mode
    if mode not in ("canary", "ab", *DAILY):
        raise StageError("trial.no_mode", mode=mode)
    if not 0.0 <= share < 1.0:
        raise StageError("trial.bad_share", share=share)
    named = chosen.model_dump() | {"mode": mode} | ({"share": share} if share else {})
    settings = TrialSettings.model_validate(named)
    challenger = project.ledger.version(version)
    champion = project.ledger.champion(challenger.task)
    if champion is None:
        raise StageError("trial.no_champion", version=version)
    if champion.id == version:
        raise StageError("trial.serves", version=version)
    began = (now, _first_chance(settings))
    options = settings.model_dump(mode="json")
    trial = Trial(
        id, challenger.task, champion.id, version, settings.mode, now, options, (began,)
    )  # fmt: skip
    return Trials(project.journal).start(trial)


def instead(project: Project, decision: Decision) -> Decision:
    """What a gate's promotion becomes where ``[trial]`` asks for a trial first; changes nothing.

    The first champion, and every other decision, stay as they are. While another trial runs the
    version is held.
    """
    champion, mode = project.ledger.champion(decision.task), project.settings.trial.mode
    if mode == "off" or decision.act != "promote" or champion is None:
        return decision
    trials = Trials(project.journal)
    running = trials.running(decision.task)
    is_known = any(one.id == _id(decision) for one in trials.all(decision.task))
    if running is not None and not is_known:
        busy: Mapping[str, Json] = {
            "key": "trial.busy", "verdict": "hold", "version": running.challenger,
        }  # fmt: skip
        return replace(decision, act="hold", reasons=(*decision.reasons, busy))
    begun: Mapping[str, Json] = {
        "key": "trial.begun", "verdict": "trial", "mode": mode,
        "share": _first_chance(project.settings.trial), "champion": champion.id,
    }  # fmt: skip
    return replace(decision, act="trial", reasons=(*decision.reasons, begun))


def begin(project: Project, decision: Decision, now: datetime) -> None:
    """Begin the trial that a decision speaks of, if it speaks of one."""
    if decision.act == "trial":
        start(project, decision.model, now, id=_id(decision))


def look(project: Project, trial: Trial, now: datetime) -> Standing:
    """What a trial says of all that happened before ``now``; changes nothing but the lake."""
    drain(project)
    return Standing(trial, decide(_units(project, trial, now), _plan(trial)))


def step(project: Project, now: datetime) -> Standing | None:
    """Look at the running trial and act: promote, roll back, stop, or draw anew for tomorrow.

    None where none runs. A trial whose champion no longer serves is void and ends.
    """
    trials, task = Trials(project.journal), project.settings.project.task
    for ended in trials.all(task)[-1:]:
        _settle(project, ended)
    trial = trials.running(task)
    if trial is None:
        return None
    drain(project)
    found = _units(project, trial, now)
    verdict = decide(found, _plan(trial))
    options = TrialSettings.model_validate(trial.options)
    champion = project.ledger.champion(task)
    if champion is None or champion.id != trial.champion:
        is_challenger = champion is not None and champion.id == trial.challenger
        finish(project, trial, "promote" if is_challenger else "stop", {"key": "trial.moved"}, now)
    elif verdict.act != "go_on":
        finish(project, trial, verdict.act, {"key": verdict.key, **verdict.numbers()}, now)
    elif now - trial.started > timedelta(days=options.longest_days):
        late = {"key": "trial.late", "days": options.longest_days, **verdict.numbers()}
        finish(project, trial, "stop", late, now)
    elif trial.mode in DAILY:
        tomorrow = day_begins(now) + timedelta(days=1)
        trials.aim(trial.id, next_chance(found, trial, options), tomorrow)
    return Standing(next(one for one in trials.all(task) if one.id == trial.id), verdict)


def finish(
    project: Project, trial: Trial, outcome: str, reason: Mapping[str, Json], now: datetime
) -> None:
    """End a trial and record the decision with its reason; the alias moves if it is promoted.

    A trial that ended already stays as it ended.
    """
    trials = Trials(project.journal)
    if trials.end(trial.id, now, outcome, reason):
        ended = next(one for one in trials.all(trial.task) if one.id == trial.id)
        _settle(project, ended)


def next_chance(found: pa.Table, trial: Trial, options: TrialSettings) -> float:
    """The probability of the challenger, from the rewards of both versions so far."""
    known = list(zip(found["challenger"].to_pylist(), found["reward"].to_pylist(), strict=True))
    shapes = {
        version: posterior([reward for is_it, reward in known if is_it == wanted])
        for version, wanted in ((trial.champion, False), (trial.challenger, True))
    }
    if trial.mode == "epsilon":
        return epsilon_greedy(shapes, options.share or 0.1)[trial.challenger]
    return thompson(shapes, options.floor)[trial.challenger]


def _first_chance(settings: TrialSettings) -> float:
    """The challenger's probability before anything is known."""
    if settings.mode == "thompson":
        return 0.5
    if settings.mode == "epsilon":
        return (settings.share or 0.1) / 2.0
    return settings.share or (0.5 if settings.mode == "ab" else 0.1)


def _id(decision: Decision) -> str:
    return f"{decision.id}.trial"


def _plan(trial: Trial) -> Plan:
    settings = TrialSettings.model_validate(trial.options)
    return Plan(
        settings.alpha, settings.power, settings.effect, settings.margin, settings.minimum
    )  # fmt: skip


def _settle(project: Project, trial: Trial) -> None:
    """Record the decision of a trial that has ended; again changes nothing."""
    reason = trial.reason or {}
    if trial.ended is None or reason.get("key") == "trial.moved":
        return
    act = "promote" if trial.outcome == "promote" else "reject"
    decision = Decision(
        f"{trial.id}.end", trial.challenger, trial.task, trial.ended, act,
        ({**reason, "verdict": act},),
    )  # fmt: skip
    project.ledger.decide(decision, trial.challenger if act == "promote" else None)


def _units(project: Project, trial: Trial, now: datetime) -> pa.Table:
    settings = TrialSettings.model_validate(trial.options)
    early = trial.started - BEFORE
    if days := project.settings.retention.analyse_days:
        early = max(early, now - timedelta(days=days))
    with rows.workspace(project) as (space, con):
        events = _since(rows.events_of(project, con, as_of=now), early)
        predictions = _since(project.lake.predictions(con, as_of=now), early)
        about = attribute(con, events, predictions, project.settings.behaviour.attribution_days)
        return units(
            con,
            predictions=predictions,
            events=events,
            signals=rows.said(con, space, project, about),
            permitted=con.from_arrow(
                pa.table({"user": rows.permitted_users(project, "analyse", now)})
            ),
            trial=trial.id,
            challenger=trial.challenger,
            daily=trial.mode in DAILY,
            early=early,
            started=trial.started,
            now=now,
            days=settings.window_days,
        )


def _since(relation: DuckDBPyRelation, early: datetime) -> DuckDBPyRelation:
    return relation.filter(ColumnExpression("at") >= ConstantExpression(early))

"""How each stage of a turn meets the stores: fetch tables, call the pure stage, keep what it made.

``loop.py`` tells the story; this file holds what it must not: where a stage's input lies and
where its output goes. Every function can be repeated: a turn killed at any boundary resumes.
What a stage returns is recorded under the turn's id; it names what was made and how it went.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from upwell import rows
from upwell.errors import PluginError, StageError
from upwell.plugins import plugin
from upwell.ports import Adaptable, Model, Task
from upwell.records import Decision, Json, ModelVersion, Report
from upwell.stages.clean.trust import totals, trusted
from upwell.stages.dataset.augment import augmented
from upwell.stages.dataset.history import with_history
from upwell.stages.dataset.items import items
from upwell.stages.dataset.split import assign, cuts
from upwell.stages.evaluate.compare import compare
from upwell.stages.evaluate.marks import Judged, judge, judge_baselines, judged_rows, spread
from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.stages.release.gate import decide
from upwell.store.doubts import keep_doubts
from upwell.store.judged import recall, remember
from upwell.store.ledger import Turn
from upwell.store.project import Project
from upwell.tables import Dataset, micros

Tell: TypeAlias = Callable[[str, float, Mapping[str, object]], None]
"""Progress: the stage, the share of it that is done, and numbers to show."""
Kept: TypeAlias = Mapping[str, Json]
"""What a stage leaves under its turn's id."""
Stage: TypeAlias = Callable[[Project, Turn, Tell], Kept]


def begin(project: Project, as_of: datetime | None, seed: int, now: datetime) -> Turn:
    """The turn that was left unfinished, else a new one over all that was captured so far.

    Raises StageError ``loop.nothing_new`` when the last turn saw the same events and consents up
    to the same moment, with the same settings and seed: it would end with the same model.
    """
    task = project.settings.project.task
    unfinished = project.ledger.unfinished_turn(task)
    if unfinished:
        return unfinished
    drain(project)
    turns = project.ledger.turns(task)
    watermark, options = project.lake.watermark(), _options(project, seed)
    if turns and project.ledger.stage_result(turns[-1].id, "release") and (
        turns[-1].watermark, turns[-1].as_of, turns[-1].options,
    ) == (watermark, as_of, options):  # fmt: skip
        raise StageError("loop.nothing_new", turn=turns[-1].id, events=watermark)
    return project.ledger.open_turn(f"{task}-{len(turns)}", task, now, watermark, as_of, options)


def _options(project: Project, seed: int) -> Mapping[str, Json]:
    """What a turn depends on besides the events it may see."""
    settings = sha256(project.settings.model_dump_json().encode()).hexdigest()
    consents = project.journal.counts()["consents"]
    return {"seed": seed, "settings": settings, "consents": consents}


def drain(project: Project) -> int:
    """Move what is new in the journal into the lake, under pseudonyms; the rows moved."""
    return project.lake.drain(Pseudonyms(project.key).protect)


def once(project: Project, turn: Turn, tell: Tell, name: str, stage: Stage) -> None:
    """Run a stage of the turn, unless the turn has its result already."""
    if project.ledger.stage_result(turn.id, name) is None:
        began = perf_counter()
        tell(name, 0.0, {})
        with _ended_if_refused(project, turn):
            made = stage(project, turn, tell)
        kept = {**made, "seconds": round(perf_counter() - began, 3)}
        project.ledger.record_stage(turn.id, name, kept, turn.at)
    tell(name, 1.0, {})


def collect(project: Project, turn: Turn, tell: Tell) -> Kept:
    """What intake has accepted, refused and recognised so far."""
    return dict(project.journal.counts())


def freeze(project: Project, turn: Turn, tell: Tell) -> Kept:
    """Protect, clean, behaviour, dataset: what users did as one snapshot of rows to learn from."""
    with rows.workspace(project) as (space, con):
        events = project.lake.events(con, until_seq=turn.watermark)
        predictions = project.lake.predictions(con)
        users = rows.permitted_users(project, "train", turn.at)
        known = turn.as_of or turn.at
        made = rows.written(con, space, project, events, predictions, users, known)
        tell("dataset", 0.6, {})
        split = project.settings.split
        frozen = rows.frozen_span(project, made, turn.task, turn.as_of)
        about = _task(turn).ABOUT
        found = rows.judgement(
            con, space, project, events, predictions, users, made, frozen, turn.as_of, known
        )
        made = trusted(con, made, found.doubts, found.rated)
        parts = assign(con, made, split, cuts(made, split, frozen, turn.as_of), about)
        parts = _completed(con, project, parts)
        keep_doubts(rows.doubts_path(project, turn.id), found.doubts)
        snapshot = project.snapshots.write(
            {**parts, "items": items(con, events)}, turn.task, turn.at, turn.watermark
        )
        funnel: dict[str, Json] = {
            **rows.funnel(space, made, parts["train"]),
            "doubts": totals(found.doubts),
        }
    span: list[Json] = [micros(end) for end in frozen]
    names: dict[str, Json] = {"snapshot": snapshot.id, "test": snapshot.test, "frozen": span}
    return {**names, "users": len(users), **funnel}


def _completed(
    con: DuckDBPyConnection, project: Project, parts: Mapping[str, DuckDBPyRelation]
) -> dict[str, DuckDBPyRelation]:
    """The parts with variants of scarce texts in train and without silence in the test.

    An outcome that comes late ends a silence; a test that is frozen must not change with it.
    """
    settings, order, train, test = project.settings, '"user", "at", seq, id', "train", "test"
    found = dict(parts)
    if settings.augment.below:
        made = con.from_arrow(augmented(con, parts[train], settings.augment))
        found[train] = parts[train].union(made).order(order)
    if settings.trust.maturity_days:
        found[test] = parts[test].filter("seq >= 0").order(order)
    return found


@contextmanager
def _ended_if_refused(project: Project, turn: Turn) -> Iterator[None]:
    """End a turn whose rows cannot be used: what is captured later can only enter a new one."""
    try:
        yield
    except (PluginError, StageError):
        project.ledger.close_turn(turn.id, turn.at)
        raise


def tune(project: Project, turn: Turn, tell: Tell) -> Kept:
    """Train the turn's model version on its snapshot; keep the model and how it learned."""
    # Training brings torch, which commands that do not train need not wait for.
    from upwell.stages.tune.search import choose_label_share
    from upwell.stages.tune.trainer import train

    task, settings, seed = _task(turn), project.settings.tune, _seed(turn)
    snapshot = str(kept(project, turn, "dataset")["snapshot"])
    data = dataset(project, snapshot)
    use_threads(settings.threads)
    champion = project.ledger.champion(turn.task)
    model = task.start(settings.base, data, seed)
    if isinstance(task, Adaptable):
        settings = task.adapt(model, data, settings)
    share = choose_label_share(task, model, data, settings, seed=seed)
    checkpoint = project.folder / project.settings.data.folder / "checkpoints" / turn.id
    trained = train(
        task, model, data, settings,
        label_share=share.value, seed=seed, checkpoint=checkpoint,
        champion=load(project, task, champion) if champion else None,
        progress=lambda step: tell("tune", step.epoch / step.of, step.numbers),
    )  # fmt: skip
    path, digest = project.models.write(
        turn.id, lambda folder: task.save(trained.model, folder), replace=True
    )
    recipe = settings.model_dump(mode="json") | {"label_share": share.value, "seed": seed}
    parent = champion.id if champion else None
    project.ledger.add_version(
        ModelVersion(turn.id, turn.task, turn.at, parent, snapshot, recipe, None, str(path), digest)
    )
    shutil.rmtree(checkpoint, ignore_errors=True)
    return {
        "version": turn.id,
        "label_share": share.value,
        "label_share_by": share.by,
        "curve": trained.curve.to_pylist(),
        "best_epoch": trained.best_epoch,
        "diagnostics": trained.diagnostics,
    }


def evaluate(project: Project, turn: Turn, tell: Tell) -> Kept:
    """Judge the version, the champion and the first version on the frozen part; keep reports."""
    ledger, task = project.ledger, _task(turn)
    use_threads(project.settings.tune.threads)
    version = ledger.version(str(kept(project, turn, "tune")["version"]))
    data = dataset(project, version.snapshot)
    catalogue = data.items.num_rows if task.ABOUT == "item" else 0
    champion, first = ledger.champion(turn.task), ledger.versions(turn.task)[0]

    k = project.settings.serve.k
    rows_judged = spread(judged_rows(data.test), project.settings.gate.rows_per_user)

    test = str(kept(project, turn, "dataset")["test"])

    looks = ledger.count_look(test, turn.id, turn.at)

    def on_trial(one: ModelVersion) -> Judged:
        # A version's answers to a frozen test never change; only the newest are not known yet.
        name = f"{one.digest[:16]}-{test[:16]}-{rows_judged.num_rows}-{k}.parquet"
        path = project.folder / project.settings.data.folder / "judged" / name
        if not path.exists():
            judged = judge(task, load(project, task, one), rows_judged, k, name=one.id)
            remember(path, judged.answers, judged.marks)
        return Judged(one.id, rows_judged, *recall(path))

    challenger = on_trial(version)
    tell("evaluate", 0.4, {})
    rivals = {one.id: on_trial(one) for one in (champion, first) if one and one.id != version.id}
    tell("evaluate", 0.7, {})
    baselines = judge_baselines(task, data, rows_judged, k)
    for report_id, rival in ((turn.id, champion), (f"{turn.id}.whole", first)):
        report = compare(
            challenger, rivals.get(rival.id) if rival else None, baselines,
            metric=task.METRIC, catalogue=catalogue, settings=project.settings.gate,
            rng=np.random.default_rng(_seed(turn)), id=report_id, at=turn.at, looks=looks,
        )  # fmt: skip
        if report_id == turn.id or (rivals and champion != first):
            ledger.add_report(report)
    return {"report": turn.id, "looks": looks}


def verdict(project: Project, turn: Turn) -> Decision:
    """What the gate says of the turn's report, with nothing changed."""
    champion = project.ledger.champion(turn.task)
    return decide(
        _report(project, turn), project.settings.gate,
        id=turn.id, task=turn.task, at=turn.at, champion=champion.id if champion else None,
    )  # fmt: skip


def release(project: Project, turn: Turn, tell: Tell) -> Kept:
    """Take the gate's decision; it is recorded and the alias moves in one transaction."""
    decision = verdict(project, turn)
    project.ledger.decide(decision, decision.model if decision.act == "promote" else None)
    return {"decision": decision.id, "act": decision.act}


def taken(project: Project, turn: Turn) -> Decision:
    """The decision that the turn took."""
    wanted = kept(project, turn, "release")["decision"]
    return next(one for one in project.ledger.decisions(turn.task) if one.id == wanted)


def kept(project: Project, turn: Turn, stage: str) -> Mapping[str, Any]:
    """What an earlier stage of the turn recorded."""
    result = project.ledger.stage_result(turn.id, stage)
    if result is None:
        raise StageError("loop.stage_missing", turn=turn.id, stage=stage)
    return result


def dataset(project: Project, snapshot: str) -> Dataset:
    """The rows of a snapshot, each with the history of its user."""
    return with_history(project.snapshots.read(snapshot), project.settings.behaviour.history)


def use_threads(count: int) -> None:
    """Let torch work on ``count`` CPU threads in this process, 0 for as many as it likes."""
    import torch

    if count:
        torch.set_num_threads(count)


def load(project: Project, task: Task, version: ModelVersion) -> Model:
    """A version's model, from its folder as it was written."""
    return task.load(project.models.verified(version.path, version.digest))


def _report(project: Project, turn: Turn) -> Report:
    report = project.ledger.report(str(kept(project, turn, "evaluate")["report"]))
    if report is None:
        raise StageError("loop.stage_missing", turn=turn.id, stage="evaluate")
    return report


def _task(turn: Turn) -> Task:
    return plugin("tasks", turn.task)


def _seed(turn: Turn) -> int:
    return int(str(turn.options["seed"]))

"""Challenger, champion and baselines on the frozen part."""

from __future__ import annotations

import numpy as np

from upwell.errors import StageError
from upwell.records import ModelVersion, Report
from upwell.stages.evaluate.compare import compare
from upwell.stages.evaluate.marks import Judged, judge, judge_baselines, judged_rows, spread
from upwell.store.judged import recall, remember
from upwell.store.ledger import Turn
from upwell.store.project import Project
from upwell.wiring.data import dataset
from upwell.wiring.learning import load, use_threads
from upwell.wiring.turns import Kept, Tell, kept, seed_of, task_of


def evaluate(project: Project, turn: Turn, tell: Tell) -> Kept:
    """Judge the version, the champion and the first version on the frozen part; keep reports."""
    ledger, task = project.ledger, task_of(turn)
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
            rng=np.random.default_rng(seed_of(turn)), id=report_id, at=turn.at, looks=looks,
        )  # fmt: skip
        if report_id == turn.id or (rivals and champion != first):
            ledger.add_report(report)
    return {"report": turn.id, "looks": looks}


def report_of(project: Project, turn: Turn) -> Report:
    """The turn's report. Raises StageError ``loop.stage_missing`` before it is made."""
    report = project.ledger.report(str(kept(project, turn, "evaluate")["report"]))
    if report is None:
        raise StageError("loop.stage_missing", turn=turn.id, stage="evaluate")
    return report

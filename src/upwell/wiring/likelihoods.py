"""What models' likelihoods of a few rows tell the guards: what was forgotten, what is by heart."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
from pyarrow import compute as pc

from upwell.records import ModelVersion
from upwell.stages.evaluate import forgetting
from upwell.stages.evaluate.columns import owners_of
from upwell.stages.evaluate.guards import Finding, unmeasured
from upwell.stages.evaluate.marks import judged_rows
from upwell.wiring.data import dataset
from upwell.wiring.judging import Trial
from upwell.wiring.learning import load, loaded
from upwell.wiring.turns import seed_of

_NAMES = ("forgetting", "forgetting_anchor")


def forgotten(trial: Trial) -> dict[str, Finding]:
    """What the challenger forgot of frozen labels, against the champion and the first to serve."""
    served = trial.project.ledger.alias_history(trial.turn.task)["version"].to_pylist()
    if trial.champion is None or not served:
        return dict.fromkeys(_NAMES, unmeasured("no_champion"))
    anchor, minimum = trial.project.ledger.version(served[0]), trial.project.settings.guards.minimum
    base = _base(trial, anchor)
    users = len(np.unique(owners_of(base)))
    if users < minimum:
        return dict.fromkeys(_NAMES, unmeasured("no_labels", rows=users, minimum=minimum))
    mine = forgetting.likelihood(trial.task, load(trial.project, trial.task, trial.version), base)
    found = {"forgetting": _against(trial, trial.champion, base, mine)}
    if anchor.id == trial.champion.id:
        return {**found, "forgetting_anchor": unmeasured("anchor_serves")}
    return {**found, "forgetting_anchor": _against(trial, anchor, base, mine)}


def memorised(trial: Trial) -> Finding:
    """Rows that were learned from beside those that decide, one of each owner."""
    settings, items = trial.project.settings.guards, trial.data.items["item"]
    parts = [judged_rows(trial.data.train), judged_rows(trial.rows)]
    # A +1 has another likelihood than a label, so only rows of one kind are comparable.
    by_labels = all(_labels(part).num_rows for part in parts)
    model, scores = load(trial.project, trial.task, trial.version), []
    for number, part in enumerate(parts):
        told = _labels(part) if by_labels else part.filter(pc.is_valid(part["sign"]))
        if trial.task.ABOUT == "item":
            told = told.filter(pc.is_in(told["target"], items.unique()))
        rng = np.random.default_rng([seed_of(trial.turn), 10 + number])
        chosen = forgetting.sample(told, settings.rows, True, rng)
        if chosen.num_rows < settings.minimum:
            return unmeasured("few", rows=chosen.num_rows, minimum=settings.minimum)
        scores.append(forgetting.likelihood(trial.task, model, chosen))
    return forgetting.memorised(scores[0], scores[1], settings.confidence)


def _against(trial: Trial, one: ModelVersion, base: pa.Table, mine: forgetting.Floats) -> Finding:
    """What the challenger lost against another version, catalogues of other sizes allowed for."""
    model = loaded(trial.project, trial.task, one)[0]
    if model is None:
        return unmeasured("champion_broken")
    before, growth = forgetting.likelihood(trial.task, model, base), 0.0
    if trial.task.ABOUT == "item":
        was = trial.project.snapshots.snapshot(one.snapshot).counts["items"]
        growth = math.log(max(trial.data.items.num_rows, 1) / max(was, 1))
    confidence = trial.project.settings.guards.confidence
    users = pa.chunked_array([owners_of(base)])
    rng = np.random.default_rng([seed_of(trial.turn), 4])
    return forgetting.forgotten(mine, before, users, confidence, rng, growth)


def _base(trial: Trial, anchor: ModelVersion) -> pa.Table:
    """The frozen labels: those of the deciding test, else those that the anchor learned from.

    The same rows in every turn, whatever its seed. Items that the catalogue lacks are left out.
    """
    settings = trial.project.settings.guards
    labels = _labels(trial.rows)
    if len(np.unique(owners_of(labels))) < settings.minimum:
        labels = _labels(dataset(trial.project, anchor.snapshot).train)
    if trial.task.ABOUT == "item":
        labels = labels.filter(pc.is_in(labels["target"], trial.data.items["item"].unique()))
    alone = trial.task.BATCH_BY == "user"
    return forgetting.sample(labels, settings.rows, alone, np.random.default_rng(0))


def _labels(part: pa.Table) -> pa.Table:
    """Rows that are labels and count."""
    return part.filter(pc.and_(pc.is_null(part["sign"]), pc.greater(part["weight"], 0.0)))

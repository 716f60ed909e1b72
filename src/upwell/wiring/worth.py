"""What each kind of feedback is worth: a model that learned without it, judged on the same rows.

A turn's gain cannot be split by looking at it: kinds overlap, and one makes another less needed.
So for each kind the last turn is repeated on its own snapshot, with its own seed and settings,
as if nobody had given feedback of that kind, and both models are compared user by user. The
worths need not add up to the turn's gain.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

from upwell import rows
from upwell.errors import StageError
from upwell.ports import Adaptable, Model, Task
from upwell.records import Json
from upwell.settings import TuneSettings
from upwell.stages.evaluate.marks import judge, judged_rows, spread
from upwell.stages.evaluate.paired import intervals, user_means
from upwell.store.ledger import Turn
from upwell.store.project import Project
from upwell.tables import Dataset
from upwell.wiring.data import dataset
from upwell.wiring.history import BY_KIND
from upwell.wiring.learning import load, use_threads
from upwell.wiring.turns import Tell, kept, seed_of, task_of

UNSEEN = "silence"
"""The kind of rows that no event stands behind: what was awaited and did not come."""


def by_kind(project: Project, turn: Turn, budget: float, tell: Tell) -> Mapping[str, Json]:
    """``gain``, ``low``, ``high``, ``rows`` and ``seconds`` by kind of feedback; kept for good.

    Raises StageError ``history.no_feedback`` where the turn learned from none, and
    ``history.budget`` where it would take more than ``budget`` seconds, going by what the turn
    itself took.
    """
    known = project.ledger.stage_result(turn.id, BY_KIND)
    if known is not None:
        return known
    version = project.ledger.version(str(kept(project, turn, "tune")["version"]))
    data = dataset(project, version.snapshot)
    kinds = _kinds(project, data.train)
    said = sorted(set(kinds[_says(data.train)].tolist()))
    took = sum(float(kept(project, turn, stage)["seconds"]) for stage in ("tune", "evaluate"))
    if not said:
        raise StageError("history.no_feedback", turn=turn.id)
    if took * len(said) > budget:
        raise StageError(
            "history.budget", kinds=len(said), seconds=took * len(said), budget=budget
        )  # fmt: skip
    use_threads(project.settings.tune.threads)
    held_out = _kinds(project, data.validation)
    task = task_of(turn)
    judging = spread(judged_rows(data.test, task), project.settings.gate.rows_per_user)
    marks = _marks(project, task, load(project, task, version), judging)
    found: dict[str, Json] = {}
    for place, kind in enumerate(said):
        tell(BY_KIND, place / len(said), {"without": kind})
        found[kind] = _without(
            project, turn, data, (kinds == kind, held_out == kind), judging, marks
        )
    tell(BY_KIND, 1.0, {})
    project.ledger.record_stage(turn.id, BY_KIND, found, turn.at)
    return found


def _kinds(project: Project, table: pa.Table) -> npt.NDArray[np.str_]:
    """(n,) the kind of event that each row was made from."""
    with rows.workspace(project) as (_, con):
        keys = pc.list_element(table["sources"], 0) if table.num_rows else pa.array([], pa.string())
        asked = pa.table({"place": pa.array(range(table.num_rows), pa.int64()), "key": keys})
        events = project.lake.events(con).project("source || '/' || id AS key, kind")
        joined = con.from_arrow(asked).set_alias("a").join(
            events.set_alias("e"), "a.key = e.key", "left"
        )  # fmt: skip
        told = joined.order("place").project(f"coalesce(kind, '{UNSEEN}')").fetchall()
    return np.array([kind for (kind,) in told], dtype=np.str_)


def _says(table: pa.Table) -> npt.NDArray[np.bool_]:
    """(n,) whether a row is feedback that is learned from."""
    given = pc.and_(pc.is_valid(table["sign"]), pc.greater(table["weight"], 0.0))
    return np.asarray(given, dtype=bool)


def _silenced(table: pa.Table, which: npt.NDArray[np.bool_]) -> pa.Table:
    """The rows with weight 0 where they are feedback of the kind: context, never a target."""
    weight = np.asarray(table["weight"], dtype=np.float64)
    left = np.where(which & _says(table), 0.0, weight)
    place = table.schema.get_field_index("weight")
    return table.set_column(place, table.schema.field(place), pa.array(left, pa.float64()))


def _without(
    project: Project,
    turn: Turn,
    data: Dataset,
    which: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]],
    judging: pa.Table,
    marks: npt.NDArray[np.float64],
) -> Json:
    """What the rows of one kind were worth, in the turn's deciding metric."""
    task, gate = task_of(turn), project.settings.gate
    train, validation = (
        _silenced(part, one) for part, one in zip((data.train, data.validation), which, strict=True)
    )
    less = Dataset(train, validation, data.test, data.items)
    model, seconds = _learned(project, turn, task, less)
    gains = marks - _marks(project, task, model, judging)
    drawn = intervals(
        user_means(judging["user"], gains[:, None]), gate.resamples, gate.confidence,
        np.random.default_rng(seed_of(turn)),
    )  # fmt: skip
    gain, low, high = (float(x) for x in drawn[0])
    count = int((which[0] & _says(data.train)).sum())
    return {"gain": gain, "low": low, "high": high, "rows": count, "seconds": round(seconds, 3)}


def _learned(project: Project, turn: Turn, task: Task, data: Dataset) -> tuple[Model, float]:
    """A model as the turn would have made it from these rows, and the seconds of its training."""
    # Training brings torch, which commands that do not train need not wait for.
    from upwell.stages.tune.search import choose_label_share
    from upwell.stages.tune.trainer import train

    version, seed = project.ledger.version(turn.id), seed_of(turn)
    settings, parent = _settings(project, turn), version.parent
    model = task.start(settings.base, data, seed)
    if isinstance(task, Adaptable):
        settings = task.adapt(model, data, settings)
    share = choose_label_share(task, model, data, settings, seed=seed)
    trained = train(
        task, model, data, settings, label_share=share.value, seed=seed,
        champion=load(project, task, project.ledger.version(parent)) if parent else None,
    )  # fmt: skip
    return trained.model, trained.seconds


def _settings(project: Project, turn: Turn) -> TuneSettings:
    """What the turn learned with; λ is chosen anew where it was not set."""
    tuned = kept(project, turn, "tune")
    recipe = project.ledger.version(str(tuned["version"])).recipe
    told = {name: recipe[name] for name in TuneSettings.model_fields if name in recipe}
    if tuned["label_share_by"] != "settings":
        told["label_share"] = "auto"
    return TuneSettings.model_validate(told)


def _marks(
    project: Project, task: Task, model: Model, judging: pa.Table
) -> npt.NDArray[np.float64]:
    """(n,) the deciding mark of each judged row."""
    judged = judge(task, model, judging, project.settings.serve.k, name="worth")
    return np.asarray(judged.marks[task.METRIC], dtype=np.float64)

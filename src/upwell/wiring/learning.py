"""Training a turn's version, and reading any version back."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from upwell.errors import StoreError
from upwell.ports import Adaptable, Model, Task
from upwell.records import Json, ModelVersion
from upwell.stages.evaluate.marks import check_metric
from upwell.store.ledger import Turn
from upwell.store.project import Project
from upwell.tables import Dataset
from upwell.wiring.data import dataset
from upwell.wiring.grouping import specialised, wanted
from upwell.wiring.purge import tainted
from upwell.wiring.turns import Kept, Tell, checkpoint_of, kept, seed_of, task_of


def tune(project: Project, turn: Turn, tell: Tell) -> Kept:
    """Train the turn's model version on its snapshot; keep the model and how it learned."""
    # Training brings torch, which commands that do not train need not wait for.
    from upwell.stages.tune.search import choose_label_share
    from upwell.stages.tune.trainer import train

    task, settings, seed = task_of(turn), project.settings.tune, seed_of(turn)
    snapshot = str(kept(project, turn, "dataset")["snapshot"])
    data = dataset(project, snapshot)
    check_metric(task, project.settings.gate.metric, data.test)
    use_threads(settings.threads)
    champion = ancestor(project, project.ledger.champion(turn.task))
    model = task.start(settings.base, data, seed)
    if isinstance(task, Adaptable):
        settings = task.adapt(model, data, settings)
    share = choose_label_share(task, model, data, settings, seed=seed)
    checkpoint = checkpoint_of(project, turn)
    trained = train(
        task, model, data, settings,
        label_share=share.value, seed=seed, checkpoint=checkpoint,
        champion=loaded(project, task, champion)[0] if champion else None,
        progress=lambda step: tell("tune", step.epoch / step.of, step.numbers),
    )  # fmt: skip
    path, digest, groups = _written(project, turn, task, trained.model, data)
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
        "groups": groups,
    }


def _written(
    project: Project, turn: Turn, task: Task, model: Model, data: Dataset
) -> tuple[str, str, Mapping[str, Json]]:
    """Where the model lies, its digest, and what was tried for groups of users."""
    path, digest = project.models.write(
        turn.id, lambda folder: task.save(model, folder), replace=True
    )
    if not wanted(task, project.settings):
        return path, digest, {}
    # Adapters learn beside what serves: adapters of training are part of the weights by then.
    shared = task.load(project.models.verified(path, digest))
    found = specialised(task, shared, data, project.settings, seed_of(turn))
    if found.model is not None:
        whole = found.model
        path, digest = project.models.write(
            turn.id, lambda folder: task.save(whole, folder), replace=True
        )
    return path, digest, found.told


def ancestor(project: Project, version: ModelVersion | None) -> ModelVersion | None:
    """The version, or its nearest ancestor that did not learn from what must not count any more.

    What learned from it teaches nobody.
    """
    spoilt = tainted(project) if version else {}
    while version is not None and version.id in spoilt:
        version = project.ledger.version(version.parent) if version.parent else None
    return version


def use_threads(count: int) -> None:
    """Let torch work on ``count`` CPU threads in this process, 0 for as many as it likes."""
    import torch

    if count:
        torch.set_num_threads(count)


def load(project: Project, task: Task, version: ModelVersion) -> Model:
    """A version's model, from its folder as it was written."""
    return task.load(project.models.verified(version.path, version.digest))


def loaded(project: Project, task: Task, version: ModelVersion) -> tuple[Model | None, str]:
    """A version's model and ''; or None and what is wrong, where it no longer loads.

    Altered files, a plugin that no longer reads what an older one wrote: a turn goes on without.
    """
    try:
        return load(project, task, version), ""
    except MemoryError:
        raise
    except StoreError as error:
        return None, str(error.details.get("file", error.code))
    except Exception as error:
        return None, type(error).__name__

"""Upwell's own recommender under the bench's protocol: the same rows, through the task's port."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter, process_time

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from pyarrow import compute as pc

from bench import protocol
from bench.protocol import Interactions, Ints
from upwell.plugins import plugin
from upwell.ports import Model
from upwell.settings import TuneSettings
from upwell.stages.dataset.history import with_history
from upwell.stages.tune.trainer import train
from upwell.tables import TIME, Dataset
from upwell.tasks import _text

Vectors = npt.NDArray[np.float32]

EPOCHS = 8
"""Chosen on the validation items of seed 0; there is no early stopping in a final fit."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Rankings (m, k) of the asked users and what the fit took, texts' embedding left out."""

    ranking: Ints
    seconds: float
    cpu_seconds: float


def fit_and_rank(
    data: protocol.Dataset, known: Interactions, users: Ints, seed: int, epochs: int = EPOCHS
) -> Fitted:
    """Learn from ``known`` (all of it labels) and rank the whole catalogue for ``users``."""
    text_vectors(data)  # a first fit would embed the texts, later ones find them cached
    began, cpu = perf_counter(), process_time()
    model, inputs = fitted(data, known, users, seed, epochs)
    seconds, cpu_seconds = perf_counter() - began, process_time() - cpu
    answers = plugin("tasks", "recommend").answer(model, inputs, protocol.TOP)
    ranking = np.asarray(answers["output"].combine_chunks().flatten(), dtype=object)
    numbers = np.array([int(item) for item in ranking]).reshape(len(users), -1)
    return Fitted(numbers, seconds, cpu_seconds)


def fitted(
    data: protocol.Dataset, known: Interactions, users: Ints, seed: int, epochs: int = EPOCHS
) -> tuple[Model, pa.Table]:
    """The model that learned from ``known``, and one row that asks for each of ``users``."""
    torch.set_num_threads(1)
    task = plugin("tasks", "recommend")
    rows = _rows(data, known)
    learned = with_history(Dataset(rows, rows.slice(0, 0), rows.slice(0, 0), _items(data)), 1000)
    settings = TuneSettings(epochs=epochs, patience=epochs)
    model = task.start(settings.base, learned, seed)
    if any(weight.requires_grad for weight in model.parameters()):
        train(task, model, learned, settings, label_share=1.0, seed=seed)
    return model, _asking(rows, users)


def _rows(data: protocol.Dataset, known: Interactions) -> pa.Table:
    """Example rows. Rows without times have one moment: their order tells nothing."""
    count = len(known)
    when = known.when if data.timed else np.full(count, 1e9)
    keys = np.char.mod("row/%d", np.arange(count))
    return pa.table(
        {
            "id": keys,
            "user": np.char.mod("%06d", known.user),
            "task": ["recommend"] * count,
            "input": [""] * count,
            "target": np.char.mod("%06d", known.item),
            "sign": pa.nulls(count, pa.int64()),
            "weight": np.ones(count) if data.timed else _strength(known),
            "reliability": np.ones(count),
            "propensity": pa.nulls(count, pa.float64()),
            "group": [""] * count,
            "at": pa.array((when * 1e6).astype(np.int64)).cast(TIME),
            "features": [[0.0]] * count,
        }
    )


def _strength(known: Interactions) -> npt.NDArray[np.float64]:
    """Plays, as a part of the user's mean, with the largest toned down; 1 on average."""
    users = known.user.max(initial=0) + 1
    sizes = np.maximum(np.bincount(known.user, minlength=users), 1)
    mean = np.bincount(known.user, known.weight, users) / sizes
    strength = np.sqrt(np.log1p(known.weight / np.maximum(mean[known.user], 1e-9)))
    return np.asarray(strength / strength.mean())


def _items(data: protocol.Dataset) -> pa.Table:
    numbers = np.char.mod("%06d", np.arange(data.items))
    return pa.table({"item": numbers, "text": list(data.texts)})


def _asking(rows: pa.Table, users: Ints) -> pa.Table:
    """One row a user, placed after everything that is known of them."""
    names = np.char.mod("%06d", users)
    moment = rows["at"].cast(pa.int64()).to_numpy().max(initial=0) + 1
    asked = rows.slice(0, 0)
    asks = {
        "id": np.char.mod("ask/%d", np.arange(len(users))),
        "user": names,
        "target": ["000000"] * len(users),
        "at": pa.array([moment] * len(users), pa.int64()).cast(TIME),
    }
    blank = rows.take(pa.array(np.zeros(len(users), np.int64)))
    for name, values in asks.items():
        place = blank.schema.get_field_index(name)
        blank = blank.set_column(place, name, pa.array(values).cast(rows.schema.field(name).type))
    together = pa.concat_tables([rows, blank])
    order = np.lexsort((np.arange(len(together)), together["user"].to_numpy()))
    viewed = with_history(Dataset(asked, asked, together.take(pa.array(order)), asked), 1000).test
    return viewed.filter(pc.starts_with(viewed["id"], "ask/")).sort_by("user")


def text_vectors(data: protocol.Dataset) -> Vectors:
    """(items, d): the encoder's vectors of the items' texts, cached by it."""
    return _text.embed(TuneSettings().base, data.texts)

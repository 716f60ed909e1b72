"""The worlds of the benchmark: public labelled data as a few labels, requests and a test.

Rows are shuffled by the seed. Labels hold each class equally often, requests are what users will
bring, and the test is the official one where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute as pc

from bench.datasets import DataMissingError, data_folder
from upwell.tables import canonical_json

Ints = npt.NDArray[np.int64]
TEXT, TABLE = "text_classification", "tabular"
MOST_TEST = 2000
REQUESTS = 4500
"""Inputs that users can bring, where there are as many."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Inputs and their true targets."""

    inputs: tuple[str, ...]
    targets: tuple[str, ...]

    def take(self, places: Ints) -> Rows:
        """The rows at these places."""
        return Rows(
            tuple(self.inputs[place] for place in places),
            tuple(self.targets[place] for place in places),
        )

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True, slots=True)
class World:
    """One set for one seed: what is labelled, what users will ask, and what is judged."""

    name: str
    task: str
    labels: Rows
    requests: Rows
    test: Rows


@dataclass(frozen=True, slots=True)
class Source:
    """How a set is read, by which task, and how many labels each class has."""

    task: str
    per_class: int
    read: Callable[[], tuple[Rows, Rows | None]]


def world(name: str, seed: int) -> World:
    """The set ``name`` divided by ``seed``. Raises DataMissingError where its file is missing."""
    source = SOURCES[name]
    train, test = source.read()
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(train))
    labels, rest = _labelled(train, order, source.per_class)
    if test is None:
        size = min(MOST_TEST, len(rest) * 9 // 20)
        rest, judged = rest[:-size], train.take(rest[-size:])
    else:
        judged = test.take(rng.permutation(len(test))[:MOST_TEST])
    return World(name, source.task, train.take(labels), train.take(rest[:REQUESTS]), judged)


def _labelled(rows: Rows, order: Ints, per_class: int) -> tuple[Ints, Ints]:
    """The first ``per_class`` places of every class, and all others, in ``order``."""
    targets = np.asarray(rows.targets)[order]
    chosen = np.zeros(len(order), bool)
    for target in np.unique(targets):
        chosen[np.flatnonzero(targets == target)[:per_class]] = True
    return order[chosen], order[~chosen]


def _digits() -> tuple[Rows, None]:
    from sklearn.datasets import load_digits

    found = load_digits()
    inputs = [
        canonical_json({f"p{place}": float(value) for place, value in enumerate(row)})
        for row in found.data
    ]
    return Rows(tuple(inputs), tuple(str(target) for target in found.target)), None


def _adult() -> tuple[Rows, Rows]:
    table = _table("tabular/adult.parquet").drop_columns(["fnlwgt"])
    split = table["split"].to_pylist()
    income = [str(one).strip(" .") for one in table["income"].to_pylist()]
    columns = table.drop_columns(["split", "income"]).to_pylist()
    inputs = [canonical_json(row) for row in columns]
    parts: dict[bool, tuple[list[str], list[str]]] = {True: ([], []), False: ([], [])}
    for part, text, target in zip(split, inputs, income, strict=True):
        parts[part == "train"][0].append(text)
        parts[part == "train"][1].append(target)
    train, test = (Rows(tuple(a), tuple(b)) for a, b in (parts[True], parts[False]))
    return train, test


def _english(name: str) -> Callable[[], tuple[Rows, Rows]]:
    def read() -> tuple[Rows, Rows]:
        table = _table("text-en/text_en.parquet")
        return _parts(table.filter(pc.equal(table["set"], name)))

    return read


def _banking() -> tuple[Rows, Rows]:
    table = _table("intents-en/intents.parquet")
    return _parts(table.filter(pc.equal(table["set"], "banking77")))


def _waimai() -> tuple[Rows, None]:
    table = _table("text-zh/reviews_zh.parquet")
    return _rows(table.filter(pc.starts_with(table["set"], "waimai"))), None


def _parts(table: pa.Table) -> tuple[Rows, Rows]:
    train = table.filter(pc.starts_with(table["split"], "train"))
    return _rows(train), _rows(table.filter(pc.equal(table["split"], "test")))


def _rows(table: pa.Table) -> Rows:
    return Rows(
        tuple(table["text"].to_pylist()), tuple(str(one) for one in table["label"].to_pylist())
    )


def _table(name: str) -> pa.Table:
    path = data_folder() / name
    if not path.is_file():
        raise DataMissingError(f"{path} is missing; UPWELL_DATA names the folder of the data")
    return pq.read_table(path)


SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "digits": Source(TABLE, 6, _digits),
        "banking77": Source(TEXT, 3, _banking),
        "sst2": Source(TEXT, 30, _english("sst2")),
        "trec": Source(TEXT, 10, _english("trec6")),
        "waimai": Source(TEXT, 30, _waimai),
        "adult": Source(TABLE, 30, _adult),
    }
)

"""What each group of users has to learn an adapter from, and whom it can be judged by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pyarrow as pa
from pyarrow import compute as pc

from upwell.tables import Dataset

MOST = 16
"""Groups, the largest, for which adapters are tried: each costs a training, and every answer
passes by the adapters of all."""
_CHOOSES = 5
"""One input in so many chooses when a group's adapter has learned enough."""


@dataclass(frozen=True, slots=True)
class Part:
    """A group's rows: ``data.train`` teach, ``data.validation`` choose, ``data.test`` judge.

    ``rows`` are those that count of the first two, ``users`` those of the last.
    """

    group: str
    data: Dataset
    rows: int
    users: int


def parts(data: Dataset, held_out: pa.Table) -> Iterator[Part]:
    """The largest groups of ``data.train``, which ``held_out`` rows of the group judge.

    What chooses is a part of what would teach, so that it says nothing to who judges. An input
    teaches or chooses, whoever has it; where there is one alone, it teaches.
    """
    learned = data.train.filter(pc.greater(data.train["weight"], 0.0))
    told = learned.group_by("group").aggregate([([], "count_all")]).to_pylist()
    sized = sorted((-one["count_all"], one["group"]) for one in told if one["group"])
    for size, group in sized[:MOST]:
        mine, judging = (
            rows.filter(pc.equal(rows["group"], group)) for rows in (learned, held_out)
        )
        chooses = np.array(
            [crc32(text.encode()) % _CHOOSES == 0 for text in mine["input"].to_pylist()]
        )
        chooses &= not chooses.all()
        teaching, choosing = (mine.filter(pa.array(which)) for which in (~chooses, chooses))
        whole = Dataset(teaching, choosing, judging, data.items)
        yield Part(group, whole, -size, pc.count_distinct(judging["user"]).as_py())

"""Who gains and who loses: groups of the profile's column, and groups of users who behave alike.

``guards["slices"]`` holds for each group ``kind`` (``profile`` or ``behaviour``), ``users``,
``gain``, ``p`` (that it loses nothing), ``holm`` (the same, corrected for all groups of the
report, so that any false alarm among them is as rare as it says), and ``traits`` (what tells a
group that was found: its features furthest from the mean).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

from upwell.records import Json
from upwell.settings import GateSettings
from upwell.stages.evaluate import paired, significance
from upwell.stages.evaluate.deciding import Pair
from upwell.stages.evaluate.discovered import clusters, features_of, traits

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Group:
    """Users of one kind: the places of their rows among all, and how many they are."""

    name: str
    kind: str
    rows: Integers
    users: int
    traits: list[str] = field(default_factory=list)


def groups(rows: pa.Table, settings: GateSettings, names: Sequence[str] = ()) -> list[Group]:
    """Groups of ``slice_minimum`` users or more: of the column, by name, then those found.

    ``names`` name the features, where rows have some.
    """
    codes = np.asarray(pc.dictionary_encode(rows["user"]).combine_chunks().indices).astype(np.int64)
    found = [*_by_column(rows, codes), *_by_behaviour(rows, codes, settings, names)]
    return [group for group in found if group.users >= settings.slice_minimum]


def harms(found: Sequence[Group], rows: pa.Table, whole: Pair) -> dict[str, Json]:
    """The entry ``slices`` of a report; a p is null where a difference is not finite."""
    users = np.asarray(pc.dictionary_encode(rows["user"]).combine_chunks().indices)
    apart = [
        paired.user_means(pa.chunked_array([users[group.rows]]), whole.rows[group.rows, None])[:, 0]
        for group in found
    ]
    raw = [significance.no_gain(-gains, whole.right_or_wrong) for gains in apart]
    known = significance.holm([1.0 if math.isnan(p) else p for p in raw])
    return {
        group.name: {
            "kind": group.kind,
            "users": group.users,
            "gain": _number(float(gains.mean())),
            "p": _number(p),
            "holm": None if math.isnan(p) else corrected,
            "traits": list(group.traits),
        }
        for group, gains, p, corrected in zip(found, apart, raw, known, strict=True)
    }


def _by_column(rows: pa.Table, codes: Integers) -> Iterator[Group]:
    """Groups as the rows name them; a row without a name belongs to none."""
    column = pc.fill_null(rows["group"], "")
    for name in sorted(set(pc.unique(column).to_pylist()) - {""}):
        chosen = np.flatnonzero(np.asarray(pc.equal(column, name)))
        yield Group(name, "profile", chosen, len(np.unique(codes[chosen])))


def _by_behaviour(
    rows: pa.Table, codes: Integers, settings: GateSettings, names: Sequence[str]
) -> Iterator[Group]:
    features = features_of(rows)
    count = min(settings.clusters, len(features) // (2 * settings.slice_minimum))
    if count < 2 or not features.any():
        return
    members = clusters(features, count)
    for number in range(count):
        mine = members == number
        chosen, told = np.flatnonzero(mine[codes]), traits(features, mine, names)
        yield Group(f"behaviour-{number + 1}", "behaviour", chosen, int(mine.sum()), told)


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None

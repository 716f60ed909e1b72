"""Rows as columns of numbers, so that old rows and new ones can be compared.

Behaviour features, the columns of inputs that are JSON objects, the length and the words of
inputs that are text, and the targets. Values stay here: what is told of a column is its name and
how far it moved, and only of columns that enough rows have.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc

from upwell.stages.evaluate.drift import Column

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

LENGTH = "input.length"
"""The column of the length of inputs that are text."""
WORDS = 256
"""Places that the words of texts are hashed into."""
LONGEST_TEXT = 10_000
CATEGORIES = 19
"""Most frequent values of a category that count by themselves; the others are one."""
MOST = 200
"""Columns of an input that are looked at, the most frequent ones."""
MOSTLY = 0.95
"""Share of a column's values that must be numbers for it to be one."""
FEW = 10
"""Whole numbers with no more distinct values than this are categories."""
_WORD = re.compile(r"[^\W_]+|[\u3400-\u9fff]")
_UNSPACED = re.compile("[\u3400-\u9fff\u3040-\u30ff]")


def halves(
    rows: pa.Table, newest: float, most: int, rng: np.random.Generator
) -> tuple[pa.Table, Bools]:
    """Some of the rows, and which of them are new: the last share of them by time.

    Each owner (user, or the row itself where it is nobody's) has one row at random in each
    sample, and a sample has at most ``most``. All rows are old where they have one time.
    """
    times = rows["at"].cast(pa.int64()).to_numpy()
    cut = np.quantile(times, 1.0 - newest, method="higher") if len(times) else 0
    is_new = times >= cut if cut > times.min(initial=cut) else np.zeros(len(times), bool)
    owners = owners_of(rows)
    chosen = [_one_each(owners, np.flatnonzero(part), most, rng) for part in (~is_new, is_new)]
    return rows.take(pa.array(np.concatenate(chosen))), np.repeat(
        [False, True], [len(part) for part in chosen]
    )


def owners_of(rows: pa.Table) -> npt.NDArray[np.int64]:
    """(n,) a number for each user; a row that is nobody's has one of its own."""
    users = rows["user"].combine_chunks()
    codes = users.dictionary_encode().indices.to_numpy().astype(np.int64)
    nobody = np.asarray(pc.equal(users, ""))
    return np.where(nobody, len(codes) + np.arange(len(codes)), codes)


def columns(rows: pa.Table, about: str, names: Sequence[str], fewest: int) -> list[Column]:
    """The columns of rows with the Example schema; ``names`` are those of the features.

    A column of an input that fewer than ``fewest`` rows have is left out, and so is one that does
    not vary: it tells rows apart in nothing.
    """
    found = _features(rows, names)
    inputs = rows["input"].to_pylist()
    if about == "answer":
        objects = [_object(text) for text in inputs]
        if all(one is not None for one in objects):
            found += _of_objects([one or {} for one in objects], fewest)
        else:
            lengths = np.array([len(text) for text in inputs], np.float64)
            found.append(Column(LENGTH, lengths, True))
    elif about == "value":
        found.append(_column("input", inputs))
    found.append(_column("target", rows["target"].to_pylist()))
    return [column for column in found if _varies(column.values)]


def matrix(found: Sequence[Column]) -> Floats:
    """(n, d) numbers as ranks in [−1, 1], categories as one-hot, and what is missing."""
    blocks = []
    for column in found:
        gone = np.isnan(column.values)
        if column.is_number:
            blocks.append(_ranked(column.values, gone))
        else:
            codes = np.where(gone, -1, column.values)
            blocks += [(codes == code).astype(np.float64) for code in np.unique(codes[~gone])]
        if gone.any():
            blocks.append(gone.astype(np.float64))
    return np.stack(blocks, axis=1) if blocks else np.zeros((0, 0))


def words(rows: pa.Table) -> Floats:
    """(n, WORDS) whether the text of an input has a word that is hashed to that place."""
    found = np.zeros((rows.num_rows, WORDS))
    for place, text in enumerate(rows["input"].to_pylist()):
        for word in set(_WORD.findall(text[:LONGEST_TEXT].casefold())):
            parts = word if _UNSPACED.search(word) else (word,)
            for part in parts:
                found[place, crc32(part.encode()) % WORDS] = 1.0
    return found


def _one_each(
    owners: npt.NDArray[np.int64],
    among: npt.NDArray[np.int64],
    most: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Places of one row of each owner, at most ``most``, in order."""
    shuffled = rng.permutation(among)
    _, first = np.unique(owners[shuffled], return_index=True)
    return np.sort(rng.permutation(shuffled[first])[:most])


def _features(rows: pa.Table, names: Sequence[str]) -> list[Column]:
    """The behaviour features, where all rows have as many as there are names."""
    lists = rows["features"].to_pylist()
    if not lists or {len(one or ()) for one in lists} != {len(names)} or not names:
        return []
    values = np.array(lists, np.float64)
    return [Column(name, values[:, place], True) for place, name in enumerate(names)]


def _of_objects(objects: Sequence[Mapping[str, object]], fewest: int) -> list[Column]:
    known = Counter(name for one in objects for name, value in one.items() if value is not None)
    chosen = sorted(name for name, count in known.most_common(MOST) if count >= fewest)
    return [_column(name[:40], [one.get(name) for one in objects]) for name in chosen]


def _column(name: str, values: Sequence[object]) -> Column:
    """A number where nearly all values are, else a category with its most frequent values."""
    numbers = np.array([_number(value) for value in values])
    there = np.array([value is not None and value != "" for value in values])
    finite = np.isfinite(numbers)
    if there.any() and (finite & there).sum() >= MOSTLY * there.sum():
        distinct = np.unique(numbers[finite])
        if len(distinct) > FEW or (distinct != np.round(distinct)).any():
            return Column(name, np.where(finite, numbers, math.nan), True)
    texts = [_text(value) for value in values]
    common = Counter(text for text in texts if text is not None)
    ranked = sorted(common, key=lambda text: (-common[text], text))[:CATEGORIES]
    codes = {text: float(place) for place, text in enumerate(ranked)}
    return Column(
        name,
        np.array([math.nan if t is None else codes.get(t, float(CATEGORIES)) for t in texts]),
        False,
    )


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return math.nan


def _text(value: object) -> str | None:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _object(text: str) -> dict[str, object] | None:
    """The columns of an input that is a JSON object, None for any other."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _varies(values: Floats) -> bool:
    gone = np.isnan(values)
    return bool(gone.any() and not gone.all()) or len(np.unique(values[~gone])) > 1


def _ranked(values: Floats, gone: Bools) -> Floats:
    """Ranks of the known values in [−1, 1], ties alike; 0 where a value is missing."""
    found = np.zeros(len(values))
    _, places, counts = np.unique(values[~gone], return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - (counts + 1) / 2
    found[~gone] = 2 * middles[places] / max(len(places) - 1, 1) - 1
    return found

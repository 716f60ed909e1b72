"""The frozen test in parts: one decides, the others stay sealed until it is worn out.

Each look at a test tells something about it: which models it likes. What was tuned with an eye on
the reports fits the test that was reported, and a part that nobody has ever marked shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import compute as pc


def parts_of(users: pa.ChunkedArray, tests: int, minimum: int) -> int:
    """Into how many parts a frozen test of these users is divided: each keeps ``minimum`` users.

    >>> parts_of(pa.chunked_array([["a", "b", "b", "c"]]), tests=2, minimum=2)
    1
    """
    return max(1, min(tests, len(pc.unique(users)) // minimum))


def part_of(users: pa.ChunkedArray, parts: int) -> npt.NDArray[np.int64]:
    """(n,) the part of each row, from 0; all rows of a user are in one part, now and later.

    Users are pseudonyms under the project's key, so nobody outside can choose their part.

    >>> part_of(pa.chunked_array([["a", "b", "c", "a"]]), 2)
    array([0, 0, 1, 0])
    """
    coded = pc.dictionary_encode(users).combine_chunks()
    names = coded.dictionary.to_pylist()
    places = [sha256(f"test:{name}".encode()).digest() for name in names]
    drawn = np.array([int.from_bytes(place[:8], "big") % parts for place in places], np.int64)
    codes = np.asarray(coded.indices, dtype=np.int64)
    return np.take(drawn, codes)


def deciding(looks: Sequence[int], looks_per_test: int) -> int:
    """Which part decides next, given how often each was looked at: the first not worn out.

    Once all are, the last one goes on: no part that was left behind ever decides again.

    >>> deciding([20, 3], 20), deciding([20, 20], 20), deciding([0, 0], 20)
    (1, 1, 0)
    """
    fresh = [place for place, count in enumerate(looks) if count < looks_per_test]
    return fresh[0] if fresh else len(looks) - 1

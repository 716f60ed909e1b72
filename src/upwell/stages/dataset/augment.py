"""Variants of the texts of scarce answers: said otherwise, random swap and random deletion.

Two of the four operations of EDA (Wei & Zou 2019); the others need a dictionary. Where somebody
can say a text otherwise (back-translation), that is its first variant. A variant is a
row to learn from like the one it came from, with its answer, sign, weight and sources, so that
consent, erasure and lineage hold for it too. Only the rows that are given are varied: give it the
train part alone, and nothing crosses the split.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import TypeAlias
from zlib import crc32

import numpy as np
import pyarrow as pa
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from upwell.settings import AugmentSettings

Rewrite: TypeAlias = Callable[[Sequence[str]], Sequence[str]]
"""Texts said otherwise, in order."""

MARK = "#augment-"
_UNSPACED = re.compile("[\u3400-\u9fff\u3040-\u30ff]")
_TRIES = 8

# The right answers to inputs, of which some are scarce; a no is no example of its answer.
_SCARCE = """
WITH learned AS (
    SELECT * FROM rows WHERE weight > 0 AND coalesce(sign, 1) > 0 AND input <> '' AND target <> ''
), classes AS (
    SELECT target, count(*) AS size FROM learned GROUP BY target
    HAVING count(*) BETWEEN 2 AND $below - 1
)
SELECT learned.*, size, row_number() OVER (PARTITION BY target ORDER BY id) - 1 AS place
FROM learned JOIN classes USING (target) ORDER BY target, id
"""


def augmented(
    con: DuckDBPyConnection,
    rows: DuckDBPyRelation,
    settings: AugmentSettings,
    rewrite: Rewrite | None = None,
) -> pa.Table:
    """Variants (columns of ``rows``) that fill each scarce answer up to ``settings.below`` rows.

    Scarce is an answer with at least 2 rows: what stands once may be a text of its own and no
    class. Variants are spread evenly over an answer's rows; their ids end in ``#augment-1`` and so
    on. Equal rows and seed give equal variants. A text of fewer than two words has none but what
    ``rewrite`` makes of it, which is a row's first variant where it differs.
    """
    found = con.sql(_SCARCE, params={"below": settings.below}).to_arrow_table()
    sources = found.to_pylist()
    texts = sorted({str(row["input"]) for row in sources if _wanted(row, settings.below)})
    otherwise = dict(zip(texts, rewrite(texts), strict=True)) if rewrite and texts else {}
    made = [row for source in sources for row in _variants_of(source, settings, otherwise)]
    return pa.Table.from_pylist(made, schema=found.schema).select(rows.columns)


def variant(text: str, change: float, rng: np.random.Generator) -> str:
    """``text`` with a share of its words swapped or left out; itself where there is no other.

    Texts in Chinese or Japanese are varied by character.

    >>> variant("where is my new card", 0.1, np.random.default_rng(3))
    'is where my new card'
    """
    gap = "" if _UNSPACED.search(text) else " "
    words = text.split() if gap else list(text)
    if len(words) < 2:
        return text
    for _ in range(_TRIES):
        changed = (_swapped if rng.random() < 0.5 else _shortened)(words, change, rng)
        if changed != words:
            return gap.join(changed)
    return text


def _wanted(row: Mapping[str, object], below: int) -> int:
    """How many variants a row contributes to its answer."""
    size, place = int(str(row["size"])), int(str(row["place"]))
    share, rest = divmod(below - size, size)
    return share + (place < rest)


def _variants_of(
    row: Mapping[str, object], settings: AugmentSettings, otherwise: Mapping[str, str]
) -> list[dict[str, object]]:
    """The variants of one row; ``otherwise`` has its text as somebody else would say it."""
    text, key, made = str(row["input"]), str(row["id"]), []
    seen = {text}
    for number in range(1, _wanted(row, settings.below) + 1):
        rng = np.random.default_rng([settings.seed, crc32(key.encode()), number])
        drawn = (variant(text, settings.change, rng) for _ in range(_TRIES))
        for other in chain([otherwise.get(text, "")], drawn):
            if other and other not in seen:
                seen.add(other)
                made.append({**row, "id": f"{key}{MARK}{number}", "input": other})
                break
    return made


def _swapped(words: Sequence[str], change: float, rng: np.random.Generator) -> list[str]:
    """Two words change places, for each share of the words."""
    changed = list(words)
    for _ in range(max(1, round(change * len(words)))):
        one, other = rng.choice(len(words), 2, replace=False)
        changed[one], changed[other] = changed[other], changed[one]
    return changed


def _shortened(words: Sequence[str], change: float, rng: np.random.Generator) -> list[str]:
    """Each word is left out with that chance; one at least stays and one at least goes."""
    kept = [word for word in words if rng.random() >= change]
    if len(kept) == len(words):
        gone = int(rng.integers(len(words)))
        return [word for place, word in enumerate(words) if place != gone]
    return kept or [words[int(rng.integers(len(words)))]]

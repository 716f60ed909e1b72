"""Pairs that people made: PandaLM's, of two answers the better, and translations put right."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet as pq

from upwell.records import Example
from upwell.sources import pandalm
from upwell.tables import CORRECTED, schema

DATA = Path(os.environ.get("UPWELL_DATA") or Path(__file__).parents[3] / "shared" / "data")
LONGEST = 400
"""Letters of an instruction with an answer: what two cores can learn from in minutes."""
HELD_OUT = 0.4


@dataclass(frozen=True, slots=True)
class Pair:
    """An instruction and two answers to it."""

    asked: str
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True)
class Edit:
    """An English sentence, what a machine made of it in German, and what a translator of that."""

    source: str
    machine: str
    translator: str


def known() -> list[Pair]:
    """The pairs that people decide and that are not too long (see ``sources.pandalm``)."""
    payloads = [
        json.loads(text)
        for batch in pandalm.read(str(DATA / pandalm.NAME), {})
        for text in batch["payload"].to_pylist()
    ]
    pairs = [Pair(told["input"], told["correction"], told["target"]) for told in payloads]
    return [one for one in pairs if _length(one) <= LONGEST]


def _length(pair: Pair) -> int:
    return len(pair.asked) + max(len(pair.chosen), len(pair.rejected))


def edits(part: str, longest: int) -> list[Edit]:
    """What translators changed (MLQE-PE, ``train``, ``dev`` or ``test``), of short sentences."""
    rows = pq.read_table(DATA / "mlqe-pe-postedits" / "mlqe_pe.parquet").to_pylist()
    return [
        Edit(row["source_raw"], _written(row["mt"]), _written(row["post_edit"]))
        for row in rows
        if (row["lang"], row["split"]) == ("en-de", part)
        and row["mt"] != row["post_edit"] and len(row["source_raw"]) <= longest
    ]  # fmt: skip


def _written(tokens: str) -> str:
    """Tokens as people write them.

    >>> _written("Er kam , sah und ( bald ) siegte .")
    'Er kam, sah und (bald) siegte.'
    """
    for mark in ",.;:!?)":
        tokens = tokens.replace(f" {mark}", mark)
    return tokens.replace("( ", "(")


def split(pairs: list[Pair], train: int, held_out: int, seed: int) -> tuple[list[Pair], list[Pair]]:
    """``train`` pairs to learn from and ``held_out`` others, no instruction in both."""
    rng = np.random.default_rng(seed)
    asked = sorted({pair.asked for pair in pairs})
    apart = set(rng.permutation(asked)[: round(len(asked) * HELD_OUT)].tolist())
    mixed = [pairs[place] for place in rng.permutation(len(pairs))]
    return (
        [pair for pair in mixed if pair.asked not in apart][:train],
        [pair for pair in mixed if pair.asked in apart][:held_out],
    )


def examples(pairs: list[Pair], kind: str) -> pa.Table:
    """Rows with the Example schema: ``sft`` labels, ``kto`` thumbs, ``dpo`` pairs.

    A pair has the rows of a correction: what was shown and disliked, and what was put in its place.
    """
    rows = []
    for number, pair in enumerate(pairs):
        if kind == "sft":
            rows.append(_row(f"{number}", number, pair.asked, pair.chosen, None))
            continue
        after = CORRECTED if kind == "dpo" else "-liked"
        rows.append(_row(f"{number}", number, pair.asked, pair.rejected, -1))
        rows.append(_row(f"{number}{after}", number, pair.asked, pair.chosen, 1))
    return pa.Table.from_pylist(rows, schema(Example))


def _row(key: str, user: int, asked: str, reply: str, sign: int | None) -> dict[str, object]:
    return {
        "id": key, "user": f"user-{user}", "task": "chat", "input": asked, "target": reply,
        "sign": sign, "weight": 1.0, "reliability": 1.0, "propensity": None, "group": "",
        "at": 0, "sources": [], "features": [],
    }  # fmt: skip

"""PandaLM's pairs: two answers to an instruction, and which one three people prefer."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from upwell.records import Example
from upwell.sources import pandalm
from upwell.tables import schema

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
        after = "#correction" if kind == "dpo" else "-liked"
        rows.append(_row(f"{number}", number, pair.asked, pair.rejected, -1))
        rows.append(_row(f"{number}{after}", number, pair.asked, pair.chosen, 1))
    return pa.Table.from_pylist(rows, schema(Example))


def _row(key: str, user: int, asked: str, reply: str, sign: int | None) -> dict[str, object]:
    return {
        "id": key, "user": f"user-{user}", "task": "chat", "input": asked, "target": reply,
        "sign": sign, "weight": 1.0, "reliability": 1.0, "propensity": None, "group": "",
        "at": 0, "sources": [], "features": [],
    }  # fmt: skip

"""The smallest honest texts to classify: what customers ask about, with words of its own."""

from __future__ import annotations

import numpy as np

from upwell.tables import Dataset
from upwell.tasks._drawn import drawn

ROWS = {"train": 96, "validation": 32, "test": 32}
_WORDS = {
    "delivery": ("parcel", "courier", "late", "tracking"),
    "refund": ("money", "back", "charged", "twice"),
    "account": ("password", "login", "email", "locked"),
    "product": ("broken", "size", "colour", "manual"),
}
_FILLING = ("please", "my", "the", "is", "about", "today", "help", "again")
_DAY = 86_400_000_000


def toy(seed: int) -> Dataset:
    """Short questions of four kinds; one row in eight is a ±1 on a class that was shown."""
    return drawn(seed, ROWS, _row)


def _row(rng: np.random.Generator, part: str, number: int) -> dict[str, object]:
    kinds = list(_WORDS)
    kind = kinds[number % len(kinds)]
    words = [*rng.choice(_WORDS[kind], 2, replace=False), *rng.choice(_FILLING, 3)]
    shown = kinds[int(rng.integers(len(kinds)))] if number % 16 == 15 else kind
    signed = number % 8 == 7
    return {
        "id": f"{part}-{number}", "user": f"u{number % 8}", "task": "text_classification",
        "input": " ".join(rng.permutation(words).tolist()), "target": shown if signed else kind,
        "sign": (1 if shown == kind else -1) if signed else None,
        "weight": 1.0, "reliability": 1.0, "propensity": None, "group": "",
        "at": _DAY * (400 + number), "sources": [f"toy/{part}-{number}"], "features": [],
    }  # fmt: skip

"""The smallest honest conversations: what a shop says to what its customers ask."""

from __future__ import annotations

import numpy as np

from upwell.tables import Dataset, canonical_json
from upwell.tasks._drawn import drawn

ROWS = {"train": 64, "validation": 16, "test": 16}
_SAID = {
    "open": "from nine to five",
    "price": "ten euros",
    "where": "by the river",
    "return": "yes, for a month",
}
_FORMS = ("{}?", "{} please", "hi, {}?", "so, {}?", "and {}?", "tell me: {}")
_DAY = 86_400_000_000


def toy(seed: int) -> Dataset:
    """Short questions and their answers; in training, one row in four is a ±1 on a reply."""
    return drawn(seed, ROWS, _row)


def _row(rng: np.random.Generator, part: str, number: int) -> dict[str, object]:
    asked = list(_SAID)
    word = asked[number % len(asked)]
    # Whom it comes from makes questions differ, as what people ask does.
    text = f"{rng.integers(100, 1000)}: " + str(rng.choice(_FORMS)).format(word)
    told = [{"role": "user", "content": text}]
    if number % 3 == 0:
        told = [{"role": "system", "content": "be short"}, *told]
    sign: int | None = None
    shown = word
    if part == "train" and number % 4 == 3:
        sign = 1 if number % 8 == 3 else -1
        shown = word if sign > 0 else asked[(number + 1) % len(asked)]
    return {
        "id": f"{part}-{number}", "user": f"u{number % 8}", "task": "chat",
        "input": canonical_json(told) if len(told) > 1 else text, "target": _SAID[shown],
        "sign": sign, "weight": 1.0, "reliability": 1.0, "propensity": None, "group": "",
        "at": _DAY * (400 + number), "sources": [], "features": [],
    }  # fmt: skip

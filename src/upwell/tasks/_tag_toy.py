"""The smallest honest world to tag: people who live in places, told by their names."""

from __future__ import annotations

import numpy as np

from upwell.tables import Dataset, canonical_json
from upwell.tasks._drawn import drawn

ROWS = {"train": 48, "validation": 16, "test": 16}
PEOPLE = ("Anna", "Ben Smith", "Chen", "Dora Lee")
CITIES = ("Rome", "New York", "Oslo", "Lima")
FORMS = ("{0} lives in {1} .", "In {1} we met {0} .", "{0} and {0} like {1} .", "It rained .")
_DAY = 86_400_000_000


def toy(seed: int) -> Dataset:
    """Texts with their spans; in training, some rows are ±1 on one span."""
    return drawn(seed, ROWS, _row)


def _row(rng: np.random.Generator, part: str, number: int) -> dict[str, object]:
    person, city = str(rng.choice(PEOPLE)), str(rng.choice(CITIES))
    text = FORMS[number % len(FORMS)].format(person, city)
    named = (("PER", person), ("LOC", city))
    spans = [[at, at + len(name), label] for label, name in named for at in _all(text, name)]
    sign: int | None = None
    target: dict[str, object] = {"spans": sorted(spans)}
    if part == "train" and number % 5 == 4 and spans:
        sign = 1 if number % 10 == 4 else -1
        wrong = {"PER": "LOC", "LOC": "PER"}
        start, end, label = spans[0][0], spans[0][1], str(spans[0][2])
        target = {"spans": [[start, end, label if sign > 0 else wrong[label]]], "rest": 0}
    return {
        "id": f"{part}-{number}", "user": f"u{number % 8}", "task": "tagging",
        "input": text, "target": canonical_json(target), "sign": sign,
        "weight": 1.0, "reliability": 1.0, "propensity": None, "group": "",
        "at": _DAY * (400 + number), "sources": [], "features": [],
    }  # fmt: skip


def _all(text: str, name: str) -> list[int]:
    found = [text.find(name)]
    while found[-1] >= 0:
        found.append(text.find(name, found[-1] + 1))
    return found[:-1]

"""The smallest honest world to rate in: what users feel about two kinds of items, in five stars."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from upwell.records import Example
from upwell.tables import Dataset, schema

USERS, ITEMS, EACH = 24, 12, 9
_DAY = 86_400_000_000


def toy(seed: int) -> Dataset:
    """Users like one kind of item by a star or two more; some only say higher or lower."""
    rng = np.random.default_rng(seed)
    taste = rng.choice([-1.2, 1.2], USERS)
    mild, good = rng.normal(0, 0.5, USERS), rng.normal(0, 0.5, ITEMS)
    rows: dict[str, list[dict[str, object]]] = {"train": [], "validation": [], "test": []}
    for user in range(USERS):
        for place, item in enumerate(rng.permutation(ITEMS)[:EACH].tolist()):
            kind = 1 if item % 2 else -1
            felt = 3 + mild[user] + good[item] + kind * taste[user] + rng.normal(0, 0.4)
            stars = int(np.clip(round(felt), 1, 5))
            part = "train" if place < 6 else ("validation" if place == 6 else "test")
            sign, shown = None, stars
            if part == "train" and place == 5:
                shown = int(rng.integers(1, 6))
                sign = 1 if stars >= shown else -1
            at = _DAY * (400 + place) + user
            rows[part].append(_row(f"u{user:02}", f"i{item}", str(shown), sign, at, float(place)))
    items = pa.table(
        {
            "item": [f"i{number}" for number in range(ITEMS)],
            "text": [f"{('red', 'blue')[n % 2]} thing {n}" for n in range(ITEMS)],
        }
    )
    train, validation, test = (
        pa.Table.from_pylist(rows[name], schema=schema(Example)) for name in rows
    )
    return Dataset(train, validation, test, items)


def _row(
    user: str, item: str, target: str, sign: int | None, at: int, events: float
) -> dict[str, object]:
    key = f"toy/{user}-{at}"
    return {
        "id": key, "user": user, "task": "rating", "input": item, "target": target, "sign": sign,
        "weight": 1.0, "reliability": 1.0, "propensity": None, "group": "", "at": at,
        "sources": [key], "features": [events, 1.0],
    }  # fmt: skip

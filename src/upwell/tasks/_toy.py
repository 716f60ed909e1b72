"""The smallest honest world to recommend in: two tastes, each with its own items."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from upwell.records import Example
from upwell.tables import Dataset, schema

USERS, ITEMS, EVENTS = 24, 12, 8
_DAY = 86_400_000_000


def toy(seed: int) -> Dataset:
    """Users of two tastes choose among the items of theirs; some say what they dislike."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[dict[str, object]]] = {"train": [], "validation": [], "test": []}
    for user in range(USERS):
        taste = user % 2
        liked = rng.permutation(ITEMS // 2) * 2 + taste
        told: list[tuple[str, int, int]] = []
        for place in range(EVENTS - 2):
            disliked = place == 3
            other = (1 - taste) + 2 * int(rng.integers(ITEMS // 2))
            item = f"i{other if disliked else liked[place % 6]}"
            sign = -1 if disliked else (1 if place > 3 else None)
            at = _DAY * (400 + place) + user
            part = "train" if place < 4 else ("validation" if place == 4 else "test")
            rows[part].append(_row(f"u{user:02}", item, sign, at, told))
            told.append((item, sign or 0, at))
    items = pa.table(
        {
            "item": [f"i{n}" for n in range(ITEMS)],
            "text": [
                f"{('red', 'blue')[n % 2]} thing {n} | {('warm', 'cold')[n % 2]}"
                for n in range(ITEMS)
            ],
        }
    )
    train, validation, test = (_table(rows[name]) for name in ("train", "validation", "test"))
    return Dataset(train, validation, test, items)


def _row(
    user: str, item: str, sign: int | None, at: int, told: list[tuple[str, int, int]]
) -> dict[str, object]:
    key = f"toy/{user}-{at}"
    return {
        "id": key, "user": user, "task": "recommend", "input": "", "target": item, "sign": sign,
        "weight": 1.0, "reliability": 1.0, "propensity": None, "group": "", "at": at,
        "sources": [key], "features": [float(len(told)), 1.0],
        "history": [name for name, _, _ in told],
        "history_sign": [mark for _, mark, _ in told],
        "history_at": [time for _, _, time in told],
    }  # fmt: skip


def _table(rows: list[dict[str, object]]) -> pa.Table:
    shape = schema(Example)
    for name, kind in (
        ("history", pa.string()),
        ("history_sign", pa.int8()),
        ("history_at", pa.int64()),
    ):
        shape = shape.append(pa.field(name, pa.large_list(kind)))
    return pa.Table.from_pylist(rows, schema=shape)

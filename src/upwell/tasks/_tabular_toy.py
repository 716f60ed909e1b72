"""The smallest honest table: who repays depends on income, on a job, and on what is missing."""

from __future__ import annotations

import numpy as np

from upwell.tables import Dataset, canonical_json
from upwell.tasks._drawn import drawn

ROWS = {"train": 96, "validation": 32, "test": 32}
_DAY = 86_400_000_000


def toy(seed: int) -> Dataset:
    """Applicants who repay or not, with the noise of one in twenty; a tenth are ±1 on an answer."""
    return drawn(seed, ROWS, _row)


def _row(rng: np.random.Generator, part: str, number: int) -> dict[str, object]:
    income, job = float(rng.normal(30, 10)), str(rng.choice(["cook", "smith", "clerk"]))
    savings = None if rng.random() < 0.2 else float(rng.exponential(5))
    worth = (income - 30) / 10 + (job == "smith") - (savings is None) + (savings or 0) / 10
    repays = (worth > 0.3) != (rng.random() < 0.05)
    signed = number % 10 == 9
    shown = "repays" if signed or repays else "defaults"
    cells = {"income": round(income, 1), "job": job, "savings": savings and round(savings, 1)}
    return {
        "id": f"{part}-{number}", "user": f"u{number % 8}", "task": "tabular",
        "input": canonical_json(cells), "target": shown,
        "sign": (1 if repays else -1) if signed else None,
        "weight": 1.0, "reliability": 1.0, "propensity": None, "group": "",
        "at": _DAY * (400 + number), "sources": [], "features": [],
    }  # fmt: skip

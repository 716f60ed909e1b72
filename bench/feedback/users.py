"""Simulated users: each says ±1 about one answer, and is wrong at a rate of their own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

USERS = 50
NOISES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"clean": (0.0, 0.0), "10 %": (0.1, 0.1), "25 %": (0.25, 0.25), "raters": (0.05, 0.5)}
)
"""How often careful users and spammers are wrong; a fifth of the users are spammers."""
SPAMMERS = 0.2


def flip_rates(noise: str, rng: np.random.Generator) -> Floats:
    """(USERS,) how often each user's sign is wrong."""
    careful, spam = NOISES[noise]
    rates = np.full(USERS, careful)
    rates[rng.permutation(USERS)[: int(SPAMMERS * USERS)]] = spam
    return rates


def explored(
    best: Ints, classes: int, share: float, rng: np.random.Generator
) -> tuple[Ints, Floats]:
    """What is shown, and how probable it was: the best answer, or now and then any at random."""
    random = rng.random(len(best)) < share
    shown = np.where(random, rng.integers(classes, size=len(best)), best)
    return shown, np.where(shown == best, 1 - share, 0.0) + share / classes


def signs(right: Bools, user: Ints, rates: Floats, rng: np.random.Generator) -> Ints:
    """(n,) ±1: the truth about what was shown, wrong at the user's rate."""
    wrong = rng.random(len(right)) < rates[user]
    return np.where(right ^ wrong, 1, -1)

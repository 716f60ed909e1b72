"""Random histories of consent: what users granted and withdrew, and when somebody looks.

Moments are whole days, so that consents often begin together, and looks fall on the very moment at
which something begins or ends. What is recorded later may hold from earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from upwell.records import PURPOSES, Consent

DAY_ONE = datetime(2026, 1, 1, tzinfo=UTC)
DAYS, MOST = 30, 8
"""The days that anything happens in, and the most that a user says."""


def day(number: int) -> datetime:
    """The first moment of a day."""
    return DAY_ONE + timedelta(days=number)


def histories(users: int, seed: int) -> list[Consent]:
    """What so many users said, in the order in which it was recorded."""
    rng = np.random.default_rng(seed)
    said = [user for user in range(users) for _ in range(rng.integers(0, MOST + 1))]
    rng.shuffle(said)
    return [_consent(rng, number, f"user{user}") for number, user in enumerate(said)]


def _consent(rng: np.random.Generator, number: int, user: str) -> Consent:
    """A grant of some purposes or, one time in three, a withdrawal."""
    granted = () if rng.random() < 1 / 3 else PURPOSES
    purposes = tuple(purpose for purpose in granted if rng.random() < 2 / 3)
    since = int(rng.integers(0, DAYS))
    ends = since + int(rng.integers(0, DAYS)) if rng.random() < 1 / 4 else None
    return Consent(str(number), user, purposes, day(since), None if ends is None else day(ends))


def allowed(said: Sequence[Consent], purpose: str, now: datetime) -> bool:
    """Whether one user allows it, as words say it.

    Of what has begun, the latest holds alone; of two that began together, the one recorded later.
    It must name the purpose and not have ended.
    """
    holds: Consent | None = None
    for one in said:
        if one.since <= now and (holds is None or one.since >= holds.since):
            holds = one
    if holds is None or purpose not in holds.purposes:
        return False
    return holds.until is None or now < holds.until

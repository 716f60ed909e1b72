"""A Decision in sentences, in the language of whoever reads it."""

from __future__ import annotations

from upwell.records import Decision
from upwell.words import say


def render(decision: Decision, lang: str | None = None) -> tuple[str, ...]:
    """What was done with the model, then one sentence a reason, in order.

    >>> from datetime import UTC, datetime
    >>> reason = {"key": "gate.users.hold", "verdict": "hold", "users": 3, "minimum": 10}
    >>> act = Decision("d", "m-2", "recommend", datetime(2026, 1, 1, tzinfo=UTC), "hold", (reason,))
    >>> render(act, "en")
    ('m-2 is held: what serves stays.', 'Only 3 users were judged; at least 10 are needed.')
    """
    head = say(f"release.{decision.act}", lang, model=decision.model)
    return (head, *(say(str(why["key"]), lang, **why) for why in decision.reasons))

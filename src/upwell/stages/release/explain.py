"""A Decision in sentences, in the language of whoever reads it."""

from __future__ import annotations

from upwell.records import Decision, Json
from upwell.stages.release.reasons import Reason
from upwell.words import catalogue, language, say


def render(decision: Decision, lang: str | None = None) -> tuple[str, ...]:
    """What was done with the model, then one sentence a reason, in order.

    >>> from datetime import UTC, datetime
    >>> reason = {"key": "gate.users.hold", "verdict": "hold", "users": 3, "minimum": 10, "more": 7}
    >>> act = Decision("d", "m-2", "recommend", datetime(2026, 1, 1, tzinfo=UTC), "hold", (reason,))
    >>> render(act, "en")[1]
    'Only 3 users were judged; at least 10 are needed: 7 more.'
    """
    head = say(f"release.{decision.act}", lang, model=decision.model)
    return (head, *(sentence(why, lang) for why in decision.reasons))


def sentence(why: Reason, lang: str | None = None) -> str:
    """A reason as a sentence. What another part of the house found says it in words of its own.

    Those stand in the sentence as ``said``; the reason's ``says`` is their word key.
    """
    details: dict[str, Json] = dict(why)
    if "says" in why:
        key = str(why["says"])
        is_known = key in catalogue(lang or language())
        details["said"] = say(key, lang, **why) if is_known else str(why.get("guard", key))
    return say(str(details.pop("key")), lang, **details)

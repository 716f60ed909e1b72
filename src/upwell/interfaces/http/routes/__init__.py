"""Routes by what they are for; each says whom it opens to."""

from __future__ import annotations

from upwell.interfaces.http.desk import Spec
from upwell.interfaces.http.routes import (
    about,
    answers,
    consents,
    events,
    feedback,
    gorse,
    gorse_facts,
    openai,
    traces,
    users,
)


def specs() -> tuple[Spec, ...]:
    """Every route of the service."""
    rooms = (events, feedback, traces, answers, openai, consents, users, gorse, gorse_facts, about)
    return tuple(spec for room in rooms for spec in room.ROUTES)

"""Routes by what they are for; each says whom it opens to."""

from __future__ import annotations

from upwell.interfaces.http.desk import Spec
from upwell.interfaces.http.routes import about, answers, consents, events, feedback, gorse


def specs() -> tuple[Spec, ...]:
    """Every route of the service."""
    rooms = (events, feedback, answers, consents, gorse, about)
    return tuple(spec for room in rooms for spec in room.ROUTES)

"""What ``--consent`` says that users have agreed to."""

from __future__ import annotations

from upwell.errors import InterfaceError
from upwell.interfaces.cli.here import Here
from upwell.records import PURPOSES


def agreed(named: str, here: Here) -> tuple[str, ...]:
    """The purposes that are named, with commas between; a command asks before it does anything.

    Raises InterfaceError ``cli.usage`` for what is none.
    """
    purposes = tuple(part.strip() for part in named.split(",") if part.strip())
    for purpose in purposes:
        if purpose not in PURPOSES:
            known = ", ".join(PURPOSES)
            problem = here.say("cli.no_purpose", name=purpose, known=known)
            raise InterfaceError("cli.usage", problem=problem)
    return purposes

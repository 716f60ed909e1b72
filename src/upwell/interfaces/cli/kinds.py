"""Kinds of plugins as people name them."""

from __future__ import annotations

from upwell.errors import InterfaceError
from upwell.plugins import KINDS, Kind


def chosen(kind: str | None) -> tuple[Kind, ...]:
    """The kind that was named, or all of them. Raises InterfaceError for another name."""
    found = tuple(known for known in KINDS if kind in (None, known))
    if not found:
        raise InterfaceError("cli.bad_kind", kind=kind, known=", ".join(KINDS))
    return found

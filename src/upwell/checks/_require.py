"""How a promise says that it was broken."""

from __future__ import annotations

import pyarrow as pa

from upwell.errors import PluginError


def require(kept: bool, found: object) -> None:
    """Raise PluginError ``check.broken`` with what was found, unless ``kept``.

    >>> require(1 + 1 == 2, "arithmetic")
    """
    if not kept:
        raise PluginError("check.broken", found=found)


def require_schema(found: pa.Schema, wanted: pa.Schema) -> None:
    """Names and types must be those wanted, in order; whether null is allowed may differ."""
    for one, other in zip(found, wanted, strict=False):
        require(one.name == other.name and one.type == other.type, f"{one} ≠ {other}")
    require(len(found) == len(wanted), f"{found.names} ≠ {wanted.names}")

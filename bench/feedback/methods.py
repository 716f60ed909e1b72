"""The rows of the benchmark: what each method learns from the same logged feedback."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

NOTHING, ORACLE = "no feedback", "full labels"
ALIKE, RELIABLE = "upwell, all users alike", "upwell"
TEXTBOOK = "textbook"
CONTROL = "unlikelihood, begun as upwell"
"""Not a method of its own: how much of Upwell's lead is its beginning."""


@dataclass(frozen=True, slots=True)
class Method:
    """An objective with what it needs besides Upwell's settings.

    ``flips`` says what it takes a sign's chance of being wrong for: ``assumed`` is the setting's,
    ``pooled`` one rate for all users and ``users`` one for each, both estimated from the feedback.
    ``truth`` gives it the true targets of the same rows instead of signs. ``afresh`` begins as a
    turn of Upwell's loop does, with a new model fitted to all rows, and not from the first model.
    """

    objective: str = "bounded"
    flips: Literal["assumed", "pooled", "users"] = "assumed"
    truth: bool = False
    afresh: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        NOTHING: Method(),
        TEXTBOOK: Method("textbook"),
        "positives only": Method("positives"),
        "unlikelihood": Method("unlikelihood"),
        "ips": Method("ips"),
        "snips": Method("snips"),
        "kto": Method("kto", settings={"beta": 0.5}),
        CONTROL: Method("unlikelihood", afresh=True),
        ALIKE: Method(flips="pooled", afresh=True),
        RELIABLE: Method(flips="users", afresh=True),
        ORACLE: Method("likelihood", truth=True, afresh=True),
    }
)
OTHERS = tuple(name for name in METHODS if name not in (CONTROL, ALIKE, RELIABLE, ORACLE))

"""Words of the Chinese sentences: lists that values are drawn from, and templates.

``TUNED`` are templates that the rules may be looked at beside. The misses on ``HELD_OUT`` were
looked at before names were weighed; ``NAMES`` were written before that and theirs not looked at.
``NOTHING`` are texts about orders, parcels and times.
"""

from __future__ import annotations

import json
from pathlib import Path

_TEXTS = Path(__file__).parent / "texts"


def _lines(name: str) -> tuple[str, ...]:
    return tuple((_TEXTS / f"{name}.txt").read_text(encoding="utf-8").splitlines())


TUNED, HELD_OUT, NOTHING = _lines("tuned"), _lines("held_out"), _lines("nothing")
NAMES = _lines("names")
_CHINA = json.loads((_TEXTS / "china.json").read_text(encoding="utf-8"))
SURNAMES: list[str] = _CHINA["surnames"]
"""Commonest first."""
GIVEN = list(_CHINA["given"])
MAILS: list[str] = _CHINA["mails"]
CITIES: list[tuple[str, str, str]] = [(a, b, c) for a, b, c in _CHINA["cities"]]
ROADS: list[str] = _CHINA["roads"]
ROOMS: list[str] = _CHINA["rooms"]

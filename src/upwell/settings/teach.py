"""The error for a key of ``upwell.toml`` that is unknown or whose value is wrong."""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from upwell.errors import SettingsError
from upwell.settings.data import FeedbackRule


def teach(
    whole: type[BaseModel], path: Path, text: str, loc: tuple[Any, ...], kind: str, problem: str
) -> SettingsError:
    """The error for a key of ``whole`` that is unknown or whose value is wrong."""
    names = [str(part) for part in loc]
    line = _line_of(text, names)
    if kind == "extra_forbidden":
        known = _known_keys(whole, names[:-1])
        nearest = (get_close_matches(names[-1], known, 1, 0.4) or [", ".join(known)])[0]
        return SettingsError(
            "settings.unknown_key", file=path, line=line, key=names[-1], nearest=nearest
        )
    key = ".".join(names)
    return SettingsError("settings.bad_value", file=path, line=line, key=key, problem=problem)


def _known_keys(whole: type[BaseModel], parents: list[str]) -> list[str]:
    model: Any = whole
    for parent in parents:
        annotation = model.model_fields[parent].annotation if model is not FeedbackRule else None
        model = FeedbackRule if parent == "feedback" else annotation or FeedbackRule
        if parent == "feedback":
            break
    return list(model.model_fields)


def _line_of(text: str, names: list[str]) -> int:
    """Line (from 1) where a key is set: its own line, else its table's, else 1 (environment)."""
    table: list[str] = []
    best = 1
    for number, row in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[([^\]]+)\]", row)
        if header:
            table = [part.strip(" \"'") for part in header.group(1).split(".")]
            if names[: len(table)] == table:
                best = number
            continue
        key = re.match(r"\s*([\w\"'.-]+)\s*=", row)
        if key:
            full = table + [part.strip(" \"'") for part in key.group(1).split(".")]
            if names[: len(full)] == full:
                return number
    return best

"""What intake makes of what a source reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from upwell.plugins import plugin
from upwell.stages.collect.intake import sort_out

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NOTHING: Mapping[str, str] = {}


@dataclass(slots=True)
class Taken:
    """Events with their payloads read, and bad rows."""

    events: list[dict[str, Any]]
    bad: list[dict[str, Any]]


def taken(name: str, location: Path, mapping: Mapping[str, str] = NOTHING) -> Taken:
    found = Taken([], [])
    for batch in plugin("sources", name).read(str(location), mapping):
        made = sort_out(batch, "import", NOW)
        found.events += [
            {**row, "payload": json.loads(row["payload"])} for row in made.events.to_pylist()
        ]
        found.bad += made.bad.to_pylist()
    return found


def written(path: Path, value: object) -> Path:
    """The file, with the value as JSON; text as it is."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")
    return path

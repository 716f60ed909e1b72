"""Everything that is held of a user, in one file for them: a zip that people and programs read.

GDPR Art. 15 and 20, PIPL Art. 45: the data as they were given, what was derived from them, what
was shown and why, what they allowed, and the models that learned from them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_DEFLATED, ZipFile

import pyarrow as pa

from upwell import rows, wiring
from upwell.errors import InterfaceError, StageError
from upwell.interfaces.fates import fates_of
from upwell.plugins import plugin
from upwell.records import BadRow, Consent, Event, Json, Prediction
from upwell.stages.behaviour.features import FEATURES
from upwell.store.files import full_disk_told
from upwell.store.held import Held, held
from upwell.store.project import Project
from upwell.store.removal import of_users
from upwell.tables import Record, canonical_json, schema, to_records
from upwell.words import LANGUAGES, say

_NOUNS: Mapping[str, type[Record]] = {
    "events": Event, "predictions": Prediction, "consents": Consent, "bad_rows": BadRow,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Portrait:
    """What is held of a user: rows by kind, what became of each, and what was made of them."""

    held: Held
    profile: Json
    used: Sequence[Mapping[str, Json]]
    models: Sequence[Mapping[str, Json]]

    def counts(self) -> dict[str, Json]:
        """Rows by kind."""
        return {name: len(getattr(self.held, name)) for name in _NOUNS}


def portrait(project: Project, user: str, now: datetime) -> Portrait:
    """All that is held of a user. Raises StageError ``erase.unknown`` where that is nothing."""
    wiring.drain(project)
    found = held(project.journal, user)
    if not len(found):
        raise StageError("erase.unknown", user=ascii(user[:64])[1:-1])
    derived = _profile(project, user, now)
    return Portrait(found, derived, _used(project, user), _models(project, user))


def write(found: Portrait, to: Path | BinaryIO) -> None:
    """Write the zip ``to`` a file: JSON lines by kind, what they mean, and a page in each language.

    ``events.jsonl`` is what ``upwell import`` reads.
    """
    with full_disk_told(), ZipFile(to, "w", ZIP_DEFLATED) as archive:
        for name, noun in _NOUNS.items():
            archive.writestr(f"{name}.jsonl", _lines(noun, getattr(found.held, name)))
        archive.writestr("profile.json", _pretty(found.profile))
        archive.writestr("used.jsonl", "".join(f"{canonical_json(one)}\n" for one in found.used))
        archive.writestr("models.json", _pretty(list(found.models)))
        archive.writestr("schema.json", _pretty(_schemas()))
        for lang in LANGUAGES:
            archive.writestr(f"README.{lang}.txt", say("portrait.readme", lang, **found.counts()))


def _lines(noun: type[Any], table: pa.Table) -> str:
    return "".join(f"{canonical_json(one)}\n" for one in to_records(noun, table))


def _pretty(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)


def _schemas() -> dict[str, Json]:
    """Of each kind of row, its fields and their types."""
    return {
        name: {field.name: str(field.type) for field in schema(noun)}
        for name, noun in _NOUNS.items()
    }


def _profile(project: Project, user: str, now: datetime) -> Json:
    """What an answer would know of the user now: behaviour, group and history."""
    task = plugin("tasks", project.settings.project.task)
    if task.ABOUT == "answer":
        return {}
    known = rows.asking(project, [user], now).to_pylist()[0]
    features = dict(zip(FEATURES, known.get("features") or (), strict=False))
    return {
        "group": known["group"],
        "features": features,
        "history": [str(one) for one in known.get("history") or ()],
    }


def _used(project: Project, user: str) -> list[Mapping[str, Json]]:
    """What became of each event in the last turn, with every reason; nothing where it saw none."""
    try:
        turn, found = fates_of(project, user)
    except InterfaceError:
        return []
    return [
        {
            "turn": turn.id,
            "event": one.event,
            "outcome": one.outcome,
            "weight": one.weight,
            "reliability": one.reliability,
            "reasons": [doubt.code for doubt in one.doubts],
        }
        for one in found
    ]


def _models(project: Project, user: str) -> list[Mapping[str, Json]]:
    """The versions that learned from the user's rows, and how many each."""
    hidden = rows.pseudonyms(project).of(user)
    holding = project.snapshots.holding(of_users([hidden]))
    return [
        {"version": version.id, "at": version.at.isoformat(), "rows": (held or {}).get(hidden)}
        for version in project.ledger.versions(project.settings.project.task)
        if (held := holding.get(version.snapshot, {})) is None or hidden in held
    ]

"""A shop whose pseudonyms are rotated, and what of it can be compared before and after."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pyarrow import parquet as pq

from upwell import loop
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.store.project import Project, open_project
from upwell.store.veil import Change, Veil
from upwell.tables import Dataset
from upwell.wiring.erasing import finish_begun, forget
from upwell.wiring.purge import purge
from upwell.wiring.rotating import Rotated, rotate

DAY_ONE = datetime(2024, 1, 1, tzinfo=UTC)
NOW = DAY_ONE + timedelta(days=122)
LATER = NOW + timedelta(hours=1)
ANN, BOB, CID = (f"{name}@shop.example" for name in ("ann", "bob", "cid"))
KEY = bytes(range(32))
Shop = Callable[..., Upwell]


def shop_in(folder: Path, shop: Shop) -> Path:
    """A shop after a turn; Ann was forgotten, Bob purged, and Cid is there."""
    upwell = shop(folder)
    project = upwell.project
    upwell.consent([ANN, BOB, CID], PURPOSES, since=DAY_ONE)
    items = sorted(set(project.journal.events_after(0, 10**6)["item"].to_pylist()))[1:7]
    for user in (ANN, BOB, CID):
        upwell.capture([happened(user, n, item) for n, item in enumerate(items)], now=NOW)
    loop.turn(project, now=NOW)
    forget(project, ANN, id="ann-one", now=NOW)
    assert finish_begun(project, NOW)
    purge(project, "user", BOB, "spam", NOW)
    project.journal.close()
    project.lease.release()
    return project.folder


def happened(user: str, n: int, item: str) -> dict[str, object]:
    return {"id": f"{user}-{n}", "user": user, "kind": "thumbs", "value": 1, "item": item,
            "at": DAY_ONE + timedelta(days=50, minutes=n)}  # fmt: skip


def rotated(folder: Path) -> Rotated:
    project = open_project(folder, rotating=True)
    try:
        return rotate(project, NOW, lambda *_: None)
    finally:
        project.lease.release()
        project.journal.close()


def users(project: Project) -> list[str]:
    return sorted(set(project.journal.consents()["user"].to_pylist()) | {ANN, BOB, CID})


def stored(folder: Path) -> Iterator[bytes]:
    """Every file of a project but its keys: as it lies there, and as it is read."""
    for path in (one for one in folder.rglob("*") if one.is_file()):
        if "keys" not in path.parts:
            yield path.read_bytes()
            yield str(path).encode()
            if path.suffix == ".parquet":
                yield json.dumps(pq.read_table(path).to_pylist(), default=str).encode()


def content(project: Project, version: str) -> dict[str, list[str]]:
    """Rows of a version's data, in an order that pseudonyms do not tell, under first names."""
    data = project.snapshots.read(project.ledger.version(version).snapshot)
    name = Change(project.veil, Veil()).name
    return {part: sorted(str({**row, "user": name(row["user"])}) for row in rows(data, part))
            for part in ("train", "validation", "test")}  # fmt: skip


def rows(data: Dataset, part: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = getattr(data, part).to_pylist()
    return found

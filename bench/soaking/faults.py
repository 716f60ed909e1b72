"""A disk that is full or fails, at each of a service's first writes and syncs, asked over HTTP.

The fault lasts for some changes or until it is lifted. What was refused is sent again then, with
the same ids. In the end the power goes, so that only what was synced counts as stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

import apsw
import numpy as np
from starlette.testclient import TestClient

from bench.soaking.disk import Act, Disk
from bench.soaking.stored import FILES, put, stored
from bench.soaking.vfs import URL, mounted
from upwell.errors import StoreError
from upwell.interfaces.http.app import application
from upwell.interfaces.http.desk import Desk
from upwell.service import Upwell
from upwell.store.project import create_project, open_project

KINDS: tuple[type[apsw.Error], ...] = (apsw.FullError, apsw.IOError)
"""As SQLite tells ENOSPC and EIO."""
LONGEST, FOR_EVER = 60, 1 << 30
AFTER = 3
"""Requests after the first that met the fault, before it is lifted."""
REFUSALS = (503, 507)
Rows = list[dict[str, object]]


@dataclass(slots=True)
class FaultsSeen:
    """What came of all faults; of what ``wrong`` counts there should be nothing.

    ``opening`` of them kept the project from being opened; ``refused`` are answers by status.
    """

    faults: int = 0
    opening: int = 0
    acknowledged: int = 0
    refused: Counter[int] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)


def plant(folder: Path, places: Iterable[int], seed: int) -> FaultsSeen:
    """A full disk, and a failing one, at each of these writes and syncs, counted from 1."""
    seen, chance = FaultsSeen(), np.random.default_rng(seed)
    for place in places:
        for kind in KINDS:
            length = int(chance.integers(LONGEST)) if chance.random() < 0.5 else FOR_EVER
            _Trial(folder / "faulty", _Fault(place, length, kind), chance, seen).run()
    return seen


@dataclass(slots=True)
class _Fault:
    """The change that is ``left`` changes away fails, and ``length`` after it, unless lifted."""

    left: int
    length: int
    kind: type[apsw.Error]
    is_met: bool = False
    is_lifted: bool = False

    def __call__(self, act: Act, _: str) -> Exception | None:
        self.left -= act in ("write", "sync")
        if self.is_lifted or not -self.length <= self.left <= 0:
            return None
        self.is_met = True
        return self.kind("planted")


@dataclass(slots=True)
class _Trial:
    """One fault in the life of one project."""

    home: Path
    fault: _Fault
    chance: np.random.Generator
    seen: FaultsSeen
    told: set[str] = field(default_factory=set)
    refused: list[Rows] = field(default_factory=list)

    def run(self) -> None:
        """Meet the fault, lift it, send again, cut the power, and look at what is there."""
        create_project(self.home, "faulty", {"data": {"journal": URL}})
        disk = Disk(self.home / "data", FILES, self.fault)
        with mounted(disk):
            try:
                self._in_service()
            except StoreError:
                self.seen.opening += 1
                self.fault.is_lifted = True
                self._in_service()
        put(disk.left(self.chance, 0.0), self.home / "left")
        found = stored(self.home / "left" / FILES[0])
        self.seen.faults += self.fault.is_met
        self.seen.acknowledged += len(self.told)
        self.seen.wrong["lost"] += len(self.told - found.ids)
        self.seen.wrong["twice"] += found.twice
        self.seen.wrong["damaged"] += not found.is_whole
        rmtree(self.home)

    def _in_service(self) -> None:
        with serving(self.home) as client:
            while not self.fault.is_met:
                self._send(client, self._rows())
            for _ in range(AFTER):
                self._send(client, self._rows())
            self.fault.is_lifted = True
            again, self.refused = self.refused, []
            for rows in (*again, self._rows()):
                self._send(client, rows)
            self.seen.wrong["not recovered"] += bool(self.refused)

    def _rows(self) -> Rows:
        size = 1 if self.chance.random() < 0.5 else int(self.chance.integers(2, 40))
        at = {"at": "2026-05-01T10:00:00Z"} if self.chance.random() < 0.5 else {}
        return [
            {"id": f"{self.chance.integers(1 << 30):x}-{n}", "user": f"u{n}", "kind": "click", **at}
            for n in range(size)
        ]

    def _send(self, client: TestClient, rows: Rows) -> None:
        status = client.post("/v1/events", json=rows if len(rows) > 1 else rows[0]).status_code
        if status == 202:
            self.told |= {str(row["id"]) for row in rows}
            return
        self.refused.append(rows)
        self.seen.refused[status] += 1
        self.seen.wrong["another answer"] += status not in REFUSALS


@contextmanager
def serving(home: Path) -> Iterator[TestClient]:
    """A service in this process, asked from this machine."""
    project = open_project(home)
    app = application(Desk.of(Upwell(project)))
    try:
        with TestClient(app, "http://127.0.0.1:8000", client=("127.0.0.1", 5000)) as client:
            yield client
    finally:
        project.journal.close()

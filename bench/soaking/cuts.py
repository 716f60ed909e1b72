"""Power cuts while threads capture: the project as it is, on a disk that loses its cache.

A project lives through many cuts. Each life opens what the cut before left, sends again what was
not acknowledged, and goes on until the next cut, which may come while the database is made,
opened, written, checkpointed or closed.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree

import apsw
import numpy as np
from sqlalchemy import event

from bench.soaking.disk import Act, Disk
from bench.soaking.driver import Connection
from bench.soaking.stored import FILES, put, stored
from bench.soaking.vfs import URL, mounted
from upwell.errors import UpwellError
from upwell.service import Upwell
from upwell.store.project import Project, create_project, open_project

LIVES, WRITERS, BATCHES = 25, 4, 8
CHANGES, SYNCS = 800, 30
"""The most changes of the disk, and the most syncs, before a cut: about what a whole life has."""
BY_SYNCS = 0.25
"""How many cuts count syncs alone; among all changes these are few."""
KEPT = (0.0, 0.2, 0.5, 0.8, 1.0)
"""How much of what was not synced a cut keeps."""
_FILES = dict(zip(FILES, ("the database", "its log", "its rollback log"), strict=True))


@dataclass(slots=True)
class CutSeen:
    """What came of all cuts: ``losing`` of them lost acknowledged rows, ``lost`` in all."""

    cuts: int = 0
    acknowledged: int = 0
    lost: int = 0
    losing: int = 0
    damaged: int = 0
    twice: int = 0
    moments: Counter[str] = field(default_factory=Counter)


def cut_power(folder: Path, cuts: int, seed: int, weaken: bool = False) -> CutSeen:
    """So many cuts; ``weaken`` lets every connection promise less than the journal does."""
    seen, chance = CutSeen(), np.random.default_rng(seed)
    while seen.cuts < cuts:
        home = create_project(folder / f"lives-{seen.cuts}", "lives", {"data": {"journal": URL}})
        clients = [_Client(f"c{n}", chance.spawn(1)[0]) for n in range(WRITERS)]
        for _ in range(min(LIVES, cuts - seen.cuts)):
            _life(home, clients, chance, seen, weaken)
        seen.acknowledged += sum(len(client.told) for client in clients)
        rmtree(home)
    seen.acknowledged += seen.lost
    return seen


@dataclass(slots=True)
class _Cut:
    """The power goes when ``left`` changes ``of`` a kind were begun; ``moment`` says at which."""

    disk: Disk
    left: int
    of: frozenset[Act]
    moment: str = "no change: the project was closed"

    def __call__(self, act: Act, name: str) -> Exception | None:
        self.left -= act in self.of
        if self.left > 0:
            return None
        if not self.disk.is_off:
            self.disk.is_off, self.moment = True, f"a {act} of {_FILES[name]}"
        return apsw.IOError("the power is off")


def _drawn(disk: Disk, chance: np.random.Generator) -> _Cut:
    if chance.random() < BY_SYNCS:
        return _Cut(disk, int(chance.integers(1, SYNCS)), frozenset({"sync"}))
    every: frozenset[Act] = frozenset({"write", "truncate", "sync", "delete"})
    return _Cut(disk, int(chance.integers(1, CHANGES)), every)


@dataclass(slots=True)
class _Client:
    """Captures batches under ids of its own, and those first that were not acknowledged."""

    name: str
    chance: np.random.Generator
    told: set[str] = field(default_factory=set)
    unsure: list[dict[str, object]] = field(default_factory=list)
    sent: int = 0

    def run(self, upwell: Upwell) -> None:
        """Until the power goes, or so many batches are acknowledged."""
        for _ in range(BATCHES):
            self.unsure = self.unsure or self._batch()
            try:
                receipt = upwell.capture(self.unsure)
            except UpwellError:
                return
            if receipt.accepted + receipt.duplicates == len(self.unsure):
                self.told |= {str(row["id"]) for row in self.unsure}
                self.unsure = []

    def _batch(self) -> list[dict[str, object]]:
        """One event or many; random ids spread over all pages of the index."""
        size = 1 if self.chance.random() < 0.5 else int(self.chance.integers(2, 120))
        self.sent += size
        return [
            {"id": f"{self.chance.integers(1 << 30):x}-{self.name}-{n}", "user": self.name,
             "kind": "click", "at": "2026-05-01T10:00:00Z"}
            for n in range(self.sent - size, self.sent)
        ]  # fmt: skip


def _life(
    home: Path, clients: list[_Client], chance: np.random.Generator, seen: CutSeen, weaken: bool
) -> None:
    disk = Disk(home / "data", FILES)
    cut = disk.trouble = _drawn(disk, chance)
    with mounted(disk):
        _until_cut(home, clients, weaken)
    left = disk.left(chance, float(chance.choice(KEPT)))
    put(left, home / "found")
    found = stored(home / "found" / FILES[0])
    lost = 0
    for client in clients:
        lost += len(client.told - found.ids)
        client.told &= found.ids
    seen.cuts += 1
    seen.moments[cut.moment] += 1
    seen.lost += lost
    seen.losing += lost > 0
    seen.damaged += not found.is_whole
    seen.twice += found.twice
    put(left, home / "data")


def _until_cut(home: Path, clients: list[_Client], weaken: bool) -> None:
    try:
        project = open_project(home)
    except UpwellError:
        return
    if weaken:
        _weaken(project)
    upwell = Upwell(project)
    threads = [threading.Thread(target=client.run, args=(upwell,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    project.journal.close()


def _weaken(project: Project) -> None:
    """From now on a commit does not wait for the disk."""

    def normal(connection: Connection, _: object) -> None:
        connection.execute("PRAGMA synchronous = NORMAL").close()

    event.listen(project.journal.engine, "connect", normal)
    project.journal.engine.dispose()

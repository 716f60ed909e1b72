"""SIGKILL to the service at random moments while clients post, and what is stored afterwards."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from time import sleep

import numpy as np

from bench.soaking.server import REFUSALS, Client, Server
from bench.soaking.stored import copied, stored
from upwell.store.project import create_project

CLIENTS, LIVES = 8, 50
SOONEST, LATEST = 0.05, 1.0
"""Seconds from ready to the kill."""


@dataclass(slots=True)
class CrashSeen:
    """What came of all kills: events acknowledged, lost, stored twice; databases ``damaged``.

    ``repeated`` requests had no answer when the kill came and were sent again; ``missing`` events
    were not stored even then. ``ready`` are the seconds of every start, ``work`` those of a
    CPU, ``strange`` the answers that were neither 202 nor a refusal that passes.
    """

    kills: int = 0
    acknowledged: int = 0
    lost: int = 0
    twice: int = 0
    damaged: int = 0
    repeated: int = 0
    missing: int = 0
    strange: int = 0
    ready: list[float] = field(default_factory=list)
    work: list[float] = field(default_factory=list)


def crash(folder: Path, kills: int, seed: int) -> CrashSeen:
    """So many kills; a project lives through ``LIVES`` of them."""
    seen, chance = CrashSeen(), np.random.default_rng(seed)
    while seen.kills < kills:
        home = create_project(folder / f"killed-{seen.kills}", "killed")
        clients = [Client(f"c{n}", chance.spawn(1)[0]) for n in range(CLIENTS)]
        for _ in range(min(LIVES, kills - seen.kills)):
            _killed(home, clients, float(chance.uniform(SOONEST, LATEST)), seen)
        _ended(home, clients, seen)
        rmtree(home)
    return seen


def _killed(home: Path, clients: list[Client], after: float, seen: CrashSeen) -> None:
    server = Server.begun(home)
    threads = [threading.Thread(target=client.run, args=(server.port,)) for client in clients]
    for thread in threads:
        thread.start()
    sleep(after)
    server.kill()
    for thread in threads:
        thread.join()
    seen.kills += 1
    seen.ready.append(server.seconds)
    seen.work.append(server.work)
    _look(home, clients, seen)


def _ended(home: Path, clients: list[Client], seen: CrashSeen) -> None:
    """What the last kill left unsure is sent again; then everything that was sent is stored."""
    server = Server.begun(home)
    for client in clients:
        client.finish(server.port)
    server.kill()
    seen.missing += sum(c.sent for c in clients) - _look(home, clients, seen)
    seen.acknowledged += sum(len(client.told) for client in clients)
    seen.repeated += sum(client.repeated for client in clients)
    answers: Counter[int] = sum((client.answers for client in clients), Counter())
    seen.strange += sum(n for status, n in answers.items() if status not in (202, *REFUSALS))


def _look(home: Path, clients: list[Client], seen: CrashSeen) -> int:
    """Count what is wrong with a copy of the files, so that the service recovers them itself."""
    found = stored(copied(home / "data", home / "copy"))
    seen.lost += sum(len(client.told - found.ids) for client in clients)
    seen.damaged += not found.is_whole
    seen.twice += found.twice
    return len(found.ids)

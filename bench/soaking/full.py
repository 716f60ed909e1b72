"""A service on a small file system that fills up, again and again, until space is freed.

The file system is mounted for a process of its own (``unshare``), and gone when that ends.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter, sleep

import numpy as np

from bench.soaking.server import PATIENCE, REFUSALS, Client, Server
from bench.soaking.stored import copied, stored
from upwell.store.project import create_project

SIZE, CLIENTS = 32, 3
BLOCKS = (1 << 16, 1 << 10)
PHASE = 0.3
"""Seconds that the disk has space, and that it stays full once somebody was told."""
ACCEPTED, DISK_FULL = 202, 507


@dataclass(slots=True)
class FullSeen:
    """What came of it: ``refused`` answers said 507; ``strange`` ones neither 202 nor a refusal.

    ``missing`` events were not stored in the end. ``recovered`` are the seconds from free space to
    the next acknowledgement.
    """

    acknowledged: int = 0
    refused: int = 0
    strange: int = 0
    lost: int = 0
    twice: int = 0
    damaged: int = 0
    missing: int = 0
    recovered: list[float] = field(default_factory=list)


def fill(folder: Path, rounds: int, seed: int) -> FullSeen:
    """Let the disk be full so many times. Raises RuntimeError where none can be mounted."""
    command = ["unshare", "--mount", "--map-root-user", sys.executable, "-m", "bench.soaking.full"]
    ran = subprocess.run(
        [*command, str(folder), str(rounds), str(seed)], capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise RuntimeError(f"no small file system here: {ran.stderr.strip()[-500:]}")
    return FullSeen(**json.loads(ran.stdout))


def main() -> None:
    """Mount, fill and tell; to be run where mounts are private."""
    folder, rounds, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    small = folder / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "none", str(small)], check=True)
    print(json.dumps(asdict(_filled(small, folder, rounds, seed))))


def _filled(small: Path, folder: Path, rounds: int, seed: int) -> FullSeen:
    home, chance = create_project(small / "full", "full"), np.random.default_rng(seed)
    clients = [Client(f"c{n}", chance.spawn(1)[0]) for n in range(CLIENTS)]
    probe, seen = Client("probe", chance), FullSeen()
    server = Server.begun(home)
    threads = [threading.Thread(target=client.run, args=(server.port,)) for client in clients]
    for thread in threads:
        thread.start()
    for _ in range(rounds):
        seen.recovered.append(_round(server.port, probe, small / "ballast"))
    server.kill()
    for thread in threads:
        thread.join()
    _ended(home, folder / "copy", [*clients, probe], seen)
    return seen


def _round(port: int, probe: Client, ballast: Path) -> float:
    """Fill the disk until the probe is refused, then free it; the seconds until it is served.

    A log that has room from an earlier round takes some more before that.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    sleep(PHASE)
    _stuff(ballast)
    while probe.post(connection) == ACCEPTED:
        pass
    sleep(PHASE)
    ballast.unlink()
    began = perf_counter()
    while probe.post(connection) != ACCEPTED:
        pass
    connection.close()
    return perf_counter() - began


def _stuff(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as stream:
        for size in BLOCKS:
            with suppress(OSError):
                while True:
                    stream.write(bytes(size))


def _ended(home: Path, copy: Path, clients: list[Client], seen: FullSeen) -> None:
    """With space again everything that was sent is stored, and nothing twice."""
    server = Server.begun(home)
    for client in clients:
        client.finish(server.port)
    server.kill()
    found = stored(copied(home / "data", copy))
    answers: Counter[int] = sum((client.answers for client in clients), Counter())
    seen.refused = answers.pop(DISK_FULL, 0)
    seen.strange = sum(n for status, n in answers.items() if status not in (ACCEPTED, *REFUSALS))
    seen.acknowledged = sum(len(client.told) for client in clients)
    seen.lost = sum(len(client.told - found.ids) for client in clients)
    seen.missing = sum(client.sent for client in clients) - len(found.ids)
    seen.twice, seen.damaged = found.twice, int(not found.is_whole)


if __name__ == "__main__":
    main()

"""A service while it is under load: what was sent to it, what it holds, how large it grew."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.capturing import bodies
from bench.capturing.load import Sent, Stream
from bench.soaking.server import Server

_PAGE = 4096
_EVERY = 0.1


def send(port: int, *streams: Stream) -> list[Sent]:
    """What became of streams that a process of its own sent at the same time."""
    plan = json.dumps({"port": port, "streams": [asdict(one) for one in streams]})
    command = [sys.executable, "-m", "bench.capturing.load"]
    told = subprocess.run(command, input=plan, stdout=subprocess.PIPE, text=True, check=True)
    return [
        Sent(**{**one, "statuses": Counter({int(k): n for k, n in one["statuses"].items()})})
        for one in json.loads(told.stdout)
    ]


def centile(sent: Sent, share: float) -> float:
    """Milliseconds in which this share of the requests was answered."""
    times = sorted(sent.times)
    return times[min(int(share * len(times)), len(times) - 1)] * 1000 if times else float("inf")


def failed(sent: Sent) -> int:
    """Answers that were not 2xx, and connections that broke."""
    return sum(n for status, n in sent.statuses.items() if status >= 300) + sent.broken


def astray(folder: Path, streams: Sequence[tuple[Stream, int]]) -> int:
    """Events that a journal lacks, has twice or should not have: of streams and their requests."""
    expected = {
        one.name: sum(bodies.size(number, one.size) for number in range(count))
        if one.kind == "events" else count
        for one, count in streams
    }  # fmt: skip
    found, wrong = Counter[str](), 0
    with closing(sqlite3.connect(folder / "data" / "journal.db")) as connection:
        for (name,) in connection.execute("SELECT id FROM events"):
            stream = name.partition("-")[0]
            found[stream] += 1
            wrong += stream not in expected
        wrong += int(connection.execute("SELECT count(*) FROM bad_rows").fetchone()[0])
    return wrong + sum(abs(count - found[name]) for name, count in expected.items())


@dataclass(slots=True)
class Grown:
    """Resident memory of a process in bytes: before and at most."""

    idle: int
    most: int


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """``upwell serve`` on a project, gone in the end."""
    server = Server.begun(folder)
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def watched(pid: int) -> Iterator[Grown]:
    """How large a process grows meanwhile."""
    grown, over = Grown(_resident(pid), 0), threading.Event()

    def look() -> None:
        while not over.wait(_EVERY):
            grown.most = max(grown.most, _resident(pid))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield grown
    finally:
        over.set()
        looking.join()


@contextmanager
def training(folder: Path) -> Iterator[list[int]]:
    """One niced ``upwell turn`` after the other meanwhile; the exit codes of those that ended."""
    ended, over = list[int](), threading.Event()
    running: list[subprocess.Popen[bytes]] = []

    def turn() -> None:
        seed = 1000
        while not over.is_set():
            seed += 1
            command = [sys.executable, "-m", "upwell.interfaces.cli", "turn", "--json"]
            running[:] = [
                subprocess.Popen(
                    ["nice", "-n", "19", *command, "--seed", str(seed), "--project", str(folder)],
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )
            ]  # fmt: skip
            ended.append(running[0].wait())

    turning = threading.Thread(target=turn)
    turning.start()
    try:
        yield ended
    finally:
        over.set()
        for one in running:
            one.terminate()
        turning.join()
        ended.pop()


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE

"""``upwell serve`` as a process of its own, and clients that remember what it acknowledged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from time import perf_counter, sleep

import numpy as np

PATIENCE = 30.0
PAUSE = 0.05
"""Seconds before a refused request is sent again."""
LONGEST = 50
AGAIN = 0.1
"""How often a client sends again what was acknowledged long ago."""
REFUSALS = (429, 503, 507)
Rows = list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Server:
    """A process group that serves; ``seconds`` passed from its start until it was ready.

    For ``work`` of them a CPU was busy with it, which other processes do not change.
    """

    process: subprocess.Popen[str]
    port: int
    seconds: float
    work: float

    @classmethod
    def begun(cls, folder: Path) -> Server:
        """The service of a project on a free port, ready."""
        began = perf_counter()
        command = [sys.executable, "-m", "upwell.interfaces.cli", "serve", "--port", "0", "--json"]
        process = subprocess.Popen(
            [*command, "--project", str(folder)],
            stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        line = process.stdout.readline() if process.stdout else ""
        if '"url"' not in line:
            raise RuntimeError(f"the service did not begin: {line}{process.communicate()[0]}")
        port = int(json.loads(line)["url"].rpartition(":")[2])
        if asked(port, "/health/ready") != 200:
            raise RuntimeError("the service listens and is not ready")
        return cls(process, port, perf_counter() - began, _work(process.pid))

    def kill(self) -> None:
        """SIGKILL to the whole group."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()


def _work(pid: int) -> float:
    """CPU seconds of a process so far."""
    # After the command's name in brackets come its state and ten numbers, then what is asked.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def asked(port: int, path: str) -> int:
    """The status of a question."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


@dataclass(slots=True)
class Client:
    """Posts events, one or many at a time, and remembers what was acknowledged.

    What was not goes first the next time, with the same ids; now and then something old is sent
    again. ``answers`` are counted by status.
    """

    name: str
    chance: np.random.Generator
    told: set[str] = field(default_factory=set)
    unsure: Rows = field(default_factory=list)
    old: Rows = field(default_factory=list)
    answers: Counter[int] = field(default_factory=Counter)
    repeated: int = 0
    sent: int = 0

    def run(self, port: int) -> None:
        """Until the service is gone."""
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            self.repeated += bool(self.unsure)
            while True:
                if self.old and not self.unsure and self.chance.random() < AGAIN:
                    self.unsure = self.old
                self.post(connection)
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()

    def finish(self, port: int) -> None:
        """Send what is unsure until it is acknowledged."""
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.repeated += bool(self.unsure)
        while self.unsure:
            self.post(connection)
        connection.close()

    def post(self, connection: HTTPConnection) -> int:
        """Send what is unsure or else something new; the status of the answer."""
        rows = self.unsure = self.unsure or self._rows()
        body = json.dumps(rows if len(rows) > 1 else rows[0])
        connection.request("POST", "/v1/events", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        self.answers[answer.status] += 1
        if answer.status == 202:
            self.told |= {str(row["id"]) for row in rows}
            self.old = rows if self.chance.random() < AGAIN else self.old
            self.unsure = []
        else:
            sleep(PAUSE)
        return answer.status

    def _rows(self) -> Rows:
        size = 1 if self.chance.random() < 0.5 else int(self.chance.integers(2, LONGEST))
        at = {"at": "2026-05-01T10:00:00Z"} if self.chance.random() < 0.5 else {}
        self.sent += size
        return [
            {"id": f"{self.chance.integers(1 << 30):x}-{self.name}-{n}", "user": f"u{n}",
             "kind": "click", "item": f"i{n % 100}", **at}
            for n in range(self.sent - size, self.sent)
        ]  # fmt: skip

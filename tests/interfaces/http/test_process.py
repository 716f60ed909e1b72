"""A real process: killed while clients post, drained when it is told to stop, slow clients cut."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from upwell.store.project import create_project, open_project

pytestmark = pytest.mark.slow
CLIENTS = 4


def begun(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """A service on a free port, and that port."""
    command = [sys.executable, "-m", "upwell.interfaces.cli", "serve", "--port", "0", "--json"]
    process = subprocess.Popen(
        [*command, "--project", str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    return process, int(told["url"].rpartition(":")[2])


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    process, port = begun(folder)
    try:
        yield process, port
    finally:
        process.kill()
        process.communicate()


def ready(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/health/ready")
    found = connection.getresponse().status == 200
    connection.close()
    return found


def post(connection: HTTPConnection, batch: list[dict[str, str]]) -> int:
    body = json.dumps(batch)
    connection.request("POST", "/v1/events", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


class Client(threading.Thread):
    """Posts until the service is gone; ``acknowledged`` are the ids that it said it has."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__()
        self.port, self.mark = port, name
        self.acknowledged: list[str] = []
        self.last: list[dict[str, str]] = []

    def run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            for number in range(100_000):
                size = 1 + number % 5
                self.last = [
                    {"id": f"{self.mark}-{number}-{n}", "user": self.mark, "kind": "click",
                     "at": "2026-05-01T10:00:00Z"}
                    for n in range(size)
                ]  # fmt: skip
                if post(connection, self.last) == 202:
                    self.acknowledged += [row["id"] for row in self.last]
        except (OSError, HTTPException):
            pass
        finally:
            connection.close()


@pytest.mark.usefixtures("database")
def test_what_was_acknowledged_survives_kills_exactly_once(tmp_path: Path) -> None:
    folder = create_project(tmp_path / "shop", "shop")
    acknowledged: list[str] = []
    unsure: list[dict[str, str]] = []
    for round_ in range(3):
        with serving(folder) as (process, port):
            assert ready(port)
            with closing(HTTPConnection("127.0.0.1", port)) as connection:
                assert post(connection, unsure or [row("a")]) == 202
            clients = [Client(port, f"c{round_}{n}") for n in range(CLIENTS)]
            for client in clients:
                client.start()
            until = time.monotonic() + 20
            while sum(len(c.acknowledged) for c in clients) < 60 and time.monotonic() < until:
                time.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            for client in clients:
                client.join()
            acknowledged += [named for client in clients for named in client.acknowledged]
            # Sent again with the same ids: each counts once, whether it was stored or not.
            unsure = [one for client in clients for one in client.last]
    journal = open_project(folder).journal
    stored = journal.events_after(0, 1_000_000)["id"].to_pylist()
    journal.close()
    assert len(acknowledged) >= 180
    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))


def row(id: str) -> dict[str, str]:
    return {"id": id, "user": "u", "kind": "click"}


def test_it_is_ready_again_within_five_seconds_of_a_kill(tmp_path: Path) -> None:
    folder = create_project(tmp_path / "shop", "shop")
    with serving(folder) as (_, port), closing(HTTPConnection("127.0.0.1", port)) as connection:
        assert post(connection, [row(str(n)) for n in range(5_000)]) == 202
    began = time.monotonic()
    with serving(folder) as (_, port):
        assert ready(port)
        seconds = time.monotonic() - began
    assert seconds <= 5.0


def test_what_was_begun_is_ended_and_the_exit_is_clean(tmp_path: Path) -> None:
    folder = create_project(tmp_path / "shop", "shop")
    with serving(folder) as (process, port):
        body = json.dumps(row("1")).encode()
        slow = socket.create_connection(("127.0.0.1", port), timeout=20)
        head = f"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        slow.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body[:9])
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        slow.sendall(body[9:])
        assert slow.recv(4096).startswith(b"HTTP/1.1 202")
        assert process.wait(20) == 0
        slow.close()
    assert len(open_project(folder).journal.events_after(0, 10)) == 1


def test_slow_and_endless_requests_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPWELL_HTTP__REQUEST_SECONDS", "1")
    monkeypatch.setenv("UPWELL_HTTP__CONNECTIONS", "5")
    folder = create_project(tmp_path / "shop", "shop")
    with serving(folder) as (_, port), ExitStack() as stack:

        def opened() -> socket.socket:
            made = socket.create_connection(("127.0.0.1", port), timeout=20)
            return stack.enter_context(made)

        silent, trickling, body = opened(), opened(), opened()
        trickling.sendall(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nX-A: ")
        body.sendall(b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n"
                     b"Content-Type: application/json\r\n\r\n{")  # fmt: skip
        for one in (silent, trickling, body):
            assert one.recv(4096).startswith(b"HTTP/1.1 408")
            one.close()
        endless = opened()
        endless.sendall(b"GET / HTTP/1.1\r\nX-A: " + b"a" * 70_000)
        assert endless.recv(4096).startswith(b"HTTP/1.1 431")
        endless.close()
        time.sleep(0.2)
        held = [opened() for _ in range(6)]
        assert held[-1].recv(4096).startswith(b"HTTP/1.1 503")

"""A service that remembers what it was sent, and can be told to fail."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR
from threading import Thread
from typing import Any

import pytest


class Service(ThreadingHTTPServer):
    """``statuses`` are given out one a request, then 200; what was taken with 200 is ``events``."""

    daemon_threads = True

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.events: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            raw = gzip.decompress(raw)
        body = json.loads(raw)
        service = self.server
        service.requests.append((self.path, dict(self.headers), body))
        status = service.statuses.pop(0) if service.statuses else 200
        if status == 0:
            self.close_connection = True
            self.connection.shutdown(SHUT_RDWR)
            return
        if status == 200 and self.path == "/v1/events":
            service.events += body["batch"]
        answer = {
            "prediction": "p-1", "model": "m-1", "propensity": 0.9,
            "answers": [{"output": "card", "score": 0.8, "reason": "likely"}],
        }  # fmt: skip
        told = answer if status == 200 else {"error": {"code": "http.x", "message": "no"}}
        content = json.dumps(told).encode()
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", "0.05")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def service() -> Iterator[Service]:
    found = Service()
    thread = Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()

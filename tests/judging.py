"""A judge behind a real socket, which decodes what it is sent and says what a test wants."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, TypeAlias

Data: TypeAlias = "dict[str, Any]"
Says: TypeAlias = "Callable[[Data], Any]"


def better(word: str) -> str:
    """A verdict as the schema wants it."""
    return json.dumps({"better": word})


def longer(data: Data) -> str:
    """The longer reply, whatever anything else says."""
    first, second = len(data["first"]), len(data["second"])
    return better("tie" if first == second else "first" if first > second else "second")


class Judge(ThreadingHTTPServer):
    """Says as its message's content what ``says`` makes of the data; ``asked`` are the bodies.

    What names ``refuses`` is a bad request.
    """

    daemon_threads = True

    def __init__(self, says: Says) -> None:
        self.says, self.status = says, 200
        self.refuses = ""
        self.asked = list[dict[str, Any]]()
        self.headers = list[dict[str, str]]()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """Its address, as settings want it."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def shown(self) -> list[Data]:
        """The data of each request."""
        return [json.loads(one["messages"][1]["content"]) for one in self.asked]


class _Handler(BaseHTTPRequestHandler):
    server: Judge

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.headers.append(dict(self.headers))
        self.send_response(400 if self.server.refuses in body else self.server.status)
        self.end_headers()
        message = {"content": self.server.says(json.loads(body["messages"][1]["content"]))}
        self.wfile.write(json.dumps({"model": "j", "choices": [{"message": message}]}).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def judging(says: Says) -> Iterator[Judge]:
    """A judge that listens."""
    found = Judge(says)
    thread = Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.shutdown()
        found.server_close()
        thread.join()

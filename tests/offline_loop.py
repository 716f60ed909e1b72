"""A whole loop through real commands, for a machine (or a namespace) without a network.

    python -m tests.offline_loop FOLDER

It exits with 0 where each command did, and prints what the network is like from here.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path

_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1
ELSEWHERE = ("192.0.2.1", 80)
"""An address that is reserved for documentation: nobody has it."""
WORDS = (
    "river",
    "harbour",
    "engine",
    "garden",
    "violin",
    "copper",
)
UPWELL = (sys.executable, "-m", "upwell.interfaces.cli")


def main() -> None:
    """Go round the loop once, with a user's own settings."""
    folder = Path(sys.argv[1])
    _raise_loopback()
    print(json.dumps({"reached": _reached(ELSEWHERE)}), flush=True)
    shop, file = str(folder / "shop"), folder / "events.csv"
    file.write_text("".join(events()), encoding="utf-8")
    _run("init", shop)
    _run("import", str(file), "-p", shop, "--consent", "serve,analyse,train")
    _run("turn", "-p", shop)
    _serve(shop)
    _run("report", "-p", shop)
    _run("status", "-p", shop)


def events() -> list[str]:
    """Lines of a file: facts about items, and what ten users rated."""
    lines = ["id,user,kind,item,value,at,payload\n"]
    lines += [
        f'f{n},,item,i{n},,2024-12-01T00:00:00Z,"{{""title"": ""{word} song""}}"\n'
        for n, word in enumerate(WORDS)
    ]
    lines += [
        f"r{user}-{n},u{user},rating,i{(user * 5 + n * n) % len(WORDS)},{4 + n % 2},"
        f"2025-{1 + user:02d}-{2 + 5 * n:02d}T09:00:00Z,\n"
        for user in range(10)
        for n in range(5)
    ]
    return lines


def _run(*arguments: str) -> None:
    subprocess.run([*UPWELL, *arguments, "--json"], check=True, stdout=subprocess.DEVNULL)


def _serve(shop: str) -> None:
    """Serve, send an event, ask for an answer to it, and stop."""
    process = subprocess.Popen(
        [*UPWELL, "serve", "--port", "0", "-p", shop, "--json"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        port = int(json.loads(process.stdout.readline())["url"].rpartition(":")[2])
        _posted(port, "/v1/events", {"id": "new", "user": "u1", "kind": "click", "item": "i3"})
        answer = _posted(port, "/v1/predict/recommend", {"user": "u1", "k": 3})
        assert _list(answer["answers"])
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


def _posted(port: int, path: str, sent: dict[str, object]) -> dict[str, object]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, json.dumps(sent), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    found: dict[str, object] = json.loads(answer.read())
    connection.close()
    assert answer.status in (200, 202), found
    return found


def _list(value: object) -> Sequence[object]:
    assert isinstance(value, list)
    return value


def _raise_loopback() -> None:
    """A new namespace has no interface that is up, not even its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        asked = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(made, _GET_FLAGS, asked))[1]
        if not flags & _UP:
            fcntl.ioctl(made, _SET_FLAGS, struct.pack("16sh", b"lo", flags | _UP))


def _reached(address: tuple[str, int]) -> str:
    """How an attempt to reach an address ends."""
    try:
        socket.create_connection(address, timeout=3).close()
    except OSError as error:
        return os.strerror(error.errno) if error.errno else type(error).__name__
    return "reached"


if __name__ == "__main__":
    main()

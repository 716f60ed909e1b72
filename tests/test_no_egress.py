"""Nothing calls home: a whole loop without a network, and one in which any connection is caught."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.offline_loop import ELSEWHERE

from upwell.interfaces.cli.main import run
from upwell.interfaces.http.app import application
from upwell.interfaces.http.desk import Desk
from upwell.service import Upwell
from upwell.store.project import open_project

ROOT = Path(__file__).parents[1]
CALLS = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo",
         "socket.gethostbyname", "socket.gethostbyaddr")  # fmt: skip
_caught: list[str] = []
_watching: list[bool] = []


def _note(name: str, arguments: tuple[Any, ...]) -> None:
    if not _watching or name not in CALLS:
        return
    first, *others = arguments
    address = others[0] if isinstance(first, socket.socket) else first
    if is_elsewhere(address[0] if isinstance(address, tuple) else address):
        _caught.append(f"{name} {address}")
        raise OSError("the network is not for tests")


def is_elsewhere(host: object) -> bool:
    """Whether a host is not this machine. A name without an address is a socket in a folder."""
    if host in (None, "", "localhost") or (isinstance(host, str) and host.startswith("/")):
        return False
    try:
        return not ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return True


@contextmanager
def watched() -> Iterator[list[str]]:
    """What would have left the machine. A hook cannot be taken away, so it is told when to look."""
    sys.addaudithook(_note)
    _caught.clear()
    _watching.append(True)
    try:
        yield _caught
    finally:
        _watching.clear()


def test_the_watch_is_not_blind() -> None:
    with watched() as caught:
        with socket.socket() as made, pytest.raises(OSError, match="not for tests"):
            made.connect(ELSEWHERE)
        with pytest.raises(OSError, match="not for tests"):
            socket.getaddrinfo("pypi.org", 443)
        with socket.create_server(("127.0.0.1", 0)) as here:
            socket.create_connection(here.getsockname(), timeout=1).close()
    assert [call.split()[0] for call in caught] == ["socket.connect", "socket.getaddrinfo"]


def loans(path: Path) -> Path:
    rows = [f"{20 + n},{'smith' if n % 3 else 'baker'},{'high' if n % 2 else 'low'}\n"
            for n in range(80)]  # fmt: skip
    path.write_text("age,job,risk\n" + "".join(rows), encoding="utf-8")
    return path


def test_no_part_of_a_loop_reaches_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "UPWELL_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    shop, file = tmp_path / "shop", loans(tmp_path / "loans.csv")
    place = ("-p", str(shop))
    commands: list[tuple[str, ...]] = [
        ("init", str(shop), "--task", "tabular"),
        ("import", str(file), "--map", "input=*,target=risk", *place),
        ("turn", *place),
        ("predict", '{"age": 30, "job": "smith"}', *place),
        ("report", *place),
        ("status", *place),
    ]
    with watched() as caught:
        for command in commands:
            assert run([*command, "--json"]) == 0, command
        upwell = Upwell(open_project(shop))
        desk = Desk.of(upwell)
        with TestClient(
            application(desk), "http://127.0.0.1:8000", client=("127.0.0.1", 5000)
        ) as api:
            sent = {"id": "1", "user": "ann", "kind": "click", "item": "i1"}
            assert api.post("/v1/events", json=sent).status_code == 202
            asked = {"user": "ann", "input": {"age": 44, "job": "baker"}}
            assert api.post("/v1/predict/classify", json=asked).status_code == 200
            said = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
            assert api.post("/v1/chat/completions", json=said).status_code == 404
            texts = {"model": "minilm", "input": "hi"}
            assert api.post("/v1/embeddings", json=texts).status_code in (200, 404)
        upwell.project.journal.close()
    assert caught == []
    assert "champion" in capsys.readouterr().out


@pytest.mark.slow
def test_a_whole_loop_needs_no_network(tmp_path: Path) -> None:
    """In a namespace of its own, without a network, with a user's default settings."""
    alone = ("unshare", "--map-root-user", "--net")
    if shutil.which(alone[0]) is None or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("this machine lets nobody make a network namespace")
    offline = {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "UPWELL_OFFLINE"}
    environment = {name: value for name, value in os.environ.items() if name not in offline}
    done = subprocess.run(
        [*alone, sys.executable, "-m", "tests.offline_loop", str(tmp_path)],
        capture_output=True, text=True, check=False, cwd=ROOT, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[0]) == {"reached": "Network is unreachable"}

"""Paths in every parameter: nothing outside the project and the interpreter is ever opened."""

from __future__ import annotations

import json
import os
import sys
import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient
from tests.interfaces.http.conftest import Serve, event

from upwell.interfaces.http.routes import specs
from upwell.service import Upwell

pytestmark = pytest.mark.slow
CANARY = "canary-outside"
ZONES = zoneinfo.TZPATH
_opened: list[str] = []
_watching: list[bool] = []


def _note(name: str, arguments: tuple[Any, ...]) -> None:
    if _watching and name in ("open", "os.listdir", "os.scandir", "os.remove", "os.rename",
                              "os.mkdir", "os.link", "os.symlink", "shutil.copyfile",
                              "sqlite3.connect", "subprocess.Popen"):  # fmt: skip
        named = arguments[0]
        # Numbers are what is open already. A path counts as where it leads, not as it is written.
        if not isinstance(named, int):
            _opened.append(os.path.normpath(Path.cwd() / os.fsdecode(named)))


@contextmanager
def watched() -> Iterator[list[str]]:
    """What is opened meanwhile. A hook cannot be taken away, so it is told when to note."""
    sys.addaudithook(_note)
    _opened.clear()
    _watching.append(True)
    try:
        yield _opened
    finally:
        _watching.clear()


def payloads(outside: Path) -> list[str]:
    """Three hundred ways to name a file elsewhere."""
    targets = [str(outside), "/etc/passwd", "etc/passwd", "windows/win.ini", "proc/self/environ"]
    steps = ["../", "..\\", "%2e%2e/", "%2e%2e%2f", "%252e%252e%252f", "..%2f", "..%5c", "....//",
             "..;/", "%c0%ae%c0%ae/", "%uff0e%uff0e/", "\u2024\u2024/", "\uff0e\uff0e/",
             "..%00/", "./.././../"]  # fmt: skip
    made = [step * deep + target.lstrip("/")
            for step in steps for deep in (1, 3, 8) for target in targets]  # fmt: skip
    whole = [f"{head}{target}{tail}" for target in targets for head in ("", "file://", "//host/",
             "\\\\host\\share\\", "~/", "zip://", "$(cat ", "|cat ", "`cat ")
             for tail in ("", "\x00.png", "%00", "/.")]  # fmt: skip
    found = list(dict.fromkeys([*made, *whole]))
    return found[:300]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / CANARY
    path.write_text("secret", encoding="utf-8")
    return path


def fields() -> dict[str, list[str]]:
    """The fields of the rows that each route takes."""
    found = {}
    for spec in specs():
        if spec.body is None:
            continue
        body: Any = spec.body["anyOf"][0] if "anyOf" in spec.body else spec.body
        found[f"{spec.method} {spec.path}"] = list(body.get("items", body)["properties"])
    return found


GOOD: dict[str, dict[str, Any]] = {
    "POST /v1/events": event("1"),
    "POST /v1/feedback": {"inference_id": "a", "metric_name": "t", "value": 1},
    "POST /v1/predict/{task}": {"user": "ann", "input": "x"},
    "POST /v1/consents": {"user": "ann", "purposes": []},
    "POST /v1/chat/completions": {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    "POST /v1/embeddings": {"model": "m", "input": "x"},
    "POST /v1/batch": {"type": "track", "event": "e", "messageId": "1"},
}
ALONE = ("POST /v1/feedback", "POST /v1/predict/{task}", "POST /v1/consents",
         "POST /v1/chat/completions", "POST /v1/embeddings")  # fmt: skip
"""Routes that take one row at a time."""
GORSE = {"FeedbackType": "a", "UserId": "a", "ItemId": "a"}
JSON = {"content-type": "application/json"}


def together(api: TestClient, tried: list[str]) -> Iterator[Any]:
    """Every field of the routes that take many rows, with all payloads at once."""
    for route, names in fields().items():
        method, path = route.split()
        if route in ALONE:
            continue
        good = GOOD.get(route) or {name: one for name, one in GORSE.items() if name in names}
        for name in [*names, "messageId", "properties"] if path == "/v1/batch" else names:
            rows = [{**good, name: payload} for payload in tried]
            sent = {"batch": rows} if path == "/v1/batch" else rows
            yield api.request(method, path, content=json.dumps(sent).encode(), headers=JSON)


def alone(api: TestClient, payload: str) -> Iterator[Any]:
    """Every other parameter of every route with one payload."""
    named = quote(payload, safe="%")
    for path in (f"/v1/predict/{named}", f"/api/recommend/{named}", f"/{named}",
                 f"/v1/models/{named}"):  # fmt: skip
        yield api.post(path, json={"user": payload}) if "predict" in path else api.get(path)
    for name in ("n", "offset", "write-back-type", "write-back-delay"):
        yield api.get("/api/recommend/ann", params={name: payload})
    for route in ALONE:
        for name in fields()[route]:
            body = json.dumps({**GOOD[route], name: payload}).encode()
            path = route.split()[1].replace("{task}", "recommend")
            yield api.post(path, content=body, headers=JSON)
    plain = "".join(letter for letter in payload if 32 < ord(letter) < 127)
    for name in ("x-api-key", "accept-language", "content-type", "content-encoding"):
        yield api.post("/v1/events", json=event("1"), headers={name: plain})


def test_no_parameter_reaches_the_file_system(serve: Serve, upwell: Upwell, outside: Path) -> None:
    mine, api = str(upwell.project.folder), serve(user_per_second=1e6, key_per_second=1e6)
    tried = payloads(outside)
    assert len(tried) >= 300
    api.post("/v1/events", json=event("warm"))
    api.get("/api/recommend/ann")
    api.get("/v1/models")
    with watched() as opened:
        statuses = [answer.status_code for payload in tried for answer in alone(api, payload)]
        statuses += [answer.status_code for answer in together(api, tried)]
    assert len(statuses) > 8_000
    assert not [status for status in statuses if status >= 500]
    known = (mine, sys.prefix, sys.base_prefix, *ZONES)
    assert not [path for path in set(opened) if not path.startswith(known)]
    assert not [path for path in opened if CANARY in path]

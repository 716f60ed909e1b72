"""What is not answered over OpenAI's API is told in its shape, and never as a row that was kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.interfaces.http.conftest import HERE, LOCAL

from upwell.interfaces.http.app import application
from upwell.interfaces.http.desk import Desk
from upwell.service import Upwell
from upwell.store.project import create_project, open_project
from upwell.wiring import encoding

CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
JSON = {"content-type": "application/json"}


@pytest.fixture
def baseless(tmp_path: Path) -> Iterator[Upwell]:
    """A chat project whose base is not where it should be."""
    chosen = {"project": {"task": "chat"}, "tune": {"base": str(tmp_path / "nowhere")}}
    found = Upwell(open_project(create_project(tmp_path / "desk", "desk", chosen)))
    yield found
    found.project.journal.close()


@pytest.fixture
def api(baseless: Upwell) -> Iterator[TestClient]:
    with TestClient(application(Desk.of(baseless)), HERE, client=LOCAL) as found:
        yield found


def error(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["error"]
    assert set(found) == {"message", "type", "param", "code"}
    return found


@pytest.mark.parametrize("path", [CHAT, EMBEDDINGS])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{no", "no JSON"),
        (b'{"model": "\xff"}', "no UTF-8"),
        (b'{"a": ' + b"[" * 200 + b"]" * 200 + b"}", "nested"),
        (b'{"temperature": NaN}', "'temperature' holds 'NaN'"),
        (b'{"model": "x", "model": "y"}', "twice"),
    ],
    ids=lambda one: str(one)[:12],
)
def test_a_body_that_cannot_be_read_is_kept_nowhere_and_said_to_be(
    api: TestClient, baseless: Upwell, path: str, content: bytes, problem: str
) -> None:
    found = api.post(path, content=content, headers=JSON)
    assert (found.status_code, error(found)["code"]) == (400, "openai.unreadable")
    assert error(found)["type"] == "invalid_request_error"
    assert problem in error(found)["message"]
    assert "Nothing was answered and nothing was recorded." in error(found)["message"]
    assert not any(word in error(found)["message"] for word in ("bad rows", "same id"))
    assert not any(baseless.project.journal.counts().values())
    chinese = api.post(path, content=content, headers={**JSON, "accept-language": "zh"})
    assert "没有作答，也没有记录。" in error(chinese)["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/responses"),
        ("POST", "/v1/completions"),
        ("GET", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
    ],
)
def test_what_is_not_offered_names_what_is(api: TestClient, method: str, path: str) -> None:
    found = api.request(method, path, headers=JSON)
    assert (found.status_code, error(found)["code"]) == (404, "openai.no_route")
    assert "Use /v1/chat/completions." in error(found)["message"]
    chinese = api.request(method, path, headers={"accept-language": "zh"})
    assert CHAT in error(chinese)["message"]
    assert set(api.post("/v1/respond").json()["error"]) == {"code", "message", "now", "next"}


def test_names_are_listed_without_a_base_that_cannot_be_loaded(
    api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "missing", lambda: None)
    listed = api.get("/v1/models")
    assert listed.status_code == 200
    assert [one["id"] for one in listed.json()["data"]] == [encoding.NAME]
    assert api.get(f"/v1/models/{encoding.NAME}").status_code == 200
    sent = {"model": "desk", "messages": [{"role": "user", "content": "hello"}]}
    asked = api.post(CHAT, json=sent)
    assert (asked.status_code, error(asked)["code"]) == (409, "chat.no_base")
    assert "nowhere" in error(asked)["message"]
    predicted = api.post("/v1/predict/chat", json={"user": "ann", "input": "hello"})
    assert predicted.status_code == 409
    assert predicted.json()["error"]["code"] == "chat.no_base"


def test_the_log_says_why_the_base_cannot_be_loaded(
    baseless: Upwell, caplog: pytest.LogCaptureFixture
) -> None:
    until = time.monotonic() + 20
    with (
        caplog.at_level(logging.ERROR, "upwell.http"),
        TestClient(application(Desk.of(baseless)), HERE, client=LOCAL),
    ):
        while not caplog.records and time.monotonic() < until:
            time.sleep(0.02)
    (line,) = [record for record in caplog.records if record.name == "upwell.http"]
    assert "[chat.no_base]" in line.getMessage()
    assert "nowhere" in line.getMessage()
    assert line.exc_info is None

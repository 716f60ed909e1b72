"""Another server behind the service: asked as it is set, told apart, and never trusted."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests import talking
from tests.interfaces.http.conftest import HERE, LOCAL
from tests.talking import Talker, add, answers

from upwell.errors import SettingsError, StageError
from upwell.interfaces.http.app import application
from upwell.interfaces.http.desk import Desk
from upwell.service import Upwell
from upwell.settings import ServeSettings
from upwell.store.project import create_project
from upwell.wiring.upstream import Upstream

CHAT, VARIABLE, KEY = "/v1/chat/completions", "TEST_UPSTREAM_KEY", "sk-far-away"
GOOD: dict[str, Any] = {
    "model": "far-1", "messages": [{"role": "user", "content": "hi"}], "user": "ann",
    "temperature": 0.5, "metadata": {"secret": "mine"},
}  # fmt: skip
WHOLE = {
    "id": "x", "model": "far-1-2026", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
    ], "usage": {"prompt_tokens": 3, "completion_tokens": 1},
}  # fmt: skip


def part(text: str, end: str | None = None) -> str:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": end}
    return f"data: {json.dumps({'model': 'far-1-2026', 'choices': [choice]})}\n\n"


class Far(ThreadingHTTPServer):
    """Answers with ``status``, ``headers`` and ``body``; a float in the body is a pause."""

    daemon_threads = True

    def __init__(self) -> None:
        self.status, self.headers = 200, dict[str, str]()
        self.body: list[str | float] = [json.dumps(WHOLE)]
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Far

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), body))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        for one in self.server.body:
            if isinstance(one, float):
                time.sleep(one)
            else:
                self.wfile.write(one.encode())
                self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> Iterator[Far]:
    monkeypatch.setenv(VARIABLE, KEY)
    found = Far()
    thread = Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


@pytest.fixture
def relay(far: Far, tmp_path: Path, task: Talker) -> Iterator[Upwell]:
    chosen = {"upstream": far.url, "upstream_key_env": VARIABLE, "upstream_seconds": 0.5}
    found = talking.opened(tmp_path / "relay", serve=chosen)
    yield found
    found.project.journal.close()


@pytest.fixture
def talk(relay: Upwell) -> Iterator[TestClient]:
    with TestClient(application(Desk.of(relay)), HERE, client=LOCAL) as found:
        yield found


def test_what_it_answers_is_given_and_recorded(talk: TestClient, relay: Upwell, far: Far) -> None:
    found = talk.post(CHAT, json=GOOD).json()
    assert found["choices"][0]["message"]["content"] == "hello"
    assert (found["model"], found["upwell"]["variant"]) == ("far-1-2026", "upstream")
    assert found["usage"]["total_tokens"] == 4
    path, headers, body = far.asked[0]
    assert (path, headers["Authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    # Neither who asks nor what is kept beside the answer leaves this machine.
    assert body == {name: GOOD[name] for name in ("model", "messages", "temperature")}
    (row,) = answers(relay)
    assert (row["id"], row["model"], row["policy"]) == (found["id"], "far-1-2026", "upstream")
    assert row["output"]["answers"] == ["hello"]
    assert "scores" not in row["output"]
    sent = {"inference_id": found["id"], "metric_name": "demonstration", "value": "Hello, Ann"}
    assert talk.post("/v1/feedback", json=sent).status_code == 202


def test_a_stream_is_passed_on(talk: TestClient, relay: Upwell, far: Far) -> None:
    used = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    far.body = [": still here\n\n", part("hel"), part("lo"), part("", "length"),
                f"data: {json.dumps(used)}\n\n", "data: [DONE]\n\n"]  # fmt: skip
    sent = {**GOOD, "stream": True, "stream_options": {"include_usage": True}}
    lines = talk.post(CHAT, json=sent).text.split("\n\n")
    assert lines[-2] == "data: [DONE]"
    parts = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    texts = [choice["delta"].get("content", "") for one in parts for choice in one["choices"]]
    assert texts == ["", "hel", "lo", ""]
    assert parts[-1]["usage"]["total_tokens"] == 5
    assert parts[-2]["choices"][0]["finish_reason"] == "length"
    (row,) = answers(relay)
    assert (row["output"]["answers"], row["output"]["end"]) == (["hello"], "length")


def test_the_projects_own_models_answer_their_names(
    talk: TestClient, relay: Upwell, far: Far
) -> None:
    assert talk.post(CHAT, json={**GOOD, "model": "shop"}).status_code == 409
    add(relay, "talker-0")
    for name in ("shop", "shop@champion", "talker-0"):
        found = talk.post(CHAT, json={**GOOD, "model": name}).json()
        assert found["model"] == "talker-0"
    assert far.asked == []


TROUBLE: dict[str, tuple[int, dict[str, str], list[str | float], int, str]] = {
    "busy": (429, {"Retry-After": "7"}, ["{}"], 429, "rate_limit_exceeded"),
    "busy without a time": (429, {"Retry-After": "soon\tish"}, [""], 429, "rate_limit_exceeded"),
    "wrong": (400, {}, ['{"error": {"message": "too hot"}}'], 400, "upstream.refused"),
    "wrong and silent about it": (422, {}, ["<html>"], 400, "upstream.refused"),
    "no such model": (404, {}, ['{"error": "no far-1"}'], 404, "model_not_found"),
    "bad key": (401, {}, [f'{{"error": {{"message": "bad {KEY}"}}}}'], 502, "upstream.failed"),
    "broken": (500, {}, ["oops"], 502, "upstream.failed"),
    "overloaded": (503, {}, [""], 502, "upstream.failed"),
    "redirect": (302, {"Location": "http://127.0.0.1:1/"}, [""], 502, "upstream.failed"),
    "HTML": (200, {}, ["<html>"], 502, "upstream.garbage"),
    "nothing": (200, {}, [""], 502, "upstream.garbage"),
    "a list": (200, {}, ["[]"], 502, "upstream.garbage"),
    "no choices": (200, {}, ['{"choices": []}'], 502, "upstream.garbage"),
    "choices of another kind": (200, {}, ['{"choices": 7}'], 502, "upstream.garbage"),
    "no text": (200, {}, ['{"choices": [{"message": {"content": 7}}]}'], 502,
                "upstream.garbage"),
    "half a character": (200, {}, ['{"choices": [{"message": {"content": "\\ud800"}}]}'], 502,
                         "upstream.garbage"),
    "NUL": (200, {}, ['{"choices": [{"message": {"content": "\\u0000"}}]}'], 502,
            "upstream.garbage"),
    "a model that is no name": (200, {}, ['{"model": [], "choices": []}'], 502,
                                "upstream.garbage"),
    "a model of another kind": (200, {}, ['{"model": {"a": 1}, "choices": []}'], 502,
                                "upstream.garbage"),
    "nested": (200, {}, ["[" * 100_000], 502, "upstream.garbage"),
    "bytes": (200, {}, ["\x00\x01"], 502, "upstream.garbage"),
    "cut off": (200, {"Content-Length": "1000"}, ['{"cho'], 502, "upstream.garbage"),
    "endless": (200, {}, ["x" * 9_000_000], 502, "upstream.garbage"),
    "silent": (200, {}, [1.5], 504, "upstream.late"),
}  # fmt: skip


@pytest.mark.parametrize("kind", TROUBLE)
@pytest.mark.parametrize("stream", [False, True])
def test_trouble_is_told_apart(
    talk: TestClient, relay: Upwell, far: Far, kind: str, stream: bool
) -> None:
    far.status, far.headers, far.body, status, code = TROUBLE[kind]
    found = talk.post(CHAT, json={**GOOD, "stream": stream})
    error = found.json()["error"]
    assert (found.status_code, error["code"]) == (status, code)
    assert set(error) == {"message", "type", "param", "code"}
    assert KEY not in found.text
    assert answers(relay) == []
    assert len(far.asked) == 1
    if status == 429:
        assert found.headers["retry-after"] == ("7" if kind == "busy" else "1")
    if kind == "wrong":
        assert "too hot" in error["message"]


def test_what_is_null_is_nothing(talk: TestClient, relay: Upwell, far: Far) -> None:
    unknown = {"prompt_tokens": None, "completion_tokens": None}
    message = {"role": "assistant", "content": None}
    told = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": unknown}
    far.body = [json.dumps({"model": "far-1", **told})]
    assert talk.post(CHAT, json=GOOD).json()["choices"][0]["message"]["content"] == ""
    choice = {"delta": {"content": "hi"}, "finish_reason": "stop"}
    far.body = [f"data: {json.dumps({'model': 'far-1', 'choices': [choice], 'usage': unknown})}\n"]
    assert "[DONE]" in talk.post(CHAT, json={**GOOD, "stream": True}).text
    rows = answers(relay)
    assert [row["output"]["answers"] for row in rows] == [[""], ["hi"]]
    assert rows[1]["output"]["tokens"] == {"prompt": 0, "completion": 1}


@pytest.mark.parametrize("ping", [": ping\n\n", ":"])
def test_a_stream_that_is_only_kept_open_has_an_end(far: Far, ping: str) -> None:
    settings = ServeSettings(upstream=far.url, upstream_seconds=0.5, reply_seconds=0.6)
    pings: list[str | float] = [0.1, ping]
    far.body = [part("one "), *pings * 50]
    pieces = Upstream.of(settings).talk({"model": "far-1"}, True)[1]
    assert next(pieces).text == "one "
    began = time.monotonic()
    with pytest.raises(StageError) as caught:
        next(pieces)
    assert (caught.value.code, caught.value.details["seconds"]) == ("upstream.late", 0.6)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("rest", "code"),
    [([], "upstream.garbage"), (["data: {no\n\n"], "upstream.garbage"),
     (['data: {"error": {"message": "x"}}\n\n'], "upstream.failed"), ([1.5], "upstream.late"),
     (["data: " + "x" * 2_000_000], "upstream.garbage")],
)  # fmt: skip
def test_a_stream_that_breaks_off_is_recorded_as_cut(
    talk: TestClient, relay: Upwell, far: Far, rest: list[str | float], code: str
) -> None:
    far.body = [part("one "), part("two "), *rest]
    found = talk.post(CHAT, json={**GOOD, "stream": True})
    assert found.status_code == 200
    last = [line for line in found.text.split("\n\n") if line][-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == code
    assert "[DONE]" not in found.text
    (row,) = answers(relay)
    assert (row["output"]["answers"], row["output"]["cut"]) == (["one two "], True)


def test_nobody_there_and_no_key(
    talk: TestClient, relay: Upwell, far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("", "two\nlines", "schlüssel"):
        monkeypatch.setenv(VARIABLE, value)
        found = talk.post(CHAT, json=GOOD)
        assert (found.status_code, found.json()["error"]["code"]) == (500, "upstream.no_key")
        assert VARIABLE in found.json()["error"]["message"]
    monkeypatch.setenv(VARIABLE, KEY)
    far.shutdown()
    far.server_close()
    found = talk.post(CHAT, json=GOOD)
    assert (found.status_code, found.json()["error"]["code"]) == (502, "upstream.unreachable")
    assert "127.0.0.1" in found.json()["error"]["message"]


def test_a_redirect_takes_the_key_nowhere(talk: TestClient, far: Far) -> None:
    elsewhere = socket.create_server(("127.0.0.1", 0))
    elsewhere.settimeout(0.2)
    port = elsewhere.getsockname()[1]
    for status in (301, 302, 303, 307, 308):
        far.status, far.headers = status, {"Location": f"http://127.0.0.1:{port}/v1"}
        assert talk.post(CHAT, json=GOOD).status_code == 502
    with pytest.raises(TimeoutError):
        elsewhere.accept()
    elsewhere.close()


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "host/v1", "http://", "https://key@host/v1", "http://h/v1?k=1",
            "http://h /v1"],
)  # fmt: skip
def test_an_address_that_cannot_be_meant_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        create_project(tmp_path / "odd", "odd", {"serve": {"upstream": url}})
    assert caught.value.details["key"] == "serve.upstream"

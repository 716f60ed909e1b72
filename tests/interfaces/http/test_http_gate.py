"""Who may ask what: every route against every kind of key, and no key."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient
from tests.interfaces.http.conftest import Serve, desk_of, error, event

from upwell.interfaces.http import gate
from upwell.interfaces.http.app import application
from upwell.interfaces.http.desk import Desk, Spec
from upwell.interfaces.http.gate import OPEN
from upwell.interfaces.http.routes import specs
from upwell.service import Upwell
from upwell.store.access import ADMIN, CAPTURE, PUBLISHABLE, RANDOM_BYTES, READ, WRITE, Access
from upwell.store.project import create_project, open_project

OPENS = {
    OPEN: {"none", PUBLISHABLE, READ, WRITE, ADMIN, "revoked", "expired", "wrong", "elsewhere"},
    CAPTURE: {PUBLISHABLE, WRITE, ADMIN},
    WRITE: {WRITE, ADMIN},
    READ: {READ, ADMIN},
    ADMIN: {ADMIN},
}
CLASSES = {
    "POST /v1/events": CAPTURE, "POST /v1/batch": CAPTURE, "POST /v1/feedback": CAPTURE,
    "POST /v1/predict/{task}": READ, "POST /v1/consents": WRITE,
    "POST /v1/traces": WRITE, "POST /v1/logs": WRITE,
    "POST /v1/chat/completions": READ, "POST /v1/embeddings": READ,
    "GET /v1/models": READ, "GET /v1/models/{model:path}": READ,
    "POST /api/feedback": CAPTURE, "PUT /api/feedback": CAPTURE,
    "GET /api/recommend/{user:path}": READ,
    "POST /api/user": WRITE, "POST /api/users": WRITE,
    "POST /api/item": WRITE, "POST /api/items": WRITE,
    "GET /api/user/{user:path}": READ, "PATCH /api/user/{user:path}": WRITE,
    "GET /api/item/{item:path}": READ, "PATCH /api/item/{item:path}": WRITE,
    "DELETE /api/item/{item:path}": WRITE,
    "GET /v1/users/{user:path}": ADMIN, "DELETE /v1/users/{user:path}": ADMIN,
    "DELETE /api/user/{user:path}": ADMIN, "GET /v1/erasures/{id}": ADMIN,
    "GET /health/live": OPEN, "GET /health/ready": OPEN,
    "GET /api/health/live": OPEN, "GET /api/health/ready": OPEN,
    "GET /metrics": READ, "GET /openapi.json": OPEN, "GET /docs": OPEN,
    "GET /upwell.js": OPEN,
}  # fmt: skip
"""What each route must need. A route that is not listed here fails."""
SHAPES = {"upwell": {"code", "message", "now", "next"},
          "otlp": {"code", "message", "now", "next"},
          "openai": {"message", "type", "param", "code"}}  # fmt: skip
AWAY = ("203.0.113.9", 4000)
Key = Callable[..., str]


def path_of(spec: Spec) -> str:
    named = {"{task}": "recommend", "{user:path}": "ann", "{item:path}": "i1", "{id}": "1",
             "{model:path}": "shop"}  # fmt: skip
    path = spec.path
    for name, value in named.items():
        path = path.replace(name, value)
    return path


def test_every_route_is_classified(upwell: Upwell) -> None:
    app = application(Desk.of(upwell))
    found = {f"{spec.method} {spec.path}": spec.need for spec in specs()}
    assert found == CLASSES
    routed = {
        f"{method} {route.path}"
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routed == set(CLASSES)


@pytest.fixture
def keys(upwell: Upwell, key: Key, tmp_path: Path) -> dict[str, str]:
    """A key of each scope, and keys that open nothing: ended, wrong, or of another project."""
    made = {scope: key(scope) for scope in (PUBLISHABLE, READ, WRITE, ADMIN)}
    made |= {"expired": key(ADMIN, days=-1), "revoked": key(ADMIN), "wrong": key(ADMIN)}
    made["wrong"] = made["wrong"][:-1] + ("A" if made["wrong"][-1] != "A" else "B")
    access = Access(upwell.project.journal)
    public = made["revoked"].split("-")[1]
    access.end(public, access.named(public).since)
    other = open_project(create_project(tmp_path / "elsewhere", "elsewhere"))
    now, drawn = datetime.now(UTC), secrets.token_bytes(RANDOM_BYTES)
    made["elsewhere"] = Access(other.journal).create("ops", [ADMIN], now, None, drawn)[0]
    other.journal.close()
    return made


def test_every_key_opens_what_it_should_and_nothing_else(
    serve: Serve, keys: dict[str, str]
) -> None:
    api = serve(client=AWAY, url="http://shop.example")
    for spec in specs():
        for who in ("none", *keys):
            headers = {"authorization": f"Bearer {keys[who]}"} if who != "none" else {}
            answer = api.request(spec.method, path_of(spec), headers=headers)
            refused = answer.status_code in (401, 403)
            place = f"{who}: {spec.method} {spec.path} → {answer.status_code}"
            assert refused is (who not in OPENS[spec.need]), place
            if refused:
                is_known = who in (PUBLISHABLE, READ, WRITE, ADMIN)
                assert answer.status_code == (403 if is_known else 401), place
                assert set(error(answer)) == SHAPES[spec.speaks]


def test_this_machine_needs_no_key_unless_something_stands_between(serve: Serve) -> None:
    here = serve()
    assert here.get("/metrics").status_code == 200
    for name in ("localhost:8000", "127.0.0.1", "[::1]:8000", "LOCALHOST"):
        assert here.get("/metrics", headers={"host": name}).status_code == 200
    for headers in (
        {"host": "rebound.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": ""},
        {"host": "[::1"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"x-forwarded-for": "127.0.0.1"},
        {"forwarded": "for=127.0.0.1"},
        {"via": "1.1 proxy"},
        {"authorization": "Bearer up-wrong"},
        {"authorization": "Digest x"},
        {"authorization": "Basic !"},
        {"x-api-key": "up-wrong"},
    ):
        assert here.get("/metrics", headers=headers).status_code == 401, headers
    assert here.get("/metrics", headers={"origin": "http://localhost:3000"}).status_code == 200
    # Some clients do not speak without a key: here, any but a wrong one of ours is as good as none.
    for headers in ({}, {"authorization": "Bearer sk-other"}, {"x-api-key": "none"}):
        assert here.get("/metrics", headers=headers).status_code == 200
        assert serve(client=AWAY).get("/metrics", headers=headers).status_code == 401
        assert serve(keys="always").get("/metrics", headers=headers).status_code == 401


def test_a_revoked_key_opens_nothing_after_a_moment(
    serve: Serve, upwell: Upwell, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, text, access = serve(keys="always"), key(READ), Access(upwell.project.journal)
    now = 100.0
    monkeypatch.setattr(gate, "monotonic", lambda: now)
    headers = {"x-api-key": text}
    assert api.get("/metrics", headers=headers).status_code == 200
    public = text.split("-")[1]
    access.end(public, access.named(public).since)
    now += gate.REMEMBERED_SECONDS
    assert api.get("/metrics", headers=headers).status_code == 401


def test_keys_come_as_bearer_basic_and_header(serve: Serve, key: Key) -> None:
    api, text = serve(client=AWAY), key(WRITE)
    basic = base64.b64encode(f"{text}:".encode()).decode()
    for headers in ({"authorization": f"Bearer {text}"}, {"authorization": f"Basic {basic}"},
                    {"x-api-key": text}):  # fmt: skip
        answer = api.post("/v1/events", json=event("1"), headers=headers)
        assert answer.status_code == 202


def test_pages_of_other_sites_may_send_and_never_read(serve: Serve, key: Key) -> None:
    api = serve(client=AWAY, origins=["https://shop.example"])
    good, bad = {"origin": "https://shop.example"}, {"origin": "https://evil.example"}
    asked = {"access-control-request-method": "POST",
             "access-control-request-headers": "authorization, content-type"}  # fmt: skip
    answer = api.options("/v1/events", headers={**good, **asked})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    assert answer.headers["access-control-allow-headers"] == "authorization, content-type"
    refused = api.options("/v1/events", headers={**bad, **asked})
    assert "access-control-allow-origin" not in refused.headers
    sent = {**good, "authorization": f"Bearer {key(PUBLISHABLE)}"}
    answer = api.post("/v1/events", json=event("1"), headers=sent)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    reading = {**good, "authorization": f"Bearer {key(READ)}"}
    assert "access-control-allow-origin" not in api.get("/metrics", headers=reading).headers
    assert api.options("/metrics", headers={**good, **asked}).status_code == 405


def test_no_answer_and_no_log_holds_a_key(
    serve: Serve, upwell: Upwell, key: Key, caplog: pytest.LogCaptureFixture
) -> None:
    api, text = serve(client=AWAY), key(READ)
    said = []
    for spec in specs():
        answer = api.request(spec.method, path_of(spec), headers={"x-api-key": text})
        said.append(answer.text + json.dumps(dict(answer.headers)))
    secret = text.rsplit("-", 1)[1]
    assert not any(secret in one for one in [*said, caplog.text])
    folder = upwell.project.folder
    assert not [path for path in folder.rglob("*") if path.is_file()
                and secret.encode() in path.read_bytes()]  # fmt: skip


def test_the_description_names_every_route_and_its_scopes(api: TestClient) -> None:
    found: dict[str, Any] = api.get("/openapi.json").json()
    told = {
        f"{method.upper()} {path}": operation["x-scopes"]
        for path, operations in found["paths"].items()
        for method, operation in operations.items()
    }
    assert set(told) == {name.replace(":path", "") for name in CLASSES}
    assert told["POST /v1/events"] == [PUBLISHABLE, WRITE, ADMIN]
    given = {
        path: set(found["paths"][path][method]["responses"]["200"]["content"])
        for path, method in (("/v1/chat/completions", "post"), ("/v1/users/{user}", "get"),
                             ("/metrics", "get"), ("/api/item/{item}", "delete"))
    }  # fmt: skip
    assert given == {
        "/v1/chat/completions": {"application/json", "text/event-stream"},
        "/v1/users/{user}": {"application/zip"}, "/metrics": {"text/plain"},
        "/api/item/{item}": {"application/json"},
    }  # fmt: skip
    page = api.get("/docs", headers={"accept-language": "zh"})
    assert '<html lang="zh">' in page.text
    assert "<script" not in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert all(spec.method in page.text for spec in desk_of(api).specs)

"""A service in this process, asked from this machine."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from upwell.interfaces.http.app import application
from upwell.interfaces.http.desk import Desk
from upwell.service import Upwell
from upwell.settings import HttpSettings
from upwell.store.access import RANDOM_BYTES, Access
from upwell.store.project import create_project, open_project

LOCAL, HERE = ("127.0.0.1", 5000), "http://127.0.0.1:8000"
Serve = Callable[..., TestClient]


@pytest.fixture
def upwell(tmp_path: Path) -> Iterator[Upwell]:
    """An empty project in service."""
    upwell = Upwell(open_project(create_project(tmp_path / "shop", "shop")))
    yield upwell
    upwell.project.journal.close()


@pytest.fixture
def serve(upwell: Upwell) -> Iterator[Serve]:
    """Begins a service with the settings given; ``client`` and ``url`` say who asks what."""
    begun: list[TestClient] = []

    def begin(client: tuple[str, int] = LOCAL, url: str = HERE, **chosen: Any) -> TestClient:
        desk = Desk.of(upwell, HttpSettings.model_validate(chosen))
        asking = TestClient(application(desk), url, client=client)
        asking.app_state["desk"] = desk
        begun.append(asking)
        asking.__enter__()
        return asking

    yield begin
    for asking in begun:
        asking.__exit__()


@pytest.fixture
def api(serve: Serve) -> TestClient:
    return serve()


@pytest.fixture
def key(upwell: Upwell) -> Callable[..., str]:
    """Makes a key with these scopes, which ends ``days`` from now."""
    access = Access(upwell.project.journal)

    def make(*scopes: str, days: float | None = None) -> str:
        now = datetime.now(UTC)
        until = None if days is None else now + timedelta(days=days)
        return access.create("key", scopes, now, until, secrets.token_bytes(RANDOM_BYTES))[0]

    return make


def desk_of(api: TestClient) -> Desk:
    found = api.app_state["desk"]
    assert isinstance(found, Desk)
    return found


def event(id: object, **others: object) -> dict[str, object]:
    return {"id": id, "user": "ann", "kind": "click", "item": "i1",
            "at": "2026-05-01T10:00:00Z", **others}  # fmt: skip


def stored(upwell: Upwell) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = upwell.project.journal.events_after(0, 100_000).to_pylist()
    return found


def codes(upwell: Upwell) -> list[str]:
    """Of the bad rows, oldest first."""
    found: Sequence[str] = upwell.project.journal.bad_rows(100_000)["code"].to_pylist()
    return list(reversed(found))


def error(answer: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = answer.json()["error"]
    return found

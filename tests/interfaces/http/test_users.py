"""A user's own data over HTTP: taken along, and forgotten with a receipt."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote
from zipfile import ZipFile

import pytest
from starlette.testclient import TestClient
from tests.interfaces.http.conftest import Serve, event, stored

from upwell.interfaces.http import app
from upwell.service import Upwell
from upwell.store.receipts import is_genuine

SLASHED = "a/../b@shop.example"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> TestClient:
    monkeypatch.setattr(app, "_ERASE_SECONDS", 0.02)
    return serve()


def state(api: TestClient, where: str) -> dict[str, Any]:
    """The receipt at ``where`` once the erasure is done."""
    for _ in range(500):
        told: dict[str, Any] = api.get(where).json()
        if told["receipt"]["state"] == "done":
            break
        time.sleep(0.02)
    return told


def test_a_user_is_forgotten_and_the_receipt_says_so(quick: TestClient, upwell: Upwell) -> None:
    rows = [event(1), event(2, user=SLASHED), event(3, user=SLASHED)]
    assert quick.post("/v1/events", json=rows).status_code == 202
    answer = quick.delete(f"/v1/users/{quote(SLASHED, safe='')}")
    assert answer.status_code == 202
    assert [row["id"] for row in stored(upwell)] == ["1"]
    told = state(quick, answer.headers["location"])
    assert told["receipt"]["removed"]["events"] == 2
    assert told["receipt"]["state"] == "done"
    assert is_genuine(told, told["public_key"])
    assert quick.delete(f"/v1/users/{quote(SLASHED, safe='')}").json()["receipt"] == told["receipt"]
    late = quick.post("/v1/events", json=event(2, user=SLASHED))
    assert (late.status_code, late.json()["error"]["code"]) == (410, "event.erased")
    mixed = quick.post("/v1/events", json=[event(2, user=SLASHED), event(4)])
    assert (mixed.status_code, mixed.json()["accepted"]) == (207, 1)


def test_who_is_unknown_is_not_found(api: TestClient) -> None:
    for ask, path in (
        (api.delete, "/v1/users/nobody"), (api.get, "/v1/users/nobody"),
        (api.delete, "/api/user/nobody"), (api.get, "/v1/erasures/none"),
    ):  # fmt: skip
        assert ask(path).status_code == 404, path


def test_gorse_shape(quick: TestClient, upwell: Upwell) -> None:
    quick.post("/v1/events", json=[event(1), event(2, user="bob")])
    assert quick.delete("/api/user/bob").json() == {"RowAffected": 1}
    assert [row["user"] for row in stored(upwell)] == ["ann"]


def test_a_user_takes_their_data_along(api: TestClient, upwell: Upwell) -> None:
    api.post("/v1/events", json=[event(1, payload={"note": "mine"}), event(2, user="bob")])
    answer = api.get("/v1/users/ann")
    assert answer.headers["content-type"] == "application/zip"
    with ZipFile(io.BytesIO(answer.content)) as archive:
        lines = archive.read("events.jsonl").decode().splitlines()
        assert [json.loads(line)["payload"] for line in lines] == [{"note": "mine"}]


def test_only_an_admin_may(serve: Serve, key: Callable[..., str]) -> None:
    api = serve(client=("10.0.0.7", 5000), url="https://shop.example")
    for scope, status in (("write", 403), ("read", 403), ("admin", 404)):
        named = {"Authorization": f"Bearer {key(scope)}"}
        assert api.delete("/v1/users/ann", headers=named).status_code == status
        assert api.get("/v1/users/ann", headers=named).status_code == status

"""Two projects served by one process: nothing of either is ever seen in the other."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet as pq
from starlette.testclient import TestClient

from upwell import loop
from upwell.interfaces.http.app import application
from upwell.interfaces.http.desk import Desk
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.settings import HttpSettings
from upwell.store.access import ADMIN, RANDOM_BYTES, Access
from upwell.store.project import create_project, open_project

DAY = datetime(2026, 1, 1, tzinfo=UTC)
CANARIES = ("kanarie-blue", "kanarie-gold")
USERS, ITEMS, CREW = 12, 8, 8
Asking = tuple[str, str, object]


@dataclass
class Tenant:
    """One project behind its own key, and all that it ever answered."""

    canary: str
    folder: Path
    api: TestClient
    key: str
    said: list[str] = field(default_factory=list)

    def ask(self, method: str, path: str, sent: object, key: str = "") -> int:
        headers = {"authorization": f"Bearer {key or self.key}", "accept-language": "en"}
        answer = self.api.request(method, path, json=sent, headers=headers)
        self.said.append(f"{answer.status_code} {dict(answer.headers)} {answer.text}")
        return answer.status_code


def opened(folder: Path, canary: str) -> Upwell:
    """A project with one turn behind it; all that it holds bears its canary."""
    small: Mapping[str, Mapping[str, object]] = {
        "tune": {"base": "", "epochs": 1}, "gate": {"resamples": 50},
        "split": {"test_share": 0.2, "validation_share": 0.1},
    }  # fmt: skip
    upwell = Upwell(open_project(create_project(folder, "tenant", small)))
    users, rng = [f"{canary}-user{n}" for n in range(USERS)], np.random.default_rng(1)
    facts = [
        {"id": f"fact{n}", "kind": "item", "item": f"{canary}-item{n}", "at": DAY,
         "payload": {"title": f"{canary} film {n}"}}
        for n in range(ITEMS)
    ]  # fmt: skip
    acts = [
        {"id": f"{canary}-{user}-{n}", "user": user, "kind": "rating", "value": 5.0,
         "item": f"{canary}-item{rng.integers(ITEMS)}", "at": DAY + timedelta(hours=n),
         "payload": {"said": f"{canary} says so"}}
        for user in users for n in range(6)
    ]  # fmt: skip
    upwell.capture([*facts, *sorted(acts, key=lambda act: str(act["at"]))], now=DAY)
    upwell.consent(users, PURPOSES, since=DAY)
    loop.turn(upwell.project, now=DAY + timedelta(days=2))
    return upwell


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Tenant]]:
    found, folder = [], tmp_path_factory.mktemp("tenants")
    with ExitStack() as stack:
        for canary in CANARIES:
            upwell = opened(folder / canary[-4:], canary)
            drawn = secrets.token_bytes(RANDOM_BYTES)
            access = Access(upwell.project.journal)
            key = access.create("ops", [ADMIN], datetime.now(UTC), None, drawn)[0]
            limits = HttpSettings(keys="always", user_per_second=1e6, key_per_second=1e6)
            api = TestClient(application(Desk.of(upwell, limits)), "http://shop.example")
            found.append(Tenant(canary, upwell.project.folder, stack.enter_context(api), key))
            stack.callback(upwell.project.journal.close)
        yield found


def asking(canary: str, n: int, rng: np.random.Generator) -> Asking:
    """One request of many kinds, good and bad, full of the canary."""
    user, item = f"{canary}-user{rng.integers(2 * USERS)}", f"{canary}-item{rng.integers(ITEMS)}"
    event: dict[str, Any] = {"id": f"{canary}{n}", "user": user, "kind": "click", "item": item}
    bad = {**event, "at": f"{canary} o'clock"}
    feedback = {"FeedbackType": "read", "UserId": user, "ItemId": item, "Comment": canary}
    said = {"inference_id": f"{canary}-p", "metric_name": "thumbs", "value": True, "id": str(n)}
    call = {"type": "track", "event": canary, "messageId": f"{canary}{n}", "userId": user}
    choices: list[Asking] = [
        ("POST", "/v1/events", event),
        ("POST", "/v1/events", {"batch": [event, bad]}),
        ("POST", "/v1/events", bad),
        ("POST", "/v1/batch", {"batch": [call]}),
        ("POST", "/v1/feedback", said),
        ("POST", "/v1/consents", {"user": user, "purposes": ["serve"]}),
        ("POST", "/v1/predict/recommend", {"user": user, "k": 4}),
        ("POST", "/v1/predict/classify", {"user": user, "input": canary}),
        ("GET", f"/api/recommend/{user}?n=3", None),
        ("POST", "/api/feedback", [feedback]),
        ("GET", f"/api/user/{user}", None),
        ("PATCH", f"/api/user/{user}", {"Labels": {"tag": canary}}),
        ("GET", f"/api/item/{item}", None),
        ("PATCH", f"/api/item/{item}", {"Comment": f"{canary} film"}),
        ("GET", f"/{canary}", None),
        ("GET", "/metrics", None),
        ("GET", "/health/ready", None),
        ("GET", "/openapi.json", None),
    ]
    return choices[rng.integers(len(choices))]


@pytest.mark.parametrize("requests", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_canary_of_one_is_ever_seen_in_the_other(
    tenants: list[Tenant], requests: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "upwell")
    rng = np.random.default_rng(7)
    jobs = [(n % 2, asking(tenants[n % 2].canary, n, rng)) for n in range(requests)]
    with ThreadPoolExecutor(CREW) as crew:
        statuses = list(crew.map(lambda job: tenants[job[0]].ask(*job[1]), jobs))
    assert set(statuses) <= {200, 202, 207, 400, 404}
    for one, other in (tenants, reversed(tenants)):
        seen = "\n".join(one.said)
        assert one.canary in seen, "a tenant sees its own, so the test is not blind"
        assert other.canary not in seen
        assert other.canary not in one.api.get("/metrics", headers=bearer(one)).text
        assert not held(one.folder, other.canary.encode())
        assert held(one.folder, one.canary.encode())
    assert not [canary for canary in CANARIES if canary in caplog.text]


def test_a_key_of_one_opens_nothing_of_the_other(tenants: list[Tenant]) -> None:
    rng = np.random.default_rng(3)
    one, other = tenants
    one.said.clear()
    jobs = [asking(one.canary, n, rng) for n in range(150)]
    closed = [job for job in jobs if "health" not in job[1] and "openapi" not in job[1]]
    closed = [job for job in closed if job[1] != f"/{one.canary}"]
    before = json.dumps(counts(one.folder))
    assert {one.ask(*job, key=other.key) for job in closed} == {401}
    assert json.dumps(counts(one.folder)) == before
    assert not any(one.canary in answer for answer in one.said)


def bearer(tenant: Tenant) -> dict[str, str]:
    return {"authorization": f"Bearer {tenant.key}"}


def held(folder: Path, canary: bytes) -> list[Path]:
    """The files that hold the canary; Parquet is unpacked."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if canary in content(path)]


def content(path: Path) -> bytes:
    if path.suffix == ".parquet":
        return repr(pq.read_table(path).to_pylist()).encode()
    return path.read_bytes()


def counts(folder: Path) -> Mapping[str, int]:
    project = open_project(folder)
    try:
        return project.journal.counts()
    finally:
        project.journal.close()

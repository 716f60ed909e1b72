"""A NUL, which SQLite keeps in a text and PostgreSQL does not: both say the same of it."""

from __future__ import annotations

import json
import re

import pytest
from starlette.testclient import TestClient
from tests.interfaces.http.conftest import codes, error, event, stored

from upwell.interfaces.http.routes import specs
from upwell.service import Upwell

pytestmark = pytest.mark.usefixtures("database")
ODD = "a\x00b"


def test_in_a_payload_it_is_kept_as_it_is(api: TestClient, upwell: Upwell) -> None:
    payload = {"text": ODD, ODD: [ODD]}
    assert api.post("/v1/events", json=event("1", payload=payload)).json()["accepted"] == 1
    assert api.post("/v1/events", json=event("1", payload=payload)).json()["duplicates"] == 1
    assert json.loads(stored(upwell)[0]["payload"]) == payload
    other = api.post("/v1/events", json=event("1", payload={"text": ODD + ODD}))
    assert (other.status_code, codes(upwell)) == (409, ["event.conflict"])


@pytest.mark.parametrize("at", [{"at": "2026-05-01T10:00:00Z"}, {"at": None}])
def test_in_an_id_it_is_refused_and_its_neighbours_are_kept(
    api: TestClient, upwell: Upwell, at: dict[str, str]
) -> None:
    odd = [event("x", **{name: ODD}, **at) for name in ("user", "item", "prediction")]
    batch = [event("1", **at), event(ODD, **at), *odd, event("2", **at)]
    told = api.post("/v1/events", json=batch).json()
    assert told["accepted"] == 2
    assert [one["index"] for one in told["refused"]] == [1, 2, 3, 4]
    assert {one["code"] for one in told["refused"]} == {"record.bad_id"}
    assert [row["id"] for row in stored(upwell)] == ["1", "2"]
    assert codes(upwell) == ["record.bad_id"] * 4


def test_in_what_is_no_json_it_is_kept_to_be_seen(api: TestClient, upwell: Upwell) -> None:
    lines = b'{"id": "a\x00b"}\n' + json.dumps(event("1")).encode()
    told = api.post("/v1/events", content=lines, headers={"content-type": "application/x-ndjson"})
    assert told.json()["accepted"] == 1
    assert upwell.project.journal.bad_rows(1)["raw"].to_pylist() == ['{"id": "a\\0b"}']


def test_in_feedback_and_consents_it_is_refused(api: TestClient, upwell: Upwell) -> None:
    said = {"inference_id": ODD, "metric_name": "thumbs", "value": True}
    asked = {"user": ODD, "purposes": []}
    for path, body in (("/v1/feedback", said), ("/v1/consents", asked)):
        answer = api.post(path, json=body)
        assert (answer.status_code, error(answer)["code"]) == (400, "record.bad_id")
    assert upwell.project.journal.counts()["consents"] == 0


def test_in_a_path_it_is_refused(api: TestClient) -> None:
    tried = [spec for spec in specs() if "{" in spec.path]
    assert len(tried) >= 2
    for spec in tried:
        path = re.sub(r"{[^}]*}", "a%00b", spec.path)
        answer = api.request(spec.method, path, json={} if spec.body else None)
        assert (answer.status_code, error(answer)["code"]) == (400, "record.bad_id"), path

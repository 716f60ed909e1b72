"""Capture: what is acknowledged is stored once, and every row is accounted for."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient
from tests.interfaces.http.conftest import codes, error, event, stored

from upwell.service import Upwell

pytestmark = pytest.mark.usefixtures("database")
LINES = {"content-type": "application/x-ndjson"}


def ids(upwell: Upwell) -> list[str]:
    return [row["id"] for row in stored(upwell)]


def test_an_event_is_stored_once_however_often_it_is_sent(api: TestClient, upwell: Upwell) -> None:
    answers = [api.post("/v1/events", json=event("1")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert [answer.json()["accepted"] for answer in answers] == [1, 0, 0]
    assert [answer.json()["duplicates"] for answer in answers] == [0, 1, 1]
    assert ids(upwell) == ["1"]


def test_the_same_id_with_another_body_is_a_conflict(api: TestClient, upwell: Upwell) -> None:
    api.post("/v1/events", json=event("1"))
    answer = api.post("/v1/events", json=event("1", item="i2"))
    assert (answer.status_code, error(answer)["code"]) == (409, "event.conflict")
    assert [row["item"] for row in stored(upwell)] == ["i1"]
    assert codes(upwell) == ["event.conflict"]


def test_a_retry_that_leaves_the_time_open_is_no_conflict(api: TestClient, upwell: Upwell) -> None:
    sent = {"id": "1", "user": "ann", "kind": "click"}
    assert api.post("/v1/events", json=sent).json()["accepted"] == 1
    assert api.post("/v1/events", json=sent).json()["duplicates"] == 1
    assert api.post("/v1/events", json={**sent, "user": "bob"}).status_code == 409
    assert len(stored(upwell)) == 1


def test_each_row_of_a_batch_has_its_own_fate(api: TestClient, upwell: Upwell) -> None:
    api.post("/v1/events", json=event("known"))
    rows: list[Any] = [
        event("new"), event("known"), event("known", item="i9"), event("", kind="click"),
        event("k", kind="No Name"), 7, event("last"), {**event("x"), "itme": "i1"},
    ]  # fmt: skip
    answer = api.post("/v1/events", json={"batch": rows})
    told = answer.json()
    assert answer.status_code == 207
    assert (told["accepted"], told["duplicates"]) == (2, 1)
    assert {one["index"]: (one["code"], one["field"]) for one in told["refused"]} == {
        2: ("event.conflict", "id"),
        3: ("record.missing", "id"),
        4: ("record.bad_name", "kind"),
        5: ("collect.not_a_row", ""),
        7: ("collect.unknown_column", "itme"),
    }
    assert ids(upwell) == ["known", "new", "last"]
    assert len(codes(upwell)) == 5


def test_lists_lines_and_compressed_bodies_are_batches_too(api: TestClient, upwell: Upwell) -> None:
    text = json.dumps([event("1"), event("2")])
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    assert api.post("/v1/events", content=text, headers={"content-type": "application/json"}
                    ).json()["accepted"] == 2  # fmt: skip
    assert api.post("/v1/events", content=gzip.compress(text.encode()), headers=packed
                    ).json()["duplicates"] == 2  # fmt: skip
    lines = b"\n".join([json.dumps(event("3")).encode(), b"{no", b"", b"\xff\xfe", b'{"id": "4"}'])
    told = api.post("/v1/events", content=lines, headers=LINES).json()
    assert told["accepted"] == 1
    assert [one["code"] for one in told["refused"]] == [
        "http.not_json", "http.not_utf8", "record.missing",
    ]  # fmt: skip
    assert ids(upwell) == ["1", "2", "3"]


def test_cloudevents_come_alone_in_batches_and_in_headers(api: TestClient, upwell: Upwell) -> None:
    envelope = {
        "specversion": "1.0", "id": "1", "source": "https://shop.example/web",
        "type": "example.shop.purchase", "subject": "ann", "time": "2026-05-01T10:00:00Z",
        "data": {"item": "i1", "value": 9.5, "colour": "red"},
    }  # fmt: skip
    one = {"content-type": "application/cloudevents+json"}
    many = {"content-type": "application/cloudevents-batch+json"}
    assert api.post("/v1/events", content=json.dumps(envelope), headers=one).status_code == 202
    batch = [envelope, {**envelope, "id": "2"}, {**envelope, "specversion": "2"}]
    told = api.post("/v1/events", content=json.dumps(batch), headers=many).json()
    assert (told["accepted"], told["duplicates"]) == (1, 1)
    assert told["refused"][0]["code"] == "http.specversion"
    named = ("specversion", "id", "source", "type", "subject", "time")
    headers = {f"ce-{name}": str({**envelope, "id": "3"}[name]) for name in named}
    assert api.post("/v1/events", json=envelope["data"], headers=headers).status_code == 202
    first, *others = stored(upwell)
    assert [row["id"] for row in (first, *others)] == ["1", "2", "3"]
    assert (first["kind"], first["user"], first["item"], first["value"]) == (
        "purchase", "ann", "i1", 9.5,
    )  # fmt: skip
    assert json.loads(first["payload"]) == {"colour": "red"}
    assert len({row["source"] for row in (first, *others)}) == 1


def test_segment_libraries_can_send_what_they_send(api: TestClient, upwell: Upwell) -> None:
    calls = [
        {"type": "track", "event": "Product Clicked", "userId": "ann", "messageId": "m1",
         "timestamp": "2026-05-01T10:00:00.000Z", "properties": {"product_id": "i1", "value": 3}},
        {"type": "identify", "anonymousId": "x", "messageId": "m2", "traits": {"plan": "pro"}},
        {"type": "page", "name": "Home", "userId": "ann", "messageId": "m3"},
        {"type": "track", "event": "No id", "userId": "ann"},
    ]  # fmt: skip
    sent = {"batch": calls, "sentAt": "2026-05-01T10:00:01.000Z"}
    answer = api.post("/v1/batch", json=sent)
    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert answer.json()["refused"][0]["field"] == "messageId"
    assert api.post("/v1/batch", json=sent).json()["duplicates"] == 3
    rows = {row["id"]: row for row in stored(upwell)}
    assert [(row["kind"], row["user"]) for row in rows.values()] == [
        ("product_clicked", "ann"), ("user", "x"), ("page", "ann"),
    ]  # fmt: skip
    assert (rows["m1"]["item"], rows["m1"]["value"]) == ("i1", 3.0)


def test_headers_of_cloudevents_are_decoded(api: TestClient, upwell: Upwell) -> None:
    headers = {"ce-specversion": "1.0", "ce-id": "a%20b", "ce-source": "app", "ce-type": "x.click",
               "ce-subject": "%E5%BC%A0%E4%B8%89%20100%25"}  # fmt: skip
    assert api.post("/v1/events", json={"item": "i1"}, headers=headers).status_code == 202
    (row,) = stored(upwell)
    assert (row["id"], row["user"], row["item"]) == ("a b", "张三 100%", "i1")


def test_every_call_of_segment_keeps_what_it_says(api: TestClient, upwell: Upwell) -> None:
    calls: list[dict[str, object]] = [
        {"type": "page", "name": "Home", "category": "Shop", "properties": {"url": "/"}},
        {"type": "screen", "name": "Cart"},
        {"type": "group", "groupId": "g1", "traits": {"plan": "team", "group": "kept"}},
        {"type": "alias", "previousId": "anonymous-7"},
    ]
    batch = [{**call, "messageId": str(n), "userId": "ann"} for n, call in enumerate(calls)]
    answer = api.post("/v1/batch", json={"batch": batch, "context": {}, "integrations": {}})
    assert (answer.status_code, answer.json()["accepted"]) == (200, 4)
    assert [(row["kind"], json.loads(row["payload"])) for row in stored(upwell)] == [
        ("page", {"name": "Home", "category": "Shop", "url": "/"}),
        ("screen", {"name": "Cart"}),
        ("group", {"plan": "team", "group": "kept", "group_id": "g1"}),
        ("alias", {"previous_id": "anonymous-7"}),
    ]


def test_a_body_that_cannot_be_read_is_refused_and_kept(api: TestClient, upwell: Upwell) -> None:
    for content in (b'[{"id": "1"', b"\xff{}", b"nothing", b"[" * 100_000):
        answer = api.post(
            "/v1/events", content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 400, content[:9]
    assert codes(upwell) == ["http.not_json", "http.not_utf8", "http.not_json", "http.too_deep"]


def test_one_row_that_is_too_deep_does_not_take_its_neighbours_along(
    api: TestClient, upwell: Upwell
) -> None:
    deep = '{"id": "deep", "payload": ' + '{"a":' * 20_000 + "1" + "}" * 20_001
    text = f"[{json.dumps(event('1'))}, {deep}, {json.dumps(event('2'))}]"
    for sent in (text, f'{{"batch": {text}}}'):
        told = api.post(
            "/v1/events", content=sent, headers={"content-type": "application/json"}
        ).json()
        assert [one["code"] for one in told["refused"]] == ["http.too_deep"]
        assert told["refused"][0]["index"] == 1
    assert ids(upwell) == ["1", "2"]


def test_reasons_speak_the_language_that_was_asked_for(api: TestClient) -> None:
    row = {"batch": [event("1", at="yesterday")]}
    english = api.post("/v1/events", json=row).json()["refused"][0]["message"]
    chinese = api.post("/v1/events", json=row, headers={"accept-language": "zh-CN"}).json()
    assert english == "'at' is not a time: 'yesterday'."
    assert "yesterday" in chinese["refused"][0]["message"]
    assert chinese["refused"][0]["message"] != english
    wrong = api.post("/v1/nothing", headers={"accept-language": "zh"})
    assert error(wrong)["message"].startswith("“/v1/nothing”")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=12,
)
NAMES = ("id", "user", "kind", "at", "item", "value", "prediction", "payload", "source", "other")
ROWS = st.lists(JSON | st.dictionaries(st.sampled_from(NAMES), JSON), min_size=1, max_size=8)


@settings(max_examples=80, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(rows=ROWS)
def test_whatever_rows_hold_each_is_in_one_count(api: TestClient, rows: list[Any]) -> None:
    text = json.dumps({"batch": rows}).encode()
    answer = api.post("/v1/events", content=text, headers={"content-type": "application/json"})
    told = answer.json()
    assert answer.status_code in (202, 207), told
    assert told["accepted"] + told["duplicates"] + len(told["refused"]) == len(rows)


def test_every_promised_metric_is_told(api: TestClient) -> None:
    good, wrong = event("1"), event("2", kind="No Name")
    api.post("/v1/events", json=[good, good, wrong])
    api.post("/v1/predict/recommend", json={"user": "ann"})
    lines = api.get("/metrics").text.splitlines()
    for line in (
        'upwell_events_total{outcome="accepted"} 1',
        'upwell_events_total{outcome="duplicate"} 1',
        'upwell_events_total{outcome="refused"} 1',
        'upwell_bad_rows_total{code="record.bad_name"} 1',
        "upwell_ingest_ack_seconds_count 1",
        "upwell_inference_overhead_seconds_count 0",
        "upwell_turn_state 0",
    ):
        assert line in lines, line

"""OTLP over HTTP: answers given elsewhere are kept, evaluations are feedback, nothing is lost."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from starlette.testclient import TestClient
from tests.interfaces.http.conftest import HERE, LOCAL, codes, error, stored
from tests.talking import AT as TOLD
from tests.talking import answers
from tests.traced import RESULT, chat, judged, logs, parts, span, spans

from upwell import wiring
from upwell.interfaces.http.app import application
from upwell.interfaces.http.desk import Desk
from upwell.interfaces.http.shapes.otlp import PROTOBUF
from upwell.loop import quiet
from upwell.service import Upwell
from upwell.settings import HttpSettings
from upwell.store.project import create_project, open_project
from upwell.tables import canonical_json

GOOD = {"gen_ai.evaluation.score.value": 1.0}
HTTP = {"traceId": "7a", "spanId": "99", "name": "GET /", "attributes": []}


@pytest.fixture
def api(upwell: Upwell) -> Iterator[TestClient]:
    limits = HttpSettings(batch_events=10)
    with TestClient(application(Desk.of(upwell, limits)), HERE, client=LOCAL) as found:
        yield found


def packed(request: dict[str, Any]) -> bytes:
    """A request in protobuf, whose JSON has ids in base64."""
    told = json.loads(json.dumps(request))
    for one in told["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for name in ("traceId", "spanId"):
            one[name] = b64encode(bytes.fromhex(one[name])).decode()
    found: bytes = ParseDict(told, ExportTraceServiceRequest()).SerializeToString()
    return found


def sent(api: TestClient, request: object, path: str = "/v1/traces") -> dict[str, Any]:
    answer = api.post(path, json=request)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.usefixtures("database")
def test_a_span_is_an_answer_that_is_kept_once(api: TestClient, upwell: Upwell) -> None:
    told = chat(1, **{"user.id": "ann", "gen_ai.response.model": "m-1"})
    for _ in range(2):
        assert sent(api, spans(told, HTTP)) == {}
    (kept,) = answers(upwell)
    assert (kept["id"], kept["user"], kept["model"], kept["task"], kept["policy"]) == (
        "r1", "ann", "m-1", "talker", "upstream",
    )  # fmt: skip
    assert json.loads(kept["input"]) == [{"role": "user", "content": "2+2?"}]
    assert kept["output"] == {"answers": ["4"], "episode": "c", "span": "7a/1"}
    assert not stored(upwell)
    assert 'upwell_spans_total{outcome="kept"} 2' in api.get("/metrics").text
    assert 'upwell_spans_total{outcome="ignored"} 2' in api.get("/metrics").text


def test_protobuf_and_gzip_say_the_same_as_json(api: TestClient, upwell: Upwell) -> None:
    event = {**judged("thumbs", **GOOD), "name": RESULT["eventName"]}
    told = {**chat(11), "traceId": "0a" * 16, "spanId": "0b" * 8, "events": [event]}
    told["attributes"] = told["attributes"][1:]
    sent(api, spans(told))
    once = (answers(upwell), stored(upwell))
    headers = {"content-type": PROTOBUF, "content-encoding": "gzip"}
    body = gzip.compress(packed(spans(told)))
    answer = api.post("/v1/traces", content=body, headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == PROTOBUF
    assert (answers(upwell), stored(upwell)) == once
    assert once[0][0]["id"] == "0a" * 16 + "/" + "0b" * 8


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("where", ["on the span", "in a log", "in a log of the span", "before"])
def test_an_evaluation_is_feedback_of_whoever_got_the_answer(
    api: TestClient, upwell: Upwell, where: str
) -> None:
    said = {**GOOD, "gen_ai.evaluation.score.label": "fine",
            "gen_ai.evaluation.explanation": "short"}  # fmt: skip
    told, one = chat(1, **{"user.id": "ann"}), judged("Is it good?", **said)
    named = {**judged("Is it good?", **said, **{"gen_ai.response.id": "r1"}), **RESULT}
    if where == "on the span":
        sent(api, spans({**told, "events": [{**one, "name": RESULT["eventName"]}]}))
    elif where == "before":
        sent(api, logs(named), "/v1/logs")
    elif where == "in a log":
        sent(api, spans(told))
        sent(api, logs(named), "/v1/logs")
    else:
        told["attributes"] = told["attributes"][1:]
        sent(api, spans(told))
        sent(api, logs({**one, **RESULT, "traceId": "7a", "spanId": "1"}), "/v1/logs")
    (event,) = stored(upwell)
    about = "7a/1" if where == "in a log of the span" else "r1"
    user = "prediction:r1" if where == "before" else "ann"
    assert (event["kind"], event["value"], event["prediction"], event["source"]) == (
        "is_it_good", 1.0, about, "otlp",
    )  # fmt: skip
    assert event["user"] == user
    payload = json.loads(event["payload"])
    assert (payload["text"], payload["comment"]) == ("fine", "short")


@pytest.mark.usefixtures("database")
def test_a_bad_span_is_kept_told_and_holds_up_no_other(api: TestClient, upwell: Upwell) -> None:
    wrong = [
        chat(1, **{"gen_ai.input.messages": "not json"}),
        chat(2, said="\ud800"),
        chat(3, said="a\x00b"),
        chat(4, **{"gen_ai.response.id": "x" * 600}),
        {**chat(5), "endTimeUnixNano": "soon"},
        {**chat(6), "events": [{**judged("", **GOOD), "name": RESULT["eventName"]}]},
        "no span",
        chat(8, said="long " * 300_000),
    ]
    found = sent(api, spans(*wrong, chat(9)))["partialSuccess"]
    assert found["rejectedSpans"] == "8"
    assert "JSONDecodeError" in found["errorMessage"]
    assert [one["id"] for one in answers(upwell)] == ["r6", "r9"]
    assert sorted(codes(upwell)) == sorted(
        ["http.bad_span"] * 4
        + ["record.bad_id", "record.missing", "collect.not_a_row", "collect.too_long"]
    )
    raws = upwell.project.journal.bad_rows(10)["raw"].to_pylist()
    assert all(raws)
    body = packed(spans(chat(10, **{"gen_ai.input.messages": "no"})))
    answer = api.post("/v1/traces", content=body, headers={"content-type": PROTOBUF})
    told = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (told.rejected_spans, bool(told.error_message)) == (1, True)


@pytest.mark.usefixtures("database")
def test_what_nobody_could_keep_holds_up_no_other(api: TestClient, upwell: Upwell) -> None:
    wrong = [
        chat(1, **{"gen_ai.input.messages": "[" * 5000}),
        chat(2, **{"user.id": "\ud800"}),
        chat(3, **{"gen_ai.conversation.id": "\ud800"}),
        chat(4, **{"gen_ai.response.id": "\ud800", "user.id": "ann"}),
        {**chat(5), "traceId": "\ud800"},
    ]
    body, headers = json.dumps(spans(*wrong, chat(9))), {"content-type": "application/json"}
    answer = api.post("/v1/traces", content=body, headers=headers)
    assert answer.json()["partialSuccess"]["rejectedSpans"] == "5"
    assert [one["id"] for one in answers(upwell)] == ["r9"]
    assert codes(upwell) == ["http.bad_span"] * 5


def test_what_is_not_in_words_is_passed_by_and_silence_is_told(
    api: TestClient, upwell: Upwell
) -> None:
    called = span(1, **{"gen_ai.operation.name": "chat",
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "blob"}]}]),
        "gen_ai.output.messages": json.dumps([parts("assistant", "4")])})  # fmt: skip
    assert sent(api, spans(HTTP, called)) == {}
    silent = span(2, **{"gen_ai.operation.name": "chat"})
    found = sent(api, spans(silent))["partialSuccess"]
    assert found["rejectedSpans"] == "0"
    assert "CAPTURE_MESSAGE_CONTENT" in found["errorMessage"]
    assert set(upwell.project.journal.counts().values()) == {0, 2}
    assert 'upwell_spans_total{outcome="ignored"} 3' in api.get("/metrics").text


@pytest.mark.parametrize(
    ("body", "media", "status", "code"),
    [
        (b"{", "application/json", 400, "http.not_json"),
        (b"[]", "application/json", 400, "http.not_otlp"),
        (b'{"resourceSpans": 7}', "application/json", 400, "http.not_otlp"),
        (b'{"resourceSpans": [{"scopeSpans": "x"}]}', "application/json", 400, "http.not_otlp"),
        (b"\xff\xfe", PROTOBUF, 400, "http.not_otlp"),
        (b"x", "text/plain", 415, "http.wrong_type"),
        (json.dumps(spans(*map(span, range(11)))).encode(), "application/json", 413,
         "http.too_many"),
    ],
)  # fmt: skip
def test_what_is_no_export_request_is_refused(
    api: TestClient, upwell: Upwell, body: bytes, media: str, status: int, code: str
) -> None:
    answer = api.post("/v1/traces", content=body, headers={"content-type": media})
    assert (answer.status_code, error(answer)["code"]) == (status, code)
    assert answer.json()["message"]
    assert codes(upwell) == ([code] if status == 400 else [])


def test_an_empty_request_is_well(api: TestClient) -> None:
    assert sent(api, {}) == sent(api, {"resourceSpans": []}) == {}
    answer = api.post("/v1/traces", headers={"content-type": PROTOBUF})
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.usefixtures("database")
def test_a_late_span_of_a_user_who_was_forgotten_stays_away(
    api: TestClient, upwell: Upwell
) -> None:
    told = spans(chat(1, **{"user.id": "ann"}), chat(2, **{"user.id": "ben"}))
    sent(api, told)
    assert api.delete("/v1/users/ann").status_code == 202
    assert sent(api, told)["partialSuccess"]["rejectedSpans"] == "1"
    assert [one["user"] for one in answers(upwell)] == ["ben"]
    assert codes(upwell) == ["event.erased"]
    assert "2+2" not in str(upwell.project.journal.bad_rows(1).to_pylist())


def test_opentelemetrys_own_exporter_is_understood(url: str, key: str, upwell: Upwell) -> None:
    exporter = OTLPSpanExporter(f"{url}/v1/traces", headers={"x-api-key": key})
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("chat m") as made:
        made.set_attribute("gen_ai.operation.name", "chat")
        made.set_attribute("gen_ai.request.model", "m")
        made.set_attribute("user.id", "ann")
        asked = [parts("user", "2+2?"), parts("assistant", "4"), parts("user", "and 3+3?")]
        made.set_attribute("gen_ai.input.messages", json.dumps(asked))
        made.set_attribute("gen_ai.output.messages", json.dumps([parts("assistant", "6")]))
        made.add_event(RESULT["eventName"], {"gen_ai.evaluation.name": "thumbs", **GOOD})
    provider.shutdown()
    (kept,), (event,) = answers(upwell), stored(upwell)
    context = made.get_span_context()
    place = f"{context.trace_id:032x}/{context.span_id:016x}"
    assert (kept["id"], kept["user"], kept["model"]) == (place, "ann", "m")
    assert [one["content"] for one in json.loads(kept["input"])] == ["2+2?", "4", "and 3+3?"]
    assert (event["prediction"], event["user"], event["value"]) == (place, "ann", 1.0)


def test_what_is_said_of_an_answer_becomes_a_row_to_learn_from(
    api: TestClient, upwell: Upwell
) -> None:
    one = judged("thumbs", **GOOD, **{"gen_ai.response.id": "r1"})
    told = [chat(n, f"{n}+2?", f"{n + 2}", **{"user.id": "ann"}) for n in (1, 2)]
    sent(api, spans(*told))
    sent(api, logs({**one, **RESULT}), "/v1/logs")
    feedback = {"inference_id": "r2", "metric_name": "demonstration", "value": "four"}
    assert api.post("/v1/feedback", json=feedback).status_code == 202
    upwell.capture(
        [{"id": f"l{n}", "kind": "label", "at": TOLD, "payload": {"input": f"i{n}", "target": "t"}}
         for n in range(60)]
    )  # fmt: skip
    project, now = upwell.project, datetime.now(UTC) + timedelta(hours=1)
    turn = wiring.begin(project, None, 0, now)
    data = wiring.dataset(project, str(wiring.freeze(project, turn, quiet)["snapshot"]))
    rows = [row for part in (data.train, data.validation, data.test) for row in part.to_pylist()]
    found = [(row["input"], row["target"], row["sign"]) for row in rows if "+2?" in row["input"]]
    asked = [canonical_json([{"role": "user", "content": f"{n}+2?"}]) for n in (1, 2)]
    assert sorted(found) == [(asked[0], "3", 1), (asked[1], "4", -1), (asked[1], "four", 1)]


@pytest.mark.parametrize("media", ["application/json", PROTOBUF])
def test_whatever_is_sent_is_taken_or_refused(api: TestClient, upwell: Upwell, media: str) -> None:
    event = {**judged("thumbs", **GOOD), "name": RESULT["eventName"]}
    nested = span(10, **{"gen_ai.input.messages": [parts("user", "2+2?")],
                         "gen_ai.output.messages": [parts("assistant", "4")]})  # fmt: skip
    whole = spans({**nested, "events": [event]})
    rng = np.random.default_rng(1)
    body = packed(whole) if media == PROTOBUF else json.dumps(whole).encode()
    odd = [b"", b"null", b"[]", b"{}", b"-1", b'"x"', b"1e999", b"\x00", b"\xff", b"[" * 50]
    for _ in range(300):
        start = int(rng.integers(len(body)))
        end = (start, start + 1, int(rng.integers(start, len(body))))[rng.integers(3)]
        changed = body[:start] + odd[rng.integers(len(odd))] + body[end:]
        answer = api.post("/v1/traces", content=changed, headers={"content-type": media})
        assert answer.status_code in (200, 400), changed


def test_a_project_that_does_not_talk_takes_no_answers(tmp_path: Path) -> None:
    plain = Upwell(open_project(create_project(tmp_path / "plain", "plain")))
    with TestClient(application(Desk.of(plain)), HERE, client=LOCAL) as api:
        answer = api.post("/v1/traces", json=spans(chat(1)))
    plain.project.journal.close()
    assert (answer.status_code, error(answer)["code"]) == (404, "serve.not_talking")

"""Limits of size, depth, count, unpacking and rate; who comes beyond is told when to retry."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.interfaces.http.conftest import Serve, desk_of, error, event, stored

from upwell.errors import StoreError
from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.limits import BURST_SECONDS, Buckets
from upwell.interfaces.http.meters import Timer
from upwell.service import Upwell
from upwell.store.access import WRITE

PLAIN = {"content-type": "application/json"}
PACKED = {**PLAIN, "content-encoding": "gzip"}


def refused(answer: Any, status: int, code: str) -> bool:
    return (answer.status_code, error(answer)["code"]) == (status, code)


def test_bodies_have_bounds(serve: Serve, upwell: Upwell) -> None:
    api = serve(event_bytes=2_000, batch_bytes=20_000, batch_events=50)
    long = json.dumps(event("1", payload={"text": "x" * 3_000}))
    assert refused(api.post("/v1/events", content=long, headers=PLAIN), 413, "http.too_large")
    batch = json.dumps([event(str(n), payload={"text": "x" * 400}) for n in range(50)])
    assert refused(api.post("/v1/events", content=batch, headers=PLAIN), 413, "http.too_large")
    pieces = (batch[start : start + 1000].encode() for start in range(0, len(batch), 1000))
    assert refused(api.post("/v1/events", content=pieces, headers=PLAIN), 413, "http.too_large")
    many = [event(str(n)) for n in range(51)]
    assert refused(api.post("/v1/events", json=many), 413, "http.too_many")
    assert api.post("/v1/events", json=many[:50]).status_code == 202
    assert len(stored(upwell)) == 50


def test_bombs_are_refused_before_they_have_gone_off(serve: Serve) -> None:
    api = serve(batch_bytes=1_000_000, ratio=20)
    bomb = gzip.compress(b" " * 900_000)
    assert refused(api.post("/v1/events", content=bomb, headers=PACKED), 413, "http.bomb")
    huge = gzip.compress(b" " * 50_000_000)
    assert refused(api.post("/v1/events", content=huge, headers=PACKED), 413, "http.too_large")
    cut = gzip.compress(json.dumps(event("1")).encode())[:-4]
    for content in (cut, b"no gzip at all"):
        assert refused(api.post("/v1/events", content=content, headers=PACKED), 400,
                       "http.bad_gzip")  # fmt: skip
    assert desk_of(api).memory.held == 0


def test_types_and_encodings_are_named(api: TestClient) -> None:
    for kind in ("", "text/plain", "application/json; charset=gbk", "multipart/form-data"):
        answer = api.post("/v1/events", content=b"{}", headers={"content-type": kind})
        assert refused(answer, 415, "http.wrong_type"), kind
    odd = {**PLAIN, "content-encoding": "br"}
    assert refused(api.post("/v1/events", content=b"{}", headers=odd), 415, "http.wrong_encoding")
    assert refused(api.post("/v1/events", content=b" ", headers=PLAIN), 400, "http.empty")
    assert refused(api.post("/v1/events", json=[]), 400, "http.empty")
    assert refused(api.get("/v1/events"), 405, "http.no_method")
    assert refused(api.get("/nowhere"), 404, "http.no_route")


def test_depth_and_names_have_bounds(api: TestClient) -> None:
    deep: dict[str, object] = {}
    for _ in range(40):
        deep = {"a": deep}
    wide = {str(n): n for n in range(256)}
    told = api.post("/v1/events", json={"batch": [event("1", payload=deep), event("2"),
                                                  event("3", payload=wide)]}).json()  # fmt: skip
    assert told["accepted"] == 1
    assert [(one["index"], one["code"], one["field"]) for one in told["refused"]] == [
        (0, "http.too_deep", "payload"), (2, "http.too_many_names", "payload"),
    ]  # fmt: skip


def test_a_key_and_a_user_have_their_pace(serve: Serve, key: Callable[..., str]) -> None:
    api = serve(client=("203.0.113.9", 1), user_per_second=1.0, key_per_second=5.0)
    one, other = ({"x-api-key": key(WRITE)} for _ in range(2))
    mine = [api.post("/v1/events", json=event(str(n)), headers=one) for n in range(12)]
    statuses = [answer.status_code for answer in mine]
    assert statuses[:10] == [202] * 10
    assert 429 in statuses[10:]
    late = mine[statuses.index(429)]
    assert error(late)["code"] == "http.too_often"
    assert int(late.headers["retry-after"]) >= 1
    crowd = {"batch": [event(f"c{n}", user=f"u{n}") for n in range(60)]}
    assert api.post("/v1/events", json=crowd, headers=one).status_code == 202
    assert api.post("/v1/events", json=crowd, headers=one).status_code == 429
    assert api.post("/v1/events", json=crowd, headers=other).status_code == 202


def test_one_user_of_a_batch_does_not_hold_up_the_others(serve: Serve) -> None:
    api = serve(user_per_second=1.0)
    batch = [event(f"s{n}") for n in range(500)] + [event("o", user="bob")]
    assert api.post("/v1/events", json=batch).json()["accepted"] == 501


def test_buckets_refill_and_larger_requests_pass_into_debt() -> None:
    now = 0.0
    buckets = Buckets(2.0, lambda: now)
    buckets.take("a", int(2 * BURST_SECONDS) + 20)
    with pytest.raises(RequestError) as told:
        buckets.check("a")
    assert told.value.headers["Retry-After"] == "11"
    buckets.check("b")
    now = 11.0
    buckets.take("a", 1)


def test_times_are_counted_by_upper_bound() -> None:
    timer = Timer()
    for seconds in (0.001, 0.0011, 20.0):
        timer.add(seconds)
    lines = list(timer.lines("x"))
    assert 'x_bucket{le="0.001"} 1' in lines
    assert 'x_bucket{le="0.0025"} 2' in lines
    assert 'x_bucket{le="+Inf"} 3' in lines


def test_who_comes_when_all_wait_is_told_at_once(
    serve: Serve, upwell: Upwell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Storing stands still: two groups are under way, two requests wait, the rest is refused."""
    api, going = serve(waiting=2), threading.Event()
    capture = upwell.capture

    def slow(*args: Any, **more: Any) -> Any:
        going.wait(20)
        return capture(*args, **more)

    monkeypatch.setattr(upwell, "capture", slow)
    answers: list[Any] = []

    def send(n: int) -> None:
        answers.append(api.post("/v1/events", json=event(str(n), user=f"u{n}")))
        if len(answers) == 6:
            going.set()

    threads = [threading.Thread(target=send, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = [answer.status_code for answer in answers]
    assert statuses == [503] * 6 + [202] * 4
    assert all(answer.headers["retry-after"] for answer in answers[:6])
    assert len(stored(upwell)) == 4


def test_memory_is_bounded_and_given_back(serve: Serve) -> None:
    api = serve(waiting_bytes=5_000)
    large = json.dumps([event(str(n), payload={"x": "y" * 100}) for n in range(40)])
    assert refused(api.post("/v1/events", content=large, headers=PLAIN), 503, "http.busy")
    assert api.post("/v1/events", json=event("1")).status_code == 202
    assert desk_of(api).memory.held == 0


@pytest.mark.parametrize(
    ("code", "status"), [("store.disk_full", 507), ("store.busy", 503), ("store.unusable", 503)]
)
def test_what_is_not_stored_is_never_acknowledged(
    api: TestClient, upwell: Upwell, monkeypatch: pytest.MonkeyPatch, code: str, status: int
) -> None:
    def fails(*args: object, **more: object) -> None:
        raise StoreError(code, problem="x")

    monkeypatch.setattr(upwell, "capture", fails)
    answer = api.post("/v1/events", json=event("1"))
    assert refused(answer, status, code)
    assert answer.headers["retry-after"]


def test_a_fault_of_ours_is_told_without_its_trace(
    api: TestClient, upwell: Upwell, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def fails(*args: object, **more: object) -> None:
        raise RuntimeError("secret of a user")

    monkeypatch.setattr(upwell, "capture", fails)
    answer = api.post("/v1/events", json=event("1"))
    assert refused(answer, 500, "http.unexpected")
    assert "secret of a user" not in answer.text + caplog.text
    assert "Traceback" not in answer.text


def test_a_stopping_service_is_not_ready(api: TestClient) -> None:
    assert api.get("/health/ready").json() == {"ready": True, "model": None}
    desk_of(api).is_stopping = True
    assert api.get("/health/ready").status_code == 503
    assert api.get("/health/live").status_code == 200

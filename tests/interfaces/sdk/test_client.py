"""What a product hands to the client arrives once, whatever happens on the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.interfaces.sdk.conftest import Service

from upwell.errors import InterfaceError
from upwell.interfaces.sdk import AsyncClient, Client
from upwell.interfaces.sdk import sender as sending
from upwell.interfaces.sdk.spool import Spool


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "SHORTEST", 0.01)


def until(holds: Callable[[], bool], seconds: float = 5.0) -> bool:
    ends = time.monotonic() + seconds
    while not holds() and time.monotonic() < ends:
        time.sleep(0.01)
    return holds()


def test_events_arrive_in_order_in_batches_with_their_ids(service: Service) -> None:
    with Client(service.url, "up-key", batch=50) as client:
        ids = [client.event("click", "anna", item=str(n)) for n in range(120)]
        assert client.flush()
    assert [event["id"] for event in service.events] == ids
    assert [event["item"] for event in service.events] == [str(n) for n in range(120)]
    sizes = [len(body["batch"]) for _, _, body in service.requests]
    assert max(sizes) <= 50
    headers = service.requests[0][1]
    assert headers["Authorization"] == "Bearer up-key"
    assert any(told.get("Content-Encoding") == "gzip" for _, told, _ in service.requests)


@pytest.mark.parametrize("trouble", [[503, 503], [429], [500, 429, 0], [401, 403]])
def test_what_is_refused_for_now_is_sent_again_with_the_same_ids(
    service: Service, trouble: list[int]
) -> None:
    service.statuses = trouble
    with Client(service.url, every=0.01) as client:
        ids = [client.event("thumbs", "anna", value=1.0) for _ in range(3)]
        assert until(lambda: not client.waiting)
        assert client.problem is None
    assert sorted(event["id"] for event in service.events) == sorted(ids)
    assert len(service.requests) > len(trouble)


def test_a_batch_that_can_never_be_read_does_not_block_those_behind_it(service: Service) -> None:
    service.statuses = [400]
    with Client(service.url, batch=1, every=0.01) as client:
        client.event("click", "anna", item="bad")
        assert until(lambda: not client.waiting)
        client.event("click", "anna", item="good")
        assert client.flush()
    assert [event["item"] for event in service.events] == ["good"]


def test_what_could_not_be_sent_outlives_the_process(service: Service, tmp_path: Path) -> None:
    spool = tmp_path / "deep" / "spool.sqlite"
    with Client("http://127.0.0.1:9", spool=spool, timeout=0.3) as client:
        ids = [client.event("click", "anna", item=str(n)) for n in range(5)]
        assert not client.flush(0.3)
        assert isinstance(client.problem, InterfaceError)
        assert client.problem.code == "sdk.unreachable"
    with Client(service.url, spool=spool) as client:
        assert client.flush()
    assert [event["id"] for event in service.events] == ids


def test_a_full_queue_is_told_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", most=2)
    spool.put("1")
    spool.put("2")
    with pytest.raises(InterfaceError) as told:
        spool.put("3")
    assert told.value.code == "sdk.full"
    assert [row for _, row in spool.oldest(9)] == ["1", "2"]
    spool.close()


def test_an_answer_and_what_its_user_made_of_it(service: Service) -> None:
    with Client(service.url) as client:
        with client.prediction("classify", "anna", "Where is it?", dwell=True) as shown:
            assert shown.first == "card"
            shown.thumbs(False)
            shown.correct("pin")
        with client.prediction("recommend", "anna", k=3) as shown:
            shown.click("42")
            shown.rate(4.0, "42")
            shown.purchase("42", 9.5)
        assert client.flush()
    asked = [(path, body) for path, _, body in service.requests if "predict" in path]
    assert asked == [
        ("/v1/predict/classify", {"user": "anna", "input": "Where is it?", "k": 1}),
        ("/v1/predict/recommend", {"user": "anna", "k": 3}),
    ]
    told = [(event["kind"], event.get("value")) for event in service.events]
    assert told[:2] == [("thumbs", -1.0), ("correction", None)]
    assert told[2][0] == "dwell"
    assert told[3:] == [("click", None), ("rating", 4.0), ("purchase", 9.5)]
    assert {event["prediction"] for event in service.events} == {"p-1"}


def test_a_refused_question_says_why(service: Service) -> None:
    service.statuses = [404]
    with Client(service.url) as client, pytest.raises(InterfaceError) as told:
        client.predict("classify", "x", "anna")
    assert told.value.code == "sdk.refused"
    assert told.value.details == {"status": 404, "problem": "no"}


@pytest.mark.parametrize("url", ["", "ftp://x", "127.0.0.1:8000", "http://"])
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(InterfaceError) as told:
        Client(url)
    assert told.value.code == "sdk.url"


def test_taking_in_an_event_takes_no_time_while_nothing_answers() -> None:
    with Client("http://127.0.0.1:9", timeout=0.2) as client:
        began = time.perf_counter()
        for number in range(500):
            client.event("click", "anna", item=str(number))
        assert time.perf_counter() - began < 2.0


def test_the_same_verbs_can_be_awaited(service: Service) -> None:
    async def talk() -> str:
        async with AsyncClient(Client(service.url)) as client:
            async with client.prediction("classify", "anna", "Where?") as shown:
                shown.thumbs(True)
            await client.consent("anna", ["train"])
            assert await client.flush()
            return shown.first

    assert asyncio.run(talk()) == "card"
    assert service.events[0]["kind"] == "thumbs"
    assert service.requests[-2][2] == {"user": "anna", "purposes": ["train"]} or (
        service.requests[-1][2] == {"user": "anna", "purposes": ["train"]}
    )


def test_answers_need_not_know_who_asks(service: Service) -> None:
    with Client(service.url) as client:
        client.recommend("anna", 3, personalize=False)
        client.predict("classify", "Where?", "anna", personalize=False)
        with client.prediction("recommend", "anna", personalize=False) as shown:
            assert shown.first == "card"
        asyncio.run(AsyncClient(client).predict("tag", "Where?", "anna", personalize=False))
        client.recommend("anna")
    told = [body.get("personalize") for path, _, body in service.requests if "predict" in path]
    assert told == [False, False, False, False, None]

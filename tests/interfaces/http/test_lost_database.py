"""A database that dies: what was acknowledged is there, and the service goes on by itself."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.interfaces.http.conftest import Serve, error, event, stored
from tests.interfaces.http.test_process import serving
from tests.postgres import Server

from upwell.service import Upwell
from upwell.store.project import create_project, open_project

KILLS, POSTERS, BETWEEN, SOON = 20, 4, 30, 5.0


@pytest.fixture
def upwell(postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("UPWELL_DATA__JOURNAL", postgres.emptied())
    upwell = Upwell(open_project(create_project(tmp_path / "shop", "shop")))
    yield upwell
    upwell.project.journal.close()


def test_who_asks_meanwhile_is_told_to_come_again(
    serve: Serve, upwell: Upwell, postgres: Server, caplog: pytest.LogCaptureFixture
) -> None:
    here, elsewhere = serve(), serve(client=("203.0.113.9", 1))
    assert here.post("/v1/events", json=event("1")).status_code == 202
    postgres.kill()
    try:
        asked = {"id": "2", "inference_id": "p", "metric_name": "thumbs", "value": True}
        wrong = {"x-api-key": "up-abcdefghijkl-" + "x" * 43}
        answers = [
            here.post("/v1/events", json=event("2")),
            here.post("/v1/feedback", json=asked),
            here.get("/health/ready"),
            here.get("/metrics"),
            elsewhere.post("/v1/events", json=event("2"), headers=wrong),
        ]
        assert [answer.status_code for answer in answers] == [503] * 5
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
        assert {error(answer)["code"] for answer in answers} == {"store.unusable"}
        # Where the database is, and why it says no, is not for those who ask.
        place = str(postgres.folder)
        assert not [
            answer for answer in answers if place in answer.text or "upwell@" in answer.text
        ]
        assert place in caplog.text
        assert here.get("/health/live").status_code == 200
    finally:
        postgres.start()
    assert here.post("/v1/events", json=event("2")).json()["accepted"] == 1
    assert here.get("/health/ready").status_code == 200
    assert [row["id"] for row in stored(upwell)] == ["1", "2"]


class Poster(threading.Thread):
    """Posts batches, each until it is acknowledged; notes what it was answered."""

    def __init__(self, port: int, name: str, stopped: threading.Event) -> None:
        super().__init__()
        self.port, self.mark, self.stopped = port, name, stopped
        self.acknowledged: list[str] = []
        self.statuses: Counter[int] = Counter()
        self.unsaid = 0

    def run(self) -> None:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        number = 0
        while not self.stopped.is_set():
            # Every other batch leaves its times open, so that a retry must find its first.
            at = {"at": "2026-05-01T10:00:00Z"} if number % 2 else {}
            batch = [{"id": f"{self.mark}-{number}-{n}", "user": self.mark, "kind": "click", **at}
                     for n in range(1 + number % 5)]  # fmt: skip
            while not self._post(connection, batch):
                time.sleep(0.02)
            self.acknowledged += [str(row["id"]) for row in batch]
            number += 1
        connection.close()

    def _post(self, connection: HTTPConnection, batch: list[dict[str, str]]) -> bool:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/events", json.dumps(batch), headers)
        answer = connection.getresponse()
        answer.read()
        self.statuses[answer.status] += 1
        self.unsaid += answer.status == 503 and "Retry-After" not in answer.headers
        return answer.status == 202


@pytest.mark.slow
def test_what_was_acknowledged_survives_twenty_kills_of_the_database(
    postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPWELL_DATA__JOURNAL", postgres.emptied())
    folder, stopped, rng = (
        create_project(tmp_path / "shop", "shop"),
        threading.Event(),
        np.random.default_rng(7),
    )
    slowest = 0.0
    with serving(folder) as (one, first), serving(folder) as (other, second):
        posters = [Poster((first, second)[n % 2], f"c{n}", stopped) for n in range(POSTERS)]
        for poster in posters:
            poster.start()
        for _ in range(KILLS):
            grown_by(posters, BETWEEN)
            time.sleep(rng.random() * 0.1)
            postgres.kill()
            time.sleep(rng.random() * 0.2)
            postgres.start()
            slowest = max(slowest, grown_by(posters, 1))
        grown_by(posters, BETWEEN)
        stopped.set()
        for poster in posters:
            poster.join()
        assert (one.poll(), other.poll()) == (None, None)
    statuses = sum((poster.statuses for poster in posters), Counter[int]())
    print(f"{KILLS} kills, answers {dict(statuses)}, back within {slowest:.2f} s")
    journal = open_project(folder).journal
    kept = Counter(journal.events_after(0, 1_000_000)["id"].to_pylist())
    assert journal.bad_rows(1).num_rows == 0
    journal.close()
    assert set(statuses) == {202, 503}
    assert not sum(poster.unsaid for poster in posters)
    assert kept == Counter(named for poster in posters for named in poster.acknowledged)
    assert slowest <= SOON


def grown_by(posters: list[Poster], rows: int) -> float:
    """Wait until each has so many more acknowledged; the seconds that took."""
    began, wanted = time.monotonic(), [len(poster.acknowledged) + rows for poster in posters]
    while any(
        len(poster.acknowledged) < goal for poster, goal in zip(posters, wanted, strict=True)
    ):
        assert time.monotonic() - began < 60
        time.sleep(0.005)
    return time.monotonic() - began

"""Several services on one database: whoever is asked, each event is kept once."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.interfaces.http.conftest import event
from tests.interfaces.http.test_process import serving

from upwell.store.project import create_project, open_project

EACH = 20
Asked = tuple[str, dict[str, Any]]
Sent = tuple[int, str, dict[str, Any]]


def sent(ports: tuple[int, int]) -> list[Sent]:
    """Every event, to one service and to the other: half of them with a time, half without."""
    asked: list[Asked] = []
    for n in range(EACH):
        said = {"inference_id": f"p{n}", "metric_name": "thumbs", "value": True}
        asked += [
            ("/v1/events", event(f"timed-{n}")),
            ("/v1/events", {"id": f"untimed-{n}", "user": "ann", "kind": "click"}),
            ("/v1/feedback", {"id": f"told-{n}", **said}),
        ]
    pairs = [(port, *one) for one in asked for port in ports]
    own: list[Sent] = [
        (port, "/v1/events", event(f"{place}-{n}"))
        for place, port in enumerate(ports)
        for n in range(EACH)
    ]
    # What is sent twice arrives at about the same moment.
    starts = np.random.default_rng(7).permutation(range(0, len(pairs), 2))
    return [one for start in starts for one in pairs[start : start + 2]] + own


def send(one: Sent) -> tuple[int, dict[str, Any]]:
    port, path, body = one
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    told = answer.status, json.loads(answer.read())
    connection.close()
    return told


@pytest.mark.usefixtures("database")
def test_each_event_is_kept_once_and_every_receipt_is_true(tmp_path: Path) -> None:
    folder = create_project(tmp_path / "shop", "shop")
    with serving(folder) as (_, one), serving(folder) as (_, other), ThreadPoolExecutor(8) as pool:
        given = sent((one, other))
        answers = list(pool.map(send, given))
    assert {status for status, _ in answers} == {202}
    told = [answer for _, answer in answers]
    assert sum(answer["accepted"] for answer in told) == 5 * EACH
    assert sum(answer["duplicates"] for answer in told) == 3 * EACH
    journal = open_project(folder).journal
    stored = journal.events_after(0, 10_000)["id"].to_pylist()
    assert journal.bad_rows(1).num_rows == 0
    journal.close()
    assert Counter(stored) == Counter({body["id"]: 1 for _, _, body in given})

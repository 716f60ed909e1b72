"""A shop with users to forget, served by a process of its own whose words are kept too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np

from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.store.project import create_project, open_project

BYSTANDERS, ITEMS, ACTS = 300, 60, 12
PATIENCE = 60.0
EVERYTHING = ["serve", "analyse", "train"]
_START = datetime(2026, 1, 1, tzinfo=UTC)
_CHOSEN: dict[str, dict[str, object]] = {
    "project": {"task": "recommend"},
    "data": {"label_sources": ["none"]},
    "split": {"frozen_from": _START + timedelta(days=100)},
    "tune": {"base": "", "epochs": 2},
    "gate": {"resamples": 200},
    "http": {"user_per_second": 1000.0, "key_per_second": 100_000.0},
}
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shop:
    """The project's folder, the port of its service, and whom it is going to forget."""

    folder: Path
    port: int
    users: Sequence[str]
    canaries: Sequence[str]
    hidden: Sequence[str]
    others: int

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def turn(self) -> None:
        """Learn, judge and decide."""
        _upwell(self.folder, "turn")

    def again(self, user: str) -> int:
        """The status of a late retry of the user's first event."""
        return self.ask("POST", "/v1/events", _acts(user, 0)[0])[0]

    def events_of_others(self) -> int:
        """How many events the journal holds."""
        project = open_project(self.folder)
        try:
            return project.journal.counts()["events"]
        finally:
            project.journal.close()


@contextmanager
def begin(folder: Path, count: int) -> Iterator[Shop]:
    """A shop in which ``count`` users with a text of their own did everything, after a turn."""
    place = create_project(folder / "shop", "shop", _CHOSEN)
    canaries = [f"cnry{number:04d}{bytes([number % 251, 7]).hex()}zq" for number in range(count)]
    users = [f"{canary}@shop.example" for canary in canaries]
    others = [f"user{number}" for number in range(BYSTANDERS)]
    project = open_project(place)
    hidden = [Pseudonyms(project.key).of(user) for user in users]
    project.journal.close()
    with _served(place) as port:
        facts = [
            {"id": f"fact{n}", "user": "", "kind": "item", "item": f"i{n}",
             "at": _START.isoformat(), "payload": {"title": f"thing {n}"}}
            for n in range(ITEMS)
        ]  # fmt: skip
        shop = Shop(place, port, users, canaries, hidden, len(facts) + ACTS * BYSTANDERS)
        _post(shop, facts)
        for number, user in enumerate((*others, *users)):
            _live(shop, user, number, user in users)
        shop.turn()
        for user in users:
            _talk(shop, user)
        yield shop


def _live(shop: Shop, user: str, number: int, has_canary: bool) -> None:
    """Consent, and what the user does; one with a canary tells of it wherever that can be."""
    consent = {"user": user, "purposes": EVERYTHING, "since": _START.isoformat(),
               "id": f"consent-{user}"}  # fmt: skip
    _stored(shop.ask("POST", "/v1/consents", consent))
    rows = _acts(user, number)
    if has_canary:
        at = (_START + timedelta(days=50)).isoformat()
        rows.append({"id": f"fact-{user}", "user": user, "kind": "user", "at": at,
                     "payload": {"city": f"city of {user}", "plan": user}})  # fmt: skip
        rows.append({"id": f"own-{user}", "user": user, "kind": "purchase", "at": at,
                     "item": f"item of {user}", "value": 3.0})  # fmt: skip
    _post(shop, rows)


def _talk(shop: Shop, user: str) -> None:
    """An answer, feedback on it, a comment, and a row that cannot be accepted."""
    status, answer = shop.ask("POST", "/v1/predict/recommend", {"user": user, "k": 5})
    if status != 200:
        raise RuntimeError(f"no recommendation: {status} {answer}")
    said = {"inference_id": answer["prediction"], "user_id": user}
    shown = answer["answers"][0]["output"]
    _stored(shop.ask("POST", "/v1/feedback", {
        **said, "metric_name": "thumbs", "value": True, "item": shown, "tags": {"note": user},
    }))  # fmt: skip
    _stored(shop.ask("POST", "/v1/feedback", {
        **said, "metric_name": "comment", "value": f"{user} likes it",
    }))  # fmt: skip
    broken = {"id": f"broken-{user}", "user": user, "kind": "click", "value": f"much, says {user}"}
    if shop.ask("POST", "/v1/events", [broken])[0] not in (207, 400):
        raise RuntimeError("a broken row was accepted")


def _acts(user: str, number: int) -> list[Row]:
    """Clicks on items of one of two tastes; the last ones are in the frozen part of time."""
    chance = np.random.default_rng([7, number])
    items = chance.permutation(np.arange(number % 2, ITEMS, 2))[:ACTS]
    early = np.sort(chance.uniform(0, 100, ACTS - 2))
    days = [*early.tolist(), 105.0, 110.0]
    return [
        {"id": f"{user}-{n}", "user": user, "kind": "click", "item": f"i{item}",
         "at": (_START + timedelta(days=day)).isoformat(),
         "payload": {"comment": f"seen by {user}"}}
        for n, (item, day) in enumerate(zip(items.tolist(), days, strict=True))
    ]  # fmt: skip


def _post(shop: Shop, rows: Sequence[Row]) -> None:
    _stored(shop.ask("POST", "/v1/events", list(rows)))


def _stored(answer: tuple[int, Any]) -> None:
    if answer[0] not in (200, 202):
        raise RuntimeError(f"not stored: {answer}")


@contextmanager
def _served(folder: Path) -> Iterator[int]:
    """The port of a service whose output lies in the project's folder."""
    log = folder / "served.log"
    command = [sys.executable, "-m", "upwell.interfaces.cli", "serve", "--port", "0", "--json"]
    with log.open("w") as told:
        process = subprocess.Popen(
            [*command, "--project", str(folder)],
            stdout=told, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            yield _port(log)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(PATIENCE)


def _port(log: Path) -> int:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        line = log.read_text().partition("\n")[0]
        if '"url"' in line:
            return int(json.loads(line)["url"].rpartition(":")[2])
        time.sleep(0.05)
    raise RuntimeError(f"the service did not begin: {log.read_text()}")


def _upwell(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "upwell.interfaces.cli", *arguments, "--json"]
    done = subprocess.run(
        [*command, "-p", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"upwell {arguments[0]}: {done.stdout}{done.stderr}")

"""The service under schemathesis: requests made of its own description, valid ones and others.

Two projects are served on loopback, each with a model: a shop that recommends gets requests to
every route, one that talks gets those to the routes of conversations. Whatever is sent, no answer
may be a 5xx, and each must be one that the description promises: its status, its type, its body.

    python -m bench.hostile [--examples 100] [--seed 0]
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.capturing.watched import serving
from bench.peers import own
from bench.rows import Row, publish
from upwell import loop
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.store.project import create_project, open_project

PEER = "schemathesis==4.32.5"
EXAMPLES = 100
"""Cases at random of each operation, beside those that follow from its schema."""
PATIENCE = 300.0
"""Seconds for one project, far more than it takes."""
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance", "unsupported_method",
    "allow_header_conformance", "use_after_free", "ensure_resource_availability",
)  # fmt: skip
TALK = r"^/v1/(chat|models|embeddings|traces|logs)"
KNOWN = """
[dictionaries]
tasks = { values = ["recommend"] }
models = { values = ["talker", "talker@champion", "chat-0"] }
encoders = { values = ["all-minilm-l6-v2"] }
names = { values = ["0", "1", "2", "19"] }

[parameters]
"path.task" = { dictionary = "tasks", probability = 0.8 }
"path.user" = { dictionary = "names", probability = 0.5 }
"path.item" = { dictionary = "names", probability = 0.5 }
"body.user" = { dictionary = "names", probability = 0.5 }
"body.item" = { dictionary = "names", probability = 0.5 }
"body.UserId" = { dictionary = "names", probability = 0.5 }
"body.ItemId" = { dictionary = "names", probability = 0.5 }
"path.model" = { dictionary = "models", probability = 0.5 }

[[operations]]
include-path = "/v1/chat/completions"
parameters."body.model" = { dictionary = "models", probability = 0.8 }

[[operations]]
include-path = "/v1/embeddings"
parameters."body.model" = { dictionary = "encoders", probability = 0.8 }
"""
"""What is there to be asked for, which no description tells and chance would not find."""
_START = datetime(2026, 1, 1, tzinfo=UTC)
_NOW = _START + timedelta(days=60)
_SMALL: Mapping[str, Mapping[str, object]] = {
    "gate": {"resamples": 100},
    "http": {"user_per_second": 100_000.0, "key_per_second": 1_000_000.0},
}
_ANSWERED = re.compile(r'^upwell_requests_total\{route="[^"]*",status="(\d+)"\} (\d+)$', re.M)


@dataclass(frozen=True, slots=True)
class Found:
    """What schemathesis says of one service, and how many 5xx the service says it gave."""

    operations: int
    tested: int
    cases: int
    answers: int
    broken: int
    failures: Sequence[Mapping[str, Any]]
    errors: int


def main() -> None:
    """Serve, ask, print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--examples", type=int, default=EXAMPLES)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    python = own.interpreter("schemathesis", [PEER], "schemathesis", torch="")
    rows: list[Row] = []
    with TemporaryDirectory() as name:
        for make, only in ((shop, ""), (talker, TALK)):
            folder = make(Path(name) / make.__name__)
            rows += _rows(make.__name__, asked(python, folder, only, given.examples, given.seed))
    publish("hostile", rows)


def shop(folder: Path) -> Path:
    """Recommends: 40 users chose among 20 items, one turn is behind it."""
    with _opened(folder, "recommend", 1) as upwell:
        upwell.consent([str(user) for user in range(40)], PURPOSES, since=_START)
        upwell.capture(
            {"id": f"{user}-{act}", "user": str(user), "kind": "rating", "value": 5.0,
             "item": str((user % 2 + 2 * act + user) % 20), "at": _START + timedelta(days=act)}
            for act in range(12) for user in range(40)
        )  # fmt: skip
        loop.turn(upwell.project, now=_NOW)
    return folder


def talker(folder: Path) -> Path:
    """Talks: a tiny model was shown forty replies."""
    with _opened(folder, "chat", 5) as upwell:
        upwell.capture(
            {"id": str(n), "kind": "label", "at": _START + timedelta(days=n),
             "payload": {"input": f"when, {n}?", "target": "at nine" if n % 2 else "at five"}}
            for n in range(40)
        )  # fmt: skip
        loop.turn(upwell.project, now=_NOW)
    return folder


@contextmanager
def _opened(folder: Path, task: str, epochs: int) -> Iterator[Upwell]:
    tables: dict[str, Mapping[str, object]] = {
        **_SMALL, "project": {"task": task}, "tune": {"base": "", "epochs": epochs},
    }  # fmt: skip
    upwell = Upwell(open_project(create_project(folder, folder.name, tables)))
    yield upwell
    upwell.project.journal.close()


def asked(python: Path, folder: Path, only: str, examples: int, seed: int) -> Found:
    """What becomes of the service of a project when its description is taken at its word."""
    with serving(folder) as server:
        told = _run(python, folder, server.port, only, examples, seed)
        counts = [
            (int(status), int(count)) for status, count in _ANSWERED.findall(_metrics(server.port))
        ]
    failures = told["failures"]
    for one in failures:
        print(f"{one['count']:>6} × {one['title']}: {', '.join(one['operations'])}")
    return Found(
        told["operations"]["selected"],
        told["operations"]["tested"],
        told["test_cases"]["generated"],
        sum(count for _, count in counts),
        sum(count for status, count in counts if status >= 500),
        failures,
        sum(one["count"] for one in told["errors"]),
    )


def _run(
    python: Path, folder: Path, port: int, only: str, examples: int, seed: int
) -> dict[str, Any]:
    """The report of one run; RuntimeError where it did not come to its end."""
    report, known = folder / "report.json", folder / "schemathesis.toml"
    known.write_text(KNOWN, encoding="utf-8")
    command = [
        str(python), "-m", "schemathesis.cli", "--config-file", str(known),
        "run", f"http://127.0.0.1:{port}/openapi.json",
        "--checks", ",".join(CHECKS), "--max-examples", str(examples), "--seed", str(seed),
        "--generation-database", "none", "--continue-on-failure", "--no-shrink", "--no-color",
        "--request-timeout", "30", "--warnings", "off", "--report-json-path", str(report),
        *(("--include-path-regex", only) if only else ()),
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    told: dict[str, Any] = json.loads(report.read_text()) if report.is_file() else {}
    if not told.get("complete") or told.get("stop_reason") != "completed":
        raise RuntimeError(f"schemathesis did not finish: {done.stdout[-2000:]}{done.stderr}")
    if done.returncode:
        print(done.stdout)
    return told


def _metrics(port: int) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def _rows(name: str, found: Found) -> list[Row]:
    missed = found.operations - found.tested
    others = sum(one["count"] for one in found.failures if one["type"] != "ServerError")
    return [
        Row(f"{name}: operations covered", float(found.tested), target=str(found.operations),
            holds=missed == 0),
        Row(f"{name}: cases generated", float(found.cases)),
        Row(f"{name}: answers, as the service counts them", float(found.answers)),
        _none(f"{name}: 5xx answers", found.broken),
        _none(f"{name}: answers that are not as described", others),
        _none(f"{name}: cases that could not be tried", found.errors),
    ]  # fmt: skip


def _none(name: str, count: int) -> Row:
    return Row(name, float(count), target="0", holds=count == 0)


if __name__ == "__main__":
    main()

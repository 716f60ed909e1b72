"""A task that talks without a model, versions of it, and a service of it behind a real socket."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest
import uvicorn
from tests.tiny_task import ANSWER, Tiny

from upwell import plugins
from upwell.interfaces.http.app import application
from upwell.interfaces.http.desk import Desk
from upwell.interfaces.http.server import Bounded
from upwell.ports import Manner, Piece, Pieces
from upwell.records import PURPOSES, Decision, ModelVersion
from upwell.service import Upwell
from upwell.settings import HttpSettings
from upwell.store.project import create_project, open_project

TASK = "talker"
AT = datetime(2026, 5, 1, tzinfo=UTC)


@dataclass
class Parrot:
    """A model that says its name and what it heard."""

    name: str


@dataclass(frozen=True)
class Talker(Tiny):
    """Repeats the last message word by word; some words make it slow, endless, or fail."""

    made: list[str] = field(default_factory=list)

    def load(self, folder: Path) -> Any:
        return Parrot(json.loads((folder / "config.json").read_text(encoding="utf-8"))["name"])

    def talk(self, model: Any, messages: Sequence[Mapping[str, str]], manner: Manner) -> Pieces:
        asked = messages[-1]["content"]
        if f"break {model.name}" in asked:
            raise RuntimeError("broken")
        words = [f"{model.name}:", *asked.split()]
        if "endless" in asked:
            words = ["tick"] * manner.max_tokens
        ends = [words.index(word) for word in manner.stop if word in words]
        size, prompt = min([len(words), *ends]), sum(len(m["content"].split()) for m in messages)
        for place, word in enumerate(words[: min(size, manner.max_tokens)], 1):
            if word == "fail":
                raise RuntimeError("failed midway")
            time.sleep(0.005 if word == "tick" else 0.0)
            self.made.append(word)
            yield Piece(word + " ", "", prompt, place, -0.1 * place)
        done = min(size, manner.max_tokens)
        yield Piece("", "length" if done < size else "stop", prompt, done, -0.1 * done)


def install(patch: pytest.MonkeyPatch) -> Talker:
    """Let discovery find the task ``talker``."""
    task, real = Talker("answer", ANSWER.labels, ANSWER.words), plugins.locations
    patch.setitem(sys.modules, "found_talker", cast("ModuleType", task))
    patch.setattr(
        plugins, "locations",
        lambda kind: {**real(kind), **({TASK: "found_talker"} if kind == "tasks" else {})},
    )  # fmt: skip
    return task


def opened(folder: Path, **tables: Mapping[str, object]) -> Upwell:
    """An empty project called ``shop`` whose task talks; ``ann`` and ``ben`` allow everything."""
    chosen: dict[str, Mapping[str, object]] = {
        "project": {"task": TASK}, "tune": {"base": ""}, **tables,
    }  # fmt: skip
    upwell = Upwell(open_project(create_project(folder, "shop", chosen, bytes(range(32)))))
    upwell.consent(["ann", "ben"], PURPOSES, since=AT)
    return upwell


def add(upwell: Upwell, name: str, *, promote: bool = True) -> None:
    """A version, which serves from now on where it is promoted."""
    project = upwell.project

    def save(folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps({"name": name}), encoding="utf-8")

    path, digest = project.models.write(name, save)
    project.ledger.add_version(
        ModelVersion(name, TASK, AT, None, "none", {}, None, str(path), digest)
    )
    if promote:
        decision = Decision(f"serve-{name}", name, TASK, datetime.now(UTC), "promote", ())
        project.ledger.decide(decision, name)


@contextmanager
def listening(upwell: Upwell, **chosen: Any) -> Iterator[str]:
    """The service of a project on a free port: its address."""
    desk = Desk.of(upwell, HttpSettings.model_validate(chosen))
    config = uvicorn.Config(
        application(desk), port=0, http=type("Chosen", (Bounded,), {"settings": desk.settings}),
        ws="none", loop="asyncio", log_config=None, timeout_graceful_shutdown=5,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(20)


def answers(upwell: Upwell) -> list[dict[str, Any]]:
    """Every recorded prediction, in order, with its output read."""
    rows: list[dict[str, Any]] = upwell.project.journal.predictions_after(0, 10_000).to_pylist()
    return [{**row, **{name: json.loads(row[name]) for name in ("input", "output")}}
            for row in rows]  # fmt: skip


def waited(upwell: Upwell, count: int) -> list[dict[str, Any]]:
    """The same, once there are so many."""
    until = time.monotonic() + 10
    while len(found := answers(upwell)) < count and time.monotonic() < until:
        time.sleep(0.02)
    return found

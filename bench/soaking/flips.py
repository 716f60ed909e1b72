"""Versions that take turns under load, and models that were tampered with."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import pyarrow as pa

from bench.soaking.loans import NEW, OLD, SECOND, loans, serving
from upwell.errors import StoreError, UpwellError
from upwell.records import Json
from upwell.service import Upwell
from upwell.store.project import Project, open_project
from upwell.wiring.switch import switch

ASKERS, PROBES = 3, 4
REASON: Mapping[str, Json] = {"key": "release.by_hand"}


@dataclass(slots=True)
class Load:
    """Threads that ask what serves on and on, and what came of their questions.

    ``own`` is what each version says to the ``inputs`` when nothing else happens.
    """

    upwell: Upwell
    inputs: Sequence[Json]
    own: Mapping[str, object]
    answers: int = 0
    failed: int = 0
    mixed: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Ask until told to stop."""
        while not self.done.is_set():
            self.ask()

    def ask(self) -> str:
        """The one version that answered; an answer that is not wholly its own is counted."""
        self.answers += 1
        try:
            found = said(self.upwell, self.inputs)
        except UpwellError:
            self.failed += 1
            return ""
        names = set(found["model"].to_pylist())
        version = names.pop() if len(names) == 1 else ""
        self.mixed += plain(found) != self.own.get(version)
        return version


@dataclass(frozen=True, slots=True)
class Flipped:
    """What came of all flips; ``rollbacks`` are the seconds until an answer named the version."""

    flips: int
    answers: int
    failed: int
    mixed: int
    rollbacks: tuple[float, ...]


def said(upwell: Upwell, inputs: Sequence[Json]) -> pa.Table:
    """The answers to the inputs."""
    return upwell.predict_many(inputs, ["clerk1"] * len(inputs), now=SECOND)


def plain(found: pa.Table) -> object:
    """What was answered, how surely."""
    return found.select(["answer", "probability"]).to_pylist()


def flip(folder: Path, flips: int) -> Flipped:
    """Let two versions serve in turn while threads of a service ask, and time every way back."""
    inputs: list[Json] = [row for row, _ in loans()[-PROBES:]]
    project, own = open_project(folder), {}
    for version in (OLD, NEW):
        _moved(project, "promote", version, f"own-{version}")
        own[version] = plain(said(Upwell(open_project(folder)), inputs))
    load, rollbacks = Load(Upwell(open_project(folder)), inputs, own), []
    threads = [threading.Thread(target=load.run) for _ in range(ASKERS)]
    for thread in threads:
        thread.start()
    try:
        for number in range(flips):
            act, version = (("rollback", OLD), ("promote", NEW))[number % 2]
            began = perf_counter()
            _moved(project, act, version, f"flip-{number}")
            while load.ask() != version:
                pass
            rollbacks += [perf_counter() - began] if act == "rollback" else []
    finally:
        load.done.set()
        for thread in threads:
            thread.join()
    return Flipped(flips, load.answers, load.failed, load.mixed, tuple(rollbacks))


def _moved(project: Project, act: str, version: str, name: str) -> None:
    switch(project, act, version, REASON, id=name, now=SECOND)


def tampered(project: Project) -> tuple[int, int]:
    """How often a tampered model came to serve or moved anything, and how often that was tried.

    One byte is changed in each file of a model, a file is added, and each is taken away.
    """
    made = project.ledger.version(OLD)
    folder = project.models.verified(made.path, made.digest)
    _moved(project, "promote", NEW, "before-tampering")
    tried = let = 0
    for file in [*sorted(path for path in folder.rglob("*") if path.is_file()), folder / "added"]:
        whole = file.read_bytes() if file.exists() else b""
        changed = whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1] if whole else b"?")
        for content in (changed + whole[len(whole) // 2 + 1 :], None):
            if content is None:
                file.unlink()
            else:
                file.write_bytes(content)
            if whole or content is not None:
                tried += 1
                let += _comes_to_serve(project, f"tampered-{tried}")
        if whole:
            file.write_bytes(whole)
    _moved(project, "rollback", OLD, "mended")
    return let, tried


def _comes_to_serve(project: Project, name: str) -> bool:
    try:
        _moved(project, "promote", OLD, name)
    except StoreError as error:
        return error.code != "model.damaged" or serving(project) != NEW
    return True

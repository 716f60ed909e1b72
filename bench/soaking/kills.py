"""SIGKILL at random moments of a turn, while others ask what serves; then the turn goes on.

A part of the turn is drawn first and a moment in it then, so that short parts are hit as well.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from shutil import copytree, rmtree
from time import perf_counter

import numpy as np

from bench.soaking.loans import NEW, SECOND, SEED, STAGES, TASK, loans, serving
from upwell import loop
from upwell.errors import UpwellError
from upwell.service import Upwell
from upwell.store.files import TEMPORARY, sha256_of
from upwell.store.models import MANIFEST
from upwell.store.project import Project, open_project

BEGIN, ENDED = "begin", "release, before the turn was closed"
PROCESSES = multiprocessing.get_context("forkserver")
"""Children are forked from a process that has imported everything and begun nothing."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a turn ended: hashes and names that must be equal, numbers that must be close."""

    names: tuple[str, ...]
    numbers: tuple[float, ...]


@dataclass(slots=True)
class Seen:
    """What came of all killed turns; of what ``wrong`` counts there should be nothing.

    ``apart`` is the most that a number of a report differed from that of the undisturbed turn,
    which took ``seconds``.
    """

    seconds: float
    moments: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    apart: float = 0.0


def kill_turns(begun: Path, folder: Path, kills: int) -> Seen:
    """Let ``kills`` turns be killed and go on, each on a copy of the project ``begun``."""
    PROCESSES.set_forkserver_preload(["torch", "scipy.sparse", "scipy.optimize", __name__])
    for copy in (folder / "undisturbed", folder / "timed"):
        began = perf_counter()
        _started(Path(copytree(begun, copy))).join()
        seen = Seen(perf_counter() - began)
    expected, takes = _outcome(open_project(folder / "undisturbed")), _seconds(folder / "timed")
    takes[BEGIN] = seen.seconds - sum(takes.values())
    takes["release"] *= 2  # what follows it, to the turn's end, is drawn as well
    chance, number = np.random.default_rng(SEED), 0
    while seen.moments.total() < kills:
        copy = Path(copytree(begun, folder / f"kill-{number}"))
        part = (BEGIN, *STAGES)[number % (1 + len(STAGES))]
        if _killed(copy, part, float(chance.uniform(0.0, takes[part])), seen):
            _goes_on(open_project(copy), expected, seen)
        rmtree(copy)
        number += 1
    return seen


def _turn(folder: str, part: str, after: float) -> None:
    """What a process does: a turn, unless SIGKILL comes ``after`` so many seconds of a part."""
    timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL))
    timer.daemon = True

    def tell(stage: str, share: float, numbers: Mapping[str, object]) -> None:
        if stage == part and not share and not numbers:
            timer.start()

    tell(BEGIN, 0.0, {})
    loop.turn(open_project(Path(folder)), now=SECOND, progress=tell)


def _started(folder: Path, part: str = "", after: float = 0.0) -> BaseProcess:
    process = PROCESSES.Process(target=_turn, args=(str(folder), part, after))
    process.start()
    return process


def _seconds(folder: Path) -> dict[str, float]:
    """How long each stage of a turn took."""
    ledger = open_project(folder).ledger
    return {name: float((ledger.stage_result(NEW, name) or {})["seconds"]) for name in STAGES}


def _killed(folder: Path, part: str, after: float, seen: Seen) -> bool:
    """Let a turn be killed, asking what serves until then; whether it was before its end."""
    upwell = Upwell(open_project(folder))
    _ask(upwell, seen)
    process = _started(folder, part, after)
    while process.is_alive():
        _ask(upwell, seen)
        process.join(0.1)
    if process.exitcode != -signal.SIGKILL:
        return False
    project = open_project(folder)
    done = [name for name in STAGES if project.ledger.stage_result(NEW, name)]
    is_begun = project.ledger.unfinished_turn(TASK) is not None
    seen.moments[(*STAGES, ENDED)[len(done)] if is_begun else BEGIN] += 1
    seen.wrong["half-written"] += sum(1 for _ in _half_written(project))
    _ask(Upwell(project), seen)
    return True


def _ask(upwell: Upwell, seen: Seen) -> None:
    """One answer of what serves: it must come, and name a version that served meanwhile."""
    seen.asked += 1
    before = serving(upwell.project)
    try:
        answer = upwell.predict("clerk1", loans()[-1][0], now=SECOND)
    except UpwellError:
        seen.wrong["unanswered"] += 1
        return
    if answer["model"][0].as_py() not in (before, serving(upwell.project)):
        seen.wrong["another version"] += 1


def _half_written(project: Project) -> Iterator[str]:
    """Folders of snapshots and models that stand under their final name and are not whole."""
    data = project.data
    for folder in sorted([*(data / "snapshots").iterdir(), *(data / "models").iterdir()]):
        if folder.name.startswith(TEMPORARY):
            continue
        try:
            if folder.parent.name == "snapshots":
                project.snapshots.read(folder.name)
            else:
                project.models.verified(folder.name, sha256_of(folder / MANIFEST))
        except (UpwellError, OSError):
            yield folder.name


def _outcome(project: Project) -> Outcome:
    version, decision = project.ledger.version(NEW), project.ledger.decisions(TASK)[-1]
    numbers = [
        value
        for report in project.ledger.reports(TASK)
        for one in report.metrics
        for value in (one.value, one.gain, one.low, one.high, float(one.n))
        if value is not None
    ]
    names = (version.snapshot, version.digest, decision.act, decision.model, serving(project))
    return Outcome(names, tuple(numbers))


def _goes_on(project: Project, expected: Outcome, seen: Seen) -> None:
    """Let the turn go on to its end, and compare that with the undisturbed one."""
    _started(project.folder).join()
    if not _is_whole(project):
        seen.wrong["did not go on"] += 1
        return
    found = _outcome(project)
    seen.wrong["another outcome"] += found.names != expected.names
    pairs = zip(found.numbers, expected.numbers, strict=True)
    seen.apart = max(seen.apart, *(abs(one - other) for one, other in pairs))
    data = project.data
    seen.wrong["left over"] += len([*data.rglob(f"{TEMPORARY}*"), *data.glob("checkpoints/*")])


def _is_whole(project: Project) -> bool:
    turn = project.ledger.turns(TASK)[-1]
    return turn.id == NEW and turn.closed is not None and bool(
        project.ledger.stage_result(NEW, "release")
    )  # fmt: skip

"""The loop on a chat model: people's judgements of answers, learned from and put to the gate.

PandaLM's pairs come in as corrections: what was shown, and what they would rather have had. The
base serves first; the turn's version serves only if it agrees with people who are held out more
than the base does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
from pyarrow import compute as pc

from upwell import loop, wiring
from upwell.errors import StoreError
from upwell.plugins import plugin
from upwell.records import PURPOSES, Decision
from upwell.service import Upwell
from upwell.settings import FILE
from upwell.store.project import Project, create_project, open_project
from upwell.store.template import Chosen
from upwell.wiring.probing import replies

Say = Callable[[str, float, Mapping[str, object]], None]

NAME = "chat-demo"
LONGEST, PAIRS = 440, 5
"""Characters of a question with its longer answer, and pairs of answers to one question, the
shortest: what two cores learn from and are judged by in less than five minutes."""
ASKED = (
    "Give three tips for staying healthy.",
    "Write a short thank-you note to a colleague who covered my shift.",
    "Explain in one sentence why the sky is blue.",
)
"""What the base and the new version are asked, side by side; nobody's data."""


@dataclass(frozen=True, slots=True)
class Said:
    """How the base, and the version that learned, begin to answer the same question."""

    asked: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class ChatDemo:
    """What the demo did: its project, the turn's decision, answers side by side."""

    project: Project
    decision: Decision
    said: tuple[Said, ...]


def run_chat_demo(
    folder: Path, data: Path | None, seed: int, progress: Say, now: datetime
) -> ChatDemo:
    """Capture what people prefer, run a turn and ask both versions.

    A demo that was stopped goes on from where it stood. Raises SourceError where the data cannot
    be found, PluginError where there is no model, StoreError where the folder holds another
    project.
    """
    project = _project(folder, seed)
    if project.journal.counts()["consents"] == 0:
        _capture(Upwell(project), data, progress, now)
    task = project.settings.project.task
    known = [one for one in project.ledger.decisions(task) if one.id != wiring.BASE]
    decision = known[0] if known else loop.turn(project, seed=seed, now=now, progress=progress)
    return ChatDemo(project, decision, _beside(project, decision))


def _capture(upwell: Upwell, data: Path | None, progress: Say, now: datetime) -> None:
    for batch in plugin("sources", "pandalm").read(str(data or ""), {}):
        upwell.capture(_short(pa.Table.from_batches([batch])), now=now)
    events = upwell.project.journal.events_after(0, 1_000_000)
    users = pc.unique(events["user"]).to_pylist()
    since = pc.min(events["at"]).as_py() - timedelta(seconds=1)
    upwell.consent([user for user in users if user], PURPOSES, since=since)
    progress("collect", 1.0, {"rows": events.num_rows})


def _short(pairs: pa.Table) -> pa.Table:
    """The ``PAIRS`` shortest of each asker, of those that are not longer than ``LONGEST``."""
    of = dict[str, list[tuple[int, int]]]()
    told = zip(pairs["user"].to_pylist(), pairs["payload"].to_pylist(), strict=True)
    for row, (user, text) in enumerate(told):
        pair = json.loads(text)
        size = len(pair["input"]) + max(len(pair["target"]), len(pair["correction"]))
        if size <= LONGEST:
            of.setdefault(user, []).append((size, row))
    kept = sorted(row for sizes in of.values() for _, row in sorted(sizes)[:PAIRS])
    return pairs.take(pa.array(kept, pa.int64()))


def _project(folder: Path, seed: int) -> Project:
    """The demo's project. Its pseudonym key follows from the seed so that runs can be compared."""
    chosen: Chosen = {
        "project": {"task": "chat"},
        "tune": {"seed": seed, "threads": 0},
        "split": {"test_share": 0.5},
    }
    key = hashlib.sha256(f"{NAME} {seed}".encode()).digest()
    if not (folder / FILE).exists():
        create_project(folder, NAME, chosen, key)
    project = open_project(folder)
    if project.settings.project.name != NAME:
        raise StoreError("project.exists", file=folder / FILE)
    return project


def _beside(project: Project, decision: Decision) -> tuple[Said, ...]:
    task = plugin("tasks", project.settings.project.task)
    before, after = (
        replies(task, wiring.load(project, task, project.ledger.version(name)), ASKED)
        for name in (wiring.BASE, decision.model)
    )
    return tuple(
        Said(asked, old.text, new.text)
        for asked, old, new in zip(ASKED, before, after, strict=True)
    )

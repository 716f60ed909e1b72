"""The main job: MovieLens-100K replayed through the loop, with no side door.

The first part of history is imported as labels (D). Everything after it arrives as users'
feedback (F). Each turn may only know what happened before its own moment (``as_of``); all turns
are judged on the same last part of time, which none of them ever trains on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from pyarrow import compute as pc

from upwell import loop
from upwell.errors import StoreError
from upwell.plugins import plugin
from upwell.records import PURPOSES, Decision
from upwell.service import Upwell
from upwell.settings import FILE
from upwell.store.project import Project, create_project, open_project
from upwell.store.template import Chosen

Say = Callable[[str, float, Mapping[str, object]], None]

NAME = "movielens-demo"
LABELS, FEEDBACK = "movielens-history", "movielens-app"
FIRST_TURN_SHARE, FROZEN_SHARE = 0.4, 0.2


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo did: the project it left behind and one decision a turn."""

    project: Project
    decisions: tuple[Decision, ...]


def run_demo(
    folder: Path, data: Path | None, turns: int, seed: int, progress: Say, now: datetime
) -> DemoResult:
    """Capture all of MovieLens-100K, then run the first turn and ``turns`` further ones.

    A demo that was stopped goes on from where it stood; one that is done is done at once. Raises
    SourceError when the data cannot be found or are not the known 100,000 rows, StoreError when
    the folder holds another project or a demo with another seed or number of turns.
    """
    events = _history(data)
    cuts, frozen = _moments(events, turns)
    project = _project(folder, frozen, seed)
    if project.journal.counts()["consents"] == 0:
        _capture(Upwell(project), events, cuts[0], progress, now)
    ledger, task = project.ledger, project.settings.project.task
    known = {turn.as_of: turn.closed for turn in ledger.turns(task)}
    if project.settings.tune.seed != seed or not set(known) <= set(cuts):
        raise StoreError("project.exists", file=folder / FILE)
    for cut in cuts:
        if not known.get(cut):
            loop.turn(project, as_of=cut, seed=seed, now=now, progress=progress)
    return DemoResult(project, tuple(ledger.decisions(task)))


def _capture(
    upwell: Upwell, events: pa.Table, first_cut: datetime, progress: Say, now: datetime
) -> None:
    """Replay everything in order of time; every user grants every purpose at the end."""
    for done, batch in _arrivals(events, first_cut):
        upwell.capture(batch, now=now)
        progress("collect", done, {"rows": events.num_rows})
    users = pc.unique(pc.drop_null(events["user"])).to_pylist()
    upwell.consent([user for user in users if user], PURPOSES, since=first_cut)


def _history(data: Path | None) -> pa.Table:
    """All events in time order (facts about items and users first)."""
    source = plugin("sources", "movielens")
    return pa.Table.from_batches(source.read(str(data or ""), {}))


def _moments(events: pa.Table, turns: int) -> tuple[list[datetime], datetime]:
    """The moment of each turn, evenly spread over ratings, and where the frozen part begins."""
    times = events.filter(pc.equal(events["kind"], "rating"))["at"]
    span = 1.0 - FROZEN_SHARE - FIRST_TURN_SHARE
    shares = [FIRST_TURN_SHARE + span * step / turns for step in range(turns + 1)]
    cuts = [times[int(share * len(times))].as_py().astimezone(UTC) for share in shares]
    return cuts, cuts[-1]


def _project(folder: Path, frozen: datetime, seed: int) -> Project:
    """The demo's project. Its pseudonym key follows from the seed so that runs can be compared."""
    chosen: Chosen = {
        "data": {"label_sources": (LABELS,)},
        "split": {"frozen_from": frozen},
        "behaviour": {"group": "gender"},
        "tune": {"seed": seed},
    }
    key = hashlib.sha256(f"{NAME} {seed}".encode()).digest()
    if not (folder / FILE).exists():
        create_project(folder, NAME, chosen, key)
    return open_project(folder)


def _arrivals(events: pa.Table, first_cut: datetime) -> Iterator[tuple[float, pa.Table]]:
    """Batches in time order, each with its share done; labels before the cut, feedback after."""
    is_label = pc.less(events["at"], pa.scalar(first_cut, events["at"].type))
    named = events.set_column(
        events.schema.get_field_index("source"),
        "source",
        pc.if_else(is_label, LABELS, FEEDBACK),
    )
    for start in range(0, named.num_rows, 10_000):
        batch = named.slice(start, 10_000)
        yield (start + batch.num_rows) / named.num_rows, batch

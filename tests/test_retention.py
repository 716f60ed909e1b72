"""What is past its time goes: from learning first, then from everything."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pyarrow import compute as pc
from sqlalchemy import select

from upwell import loop
from upwell.service import Upwell
from upwell.store import schema as sql
from upwell.store.database import reading
from upwell.store.project import Project
from upwell.store.removal import before

DAY_ONE = datetime(2024, 1, 1, tzinfo=UTC)
NOW = DAY_ONE + timedelta(days=122)
Shop = Callable[..., Upwell]


def oldest(project: Project) -> datetime:
    """The time of the oldest event of a user in the journal."""
    events = project.journal.events_after(0, 10**6)
    at: datetime = pc.min(events.filter(pc.not_equal(events["user"], ""))["at"]).as_py()
    return at


def test_nothing_is_older_than_its_time_anywhere(shop: Shop, tmp_path: Path) -> None:
    project = shop(tmp_path / "shop", retention={"days": 100}).project
    before_turn = project.journal.counts()
    cutoff = NOW - timedelta(days=100)
    assert oldest(project) < cutoff
    loop.turn(project, now=NOW)
    assert oldest(project) >= cutoff
    assert project.journal.counts()["consents"] == before_turn["consents"]
    facts = project.journal.events_after(0, 10**6)["kind"].to_pylist()
    assert "item" in facts
    later = NOW + timedelta(days=20)
    loop.turn(project, now=later, seed=1)
    assert oldest(project) >= later - timedelta(days=100)
    assert project.lake.remove(before(later - timedelta(days=100))) == {}
    assert project.snapshots.holding(before(later - timedelta(days=100))) == {}
    with reading(project.journal.engine) as connection:
        names = connection.execute(select(sql.facts.c.name)).scalars().all()
    assert sum(name.startswith("expired ") for name in names) == 2


def test_what_is_too_old_to_learn_from_is_still_held(shop: Shop, tmp_path: Path) -> None:
    project = shop(tmp_path / "shop", retention={"train_days": 100}).project
    counts = project.journal.counts()
    loop.turn(project, now=NOW)
    assert project.journal.counts() == counts
    snapshot = project.ledger.version("recommend-0").snapshot
    learned = project.snapshots.read(snapshot).train
    assert pc.min(learned["at"]).as_py() >= NOW - timedelta(days=100)

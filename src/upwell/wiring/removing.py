"""Rows that must not stay, out of everything that is made of the journal; and when that is so."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa

from upwell import rows
from upwell.store.expiry import expire_rows
from upwell.store.judged import forget_answers
from upwell.store.project import Project
from upwell.store.removal import Gone, Holding, before
from upwell.tables import canonical_json
from upwell.wiring.turns import end


def expire(project: Project, now: datetime) -> None:
    """Remove what is older than ``[retention] days``; call while holding the lock.

    Facts and labels that are nobody's stay. What went is kept as evidence, by its time.
    """
    days = project.settings.retention.days
    if not days:
        return
    cutoff = now - timedelta(days=days)
    counts = expire_rows(project.journal, cutoff)
    gone = before(cutoff)
    in_lake, in_snapshots = remove_rows(project, gone, project.snapshots.holding(gone))
    removed = {**counts, "lake": sum(in_lake.values()), "snapshots": sum(in_snapshots.values())}
    if any(removed.values()):
        unfinished = project.ledger.unfinished_turn(project.settings.project.task)
        if unfinished is not None:
            end(project, unfinished, now)
        project.journal.fact(f"expired {now.isoformat()}", canonical_json(removed))
    for turn in project.ledger.turns(project.settings.project.task):
        if turn.at < cutoff:
            (doubts_folder(project) / f"{turn.id}.parquet").unlink(missing_ok=True)


def remove_rows(
    project: Project, gone: Gone, holding: Holding
) -> tuple[Counter[str], Counter[str]]:
    """Write lake and snapshots anew without such rows: how many went of each, by user.

    What versions answered to such rows of a frozen test goes too.
    """
    tests = {project.snapshots.snapshot(name).test[:16] for name, held in holding.items() if held}
    in_lake = project.lake.remove(gone)
    forget_answers(project.data / "judged", tests)
    project.snapshots.remove(gone, holding, _items(project))
    in_snapshots: Counter[str] = Counter()
    for held in holding.values():
        in_snapshots.update(held or {})
    return in_lake, in_snapshots


def doubts_folder(project: Project) -> Path:
    """Where the doubts of all turns are kept."""
    return project.data / "doubts"


def _items(project: Project) -> pa.Array:
    """The items that are known of anybody's events or of facts."""
    with rows.workspace(project) as (_, con):
        seen = project.lake.events(con).select("item").distinct().to_arrow_table()
    return seen["item"].combine_chunks()

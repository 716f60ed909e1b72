"""The layer over users' pseudonyms is changed, in everything that is stored under them.

1 The next key is written aside; from then on nobody opens the project but who finishes this.
2 Lake, doubts, snapshots and models are written anew aside (see ``store.renaming``).
3 One transaction renames what the database holds, and says so.
4 The files move to their places, what they replace goes, and the next key is the key.

Killed before 3, it begins again at 2; killed after, it goes on at 4.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from shutil import rmtree
from typing import TypeAlias

from upwell import rows
from upwell.store import renaming
from upwell.store.emptied import emptied
from upwell.store.keys import secret
from upwell.store.project import Project
from upwell.store.veil import NEXT, Change, Veil, key_in, put_in_force
from upwell.tables import canonical_json
from upwell.wiring.erasing import tidy
from upwell.wiring.removing import doubts_folder
from upwell.wiring.turns import Tell, alone, end

ASIDE = "rotation"
COUNTED = ("lake", "snapshots", "doubts", "records")
Counts: TypeAlias = Mapping[str, int]
Paths: TypeAlias = Mapping[str, str]
Digests: TypeAlias = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many rows were written under other pseudonyms, by where they are stored.

    ``resumed`` where an earlier rotation was interrupted, and this has finished it.
    """

    rows: Counts
    resumed: bool


def to_rotate(project: Project) -> Counts:
    """How many rows a rotation would write anew, by where they are stored; changes nothing."""
    return {
        "lake": renaming.rows_in(_lake_files(project)),
        "snapshots": renaming.rows_frozen(project.snapshots),
        "doubts": renaming.rows_in(_doubts(project)),
        "records": renaming.records(project.journal),
    }


def rotate(project: Project, now: datetime, tell: Tell) -> Rotated:
    """Give every user another pseudonym; ``project`` was opened to do so and is of no use after.

    An unfinished turn is ended. Raises StoreError ``project.in_use`` while anybody else has the
    project open, ``turn.running`` while another machine runs a turn.
    """
    project.lease.take_alone()
    with alone(project, now):
        resumed = (project.keys / NEXT).exists()
        if not resumed:
            _begin(project, now)
        new = Veil(key_in(project.keys, NEXT))
        if project.journal.fact(renaming.VEIL, "") != new.fingerprint:
            change, counts = Change(project.veil, new), to_rotate(project)
            moves, digests = _written(project, change, tell)
            told = {_fact(new): canonical_json({**counts, "at": now.isoformat()})}
            renaming.commit(project.journal, change, moves, digests, told)
        counts = _finish(project, new, tell)
    return Rotated(counts, resumed)


def _begin(project: Project, now: datetime) -> None:
    """End what knows the pseudonyms of today, then make the key of tomorrow."""
    tidy(project, now)
    unfinished = project.ledger.unfinished_turn(project.settings.project.task)
    if unfinished is not None:
        end(project, unfinished, now)
    secret(project.keys, NEXT)


def _written(project: Project, change: Change, tell: Tell) -> tuple[Paths, Digests]:
    """Write files under the new pseudonyms aside; where that fails, nothing was begun.

    The new path of each file of the lake, and the new digest of each version that names users.
    """
    aside = project.data / ASIDE
    rmtree(aside, ignore_errors=True)
    try:
        return _files_written(project, change, aside, tell)
    except BaseException:
        (project.keys / NEXT).unlink()
        rmtree(aside, ignore_errors=True)
        raise


def _files_written(
    project: Project, change: Change, aside: Path, tell: Tell
) -> tuple[Paths, Digests]:
    paths, doubts = renaming.lake_paths(project.journal), _doubts(project)
    versions = project.ledger.versions(project.settings.project.task)
    files, ready = len(paths) + len(doubts) + len(project.snapshots.names()) + len(versions), 0
    tell("rewrite", 0.0, {})

    def done() -> None:
        nonlocal ready
        ready += 1
        tell("rewrite", ready / files, {})

    lake = project.data / "lake"
    moves = renaming.write_lake(lake, paths, aside / "lake", change.name, done)
    renaming.write_files(doubts, aside / "doubts", change.name, done)
    renaming.write_snapshots(project.snapshots, aside / "snapshots", change.name, done)
    digests = renaming.write_models(
        project.models, versions, aside / "models", _of_users(project, change), done
    )
    return moves, digests


def _of_users(project: Project, change: Change) -> renaming.Name:
    """Renames who is known: a model may hold other ids, of items say, that look alike."""
    known = renaming.everybody(_lake_files(project), project.snapshots)
    known |= set(rows.pseudonyms(project).protect(project.journal.consents())["user"].to_pylist())
    return lambda user: change.name(user) if user in known else user


def _finish(project: Project, new: Veil, tell: Tell) -> Counts:
    """Let the new files be the files and the next key the key; returns the rows rewritten."""
    tell("move", 0.0, {})
    aside = project.data / ASIDE
    renaming.move_in(aside / "lake", project.data / "lake")
    project.lake.drop_unlisted()
    renaming.move_in(aside / "doubts", doubts_folder(project))
    project.snapshots.adopt(aside / "snapshots")
    project.models.adopt(aside / "models")
    rmtree(aside, ignore_errors=True)
    # They are kept by the hash of their test, which is another now; they can be asked again.
    rmtree(project.data / "judged", ignore_errors=True)
    emptied(project.journal.engine)
    told: dict[str, int] = json.loads(project.journal.fact(_fact(new), "{}"))
    put_in_force(project.keys)
    tell("move", 1.0, {})
    return {name: told[name] for name in COUNTED if name in told}


def _fact(veil: Veil) -> str:
    return f"rotated {veil.fingerprint}"


def _lake_files(project: Project) -> list[Path]:
    lake = project.data / "lake"
    return [lake / path for path in renaming.lake_paths(project.journal)]


def _doubts(project: Project) -> list[Path]:
    return sorted(doubts_folder(project).glob("*.parquet"))

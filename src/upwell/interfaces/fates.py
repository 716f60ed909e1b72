"""What became of a user's feedback in the last turn: fetched from the stores."""

from __future__ import annotations

import pyarrow as pa
from duckdb import ColumnExpression, ConstantExpression
from pyarrow import compute as pc

from upwell import rows
from upwell.errors import InterfaceError
from upwell.records import Doubt, Json
from upwell.stages.clean.explain import Fate, fates
from upwell.stages.clean.own_scale import on_own_scale
from upwell.store.doubts import doubts_of
from upwell.store.exclusions import Exclusions
from upwell.store.ledger import Turn
from upwell.store.project import Project
from upwell.tables import event_keys

PARTS = ("train", "validation", "test")


def last_turn(project: Project) -> tuple[Turn, str]:
    """The last turn that has taken feedback in, and its snapshot. Raises InterfaceError."""
    for turn in reversed(project.ledger.turns(project.settings.project.task)):
        made = project.ledger.stage_result(turn.id, "dataset")
        if made is not None:
            return turn, str(made["snapshot"])
    raise InterfaceError("cli.no_turn")


def fates_of(project: Project, user: str) -> tuple[Turn, list[Fate]]:
    """The last turn and what became in it of each event of ``user`` (a raw id), newest first.

    Raises InterfaceError where no turn was, or it knows no event of the user.
    """
    turn, snapshot = last_turn(project)
    hidden = rows.pseudonyms(project).of(user)
    data = project.snapshots.read(snapshot)
    parts = {name: _of(getattr(data, name), hidden) for name in PARTS}
    with rows.workspace(project) as (_, con):
        events = project.lake.events(con, until_seq=turn.watermark).filter(
            ColumnExpression("user") == ConstantExpression(hidden)
        )
        events, rules = on_own_scale(con, events, project.settings.feedback, rows.talks(project))
        given = events.order('"at", seq').to_arrow_table()
        found = fates(
            given,
            doubts_of(rows.doubts_path(project, turn.id), hidden),
            parts,
            rules,
            is_permitted=hidden in rows.permitted_users(project, "train", turn.at).to_pylist(),
            as_of=turn.as_of,
            purged=_purged(project, hidden, given),
        )
    if not found:
        raise InterfaceError("cli.no_user", user=user, turn=turn.id)
    return turn, found


def _purged(project: Project, user: str, events: pa.Table) -> dict[str, Doubt]:
    """The events that a purge has excluded, by key, each with when and why."""
    excluded = {(one.what, one.name): one for one in Exclusions(project.journal).all()}
    found = {}
    for key, source in zip(
        event_keys(events).to_pylist(), events["source"].to_pylist(), strict=True
    ):
        why = excluded.get(("user", user)) or excluded.get(("source", source))
        if why is not None:
            told: dict[str, Json] = {"at": f"{why.at:%Y-%m-%d %H:%M}", "why": why.reason or "–"}
            found[key] = Doubt(key, user, f"clean.purged_{why.what}", 0.0, told)
    return found


def _of(table: pa.Table, user: str) -> pa.Table:
    return table.filter(pc.equal(table["user"], user))

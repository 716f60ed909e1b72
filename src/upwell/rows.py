"""How events become rows: to learn from in a turn, or to answer from right now.

Both go the same way (attribution, signals, behaviour, examples, history), so a model is asked
about a user in the very form in which it learned about users.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pyarrow as pa
from duckdb import ColumnExpression, ConstantExpression, DuckDBPyConnection, DuckDBPyRelation
from pyarrow import parquet as pq

from upwell.records import Event, Signal
from upwell.stages.behaviour.features import features
from upwell.stages.clean.attribution import attribute
from upwell.stages.clean.signals import signals
from upwell.stages.dataset import split
from upwell.stages.dataset.examples import examples
from upwell.stages.dataset.history import with_history
from upwell.stages.protect.consent import permitted
from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.store.files import staging
from upwell.store.lake import connect
from upwell.store.project import Project
from upwell.tables import Dataset, moment, schema, to_table

_BATCH = 500_000


def permitted_users(project: Project, purpose: str, now: datetime) -> pa.Array:
    """Pseudonyms of the users who allow ``purpose`` now."""
    consents = Pseudonyms(project.key).protect(project.journal.consents())
    return permitted(consents, purpose, now)


def written(
    con: DuckDBPyConnection,
    space: Path,
    project: Project,
    events: DuckDBPyRelation,
    predictions: DuckDBPyRelation,
    users: pa.Array,
) -> DuckDBPyRelation:
    """Example rows and ``seq`` of the permitted users, kept in ``space`` as they are read often.

    Nothing here holds more than a batch of rows in memory; DuckDB spills what it sorts.
    """
    behaviour = project.settings.behaviour
    about = attribute(con, events, predictions, behaviour.attribution_days)
    made = examples(
        con,
        events=about,
        signals=_signals(con, space / "signals.parquet", project, about),
        features=features(con, events, behaviour.half_life_days),
        predictions=predictions,
        permitted=users,
        label_sources=project.settings.data.label_sources,
        task=project.settings.project.task,
        group=behaviour.group,
    )
    path = str(space / "examples.parquet")
    made.write_parquet(path)
    return con.read_parquet(path)


def frozen_span(
    project: Project, made: DuckDBPyRelation, task: str, as_of: datetime | None
) -> tuple[datetime, datetime]:
    """The frozen part of time: as set, else chosen by the first turn and kept ever after."""
    settings, ledger = project.settings.split, project.ledger
    if settings.frozen_from is None:
        for turn in ledger.turns(task):
            begin, end = (ledger.stage_result(turn.id, "dataset") or {}).get("frozen", (None, None))
            if begin is not None:
                return moment(begin), moment(end)
    return split.frozen_span(made, settings, as_of)


def funnel(made: DuckDBPyRelation, train: DuckDBPyRelation) -> dict[str, int]:
    """How many rows are about an item and permitted, say something, and are learned from."""
    says = "weight > 0"
    counted = {"examples": made, "signals": made.filter(says), "training": train.filter(says)}
    return {
        name: int(part.aggregate("count(*)").fetchall()[0][0]) for name, part in counted.items()
    }


def asking(project: Project, user: str, now: datetime) -> pa.Table:
    """One row that asks for ``user``: their history and behaviour as known just before ``now``.

    A user who does not allow ``serve`` is answered as somebody nobody knows.
    """
    hidden = Pseudonyms(project.key).of(user)
    known = hidden in permitted_users(project, "serve", now).to_pylist()
    with workspace(project) as (space, con):
        events = _about(project, con, hidden, known, now)
        made = written(
            con, space, project, events, project.lake.predictions(con), pa.array([hidden])
        )
        rows = made.order('"at", seq').to_arrow_table()
    empty = rows.slice(0, 0)
    return with_history(
        Dataset(empty, empty, rows, empty), project.settings.behaviour.history
    ).test.slice(len(rows) - 1)


def texts(project: Project, items: list[str]) -> dict[str, str]:
    """What is known of items (their latest title), by item; items without facts are left out."""
    with workspace(project) as (_, con):
        chosen = [ConstantExpression(item) for item in items]
        facts = project.lake.events(con).filter(
            (ColumnExpression("kind") == ConstantExpression("item"))
            & ColumnExpression("item").isin(*chosen)
        )
        found = facts.order("seq").project("item, payload ->> '$.title'").fetchall()
    return {item: title for item, title in found if title}


@contextmanager
def workspace(project: Project) -> Iterator[tuple[Path, DuckDBPyConnection]]:
    """A folder for what is only needed now, and DuckDB spilling into it."""
    with (
        staging(project.folder / project.settings.data.folder) as space,
        connect(space / "spill") as con,
    ):
        yield space, con


def _about(
    project: Project, con: DuckDBPyConnection, user: str, known: bool, now: datetime
) -> DuckDBPyRelation:
    """The events of one user, the facts about items, and the asking itself as the last event."""
    fact = ColumnExpression("kind") == ConstantExpression("item")
    own = ColumnExpression("user") == ConstantExpression(user)
    events = project.lake.events(con, as_of=now).filter(fact | own if known else fact)
    ask = to_table(Event, [Event("now", "upwell", user, "ask", now, item="-")])
    last = pa.array([project.lake.watermark() + 1], pa.int64())
    return events.union(con.from_arrow(ask.append_column("seq", last)))


def _signals(
    con: DuckDBPyConnection, path: Path, project: Project, events: DuckDBPyRelation
) -> DuckDBPyRelation:
    """Signals of all events, a batch at a time."""
    shape = schema(Event)
    with pq.ParquetWriter(path, schema(Signal)) as writer:
        for batch in events.select(*shape.names).to_arrow_reader(_BATCH):
            table = pa.Table.from_batches([batch]).cast(shape)
            writer.write_table(signals(table, project.settings.feedback))
    return con.read_parquet(str(path))

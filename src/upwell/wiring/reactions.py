"""What users said to answers, by answer: what the guards of feedback look at."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa
from duckdb import ColumnExpression, ConstantExpression, DuckDBPyRelation

from upwell import rows
from upwell.records import Event, Signal
from upwell.stages.clean.attribution import attribute
from upwell.stages.clean.signals import signals
from upwell.stages.evaluate.reactions import awaited, heard
from upwell.store.ledger import Turn
from upwell.store.project import Project
from upwell.tables import schema

_BATCH = 100_000
_SEQ = pa.field("seq", pa.int64())
_EMPTY = pa.table({"user": pa.array([], pa.string())})


def reacted(project: Project, turn: Turn) -> pa.Table:
    """``user``, ``at`` and ``sign`` (null: no feedback) of the latest answers, in order of time.

    Of users who allow analysis, and as far as the turn may know. Empty where no answer is as old
    as the window of ``[guards]``.
    """
    settings = project.settings
    days = settings.retention.analyse_days or settings.guards.window_days
    known = turn.as_of or turn.at
    window = timedelta(days=min(days, settings.guards.window_days))
    if not project.lake.watermark("predictions"):
        return _EMPTY
    with rows.workspace(project) as (_, con):
        users = con.from_arrow(
            pa.table({"user": rows.permitted_users(project, "analyse", turn.at)})
        )
        predictions = project.lake.predictions(con, as_of=known).join(users, "user", "semi")
        answers = con.from_arrow(awaited(predictions, known - window).to_arrow_table())
        first = answers.aggregate('min("at")').fetchall()[0][0]
        if first is None:
            return _EMPTY
        events = rows.events_of(project, con, turn.watermark, known)
        events = events.filter(ColumnExpression("at") >= ConstantExpression(first))
        about = attribute(con, events, answers, settings.behaviour.attribution_days)
        named = about.filter(ColumnExpression("prediction").isnotnull())
        held = con.from_arrow(named.select(*schema(Event).names, "seq").to_arrow_table())
        said = _signals(project, held)
        return heard(con, answers, held, said, int(window / timedelta(microseconds=1)))


def _signals(project: Project, events: DuckDBPyRelation) -> pa.Table:
    """Signals of the events with their ``seq``, a batch at a time."""
    shape = schema(Event).append(_SEQ)
    found = [schema(Signal).append(_SEQ).empty_table()]
    for batch in events.to_arrow_reader(_BATCH):
        table = pa.Table.from_batches([batch]).cast(shape)
        found.append(signals(table, project.settings.feedback))
    return pa.concat_tables(found)

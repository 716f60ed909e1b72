"""How events become rows: to learn from in a turn, or to answer from right now.

Both go the same way (attribution, signals, behaviour, examples, history), so a model is asked
about a user in the very form in which it learned about users.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pyarrow as pa
from duckdb import ColumnExpression, ConstantExpression, DuckDBPyConnection, DuckDBPyRelation
from pyarrow import compute as pc
from pyarrow import parquet as pq

from upwell.plugins import plugin
from upwell.ports import Discerning, Talking, Task
from upwell.records import Event, Example, Signal
from upwell.stages.behaviour.features import features
from upwell.stages.clean.attribution import attribute
from upwell.stages.clean.delay import mature, silences
from upwell.stages.clean.doubts import Judgement, Told, judge_signals
from upwell.stages.clean.implied import implied
from upwell.stages.clean.own_scale import on_own_scale
from upwell.stages.clean.signals import rule_of, signals
from upwell.stages.dataset import split
from upwell.stages.dataset.examples import Scale, examples, owned
from upwell.stages.dataset.history import with_history
from upwell.stages.protect.consent import permitted
from upwell.stages.protect.exclusion import counting
from upwell.stages.protect.pseudonyms import Pseudonyms, Step
from upwell.store.exclusions import Exclusions
from upwell.store.files import staging
from upwell.store.lake import connect
from upwell.store.project import Project
from upwell.store.renaming import first_name
from upwell.tables import Dataset, moment, schema, to_table

_BATCH = 500_000
_SEQ = pa.field("seq", pa.int64())
SIGNALS, SILENCES = "signals.parquet", "silences.parquet"
EXAMPLES, READABLE = "examples.parquet", "readable.parquet"


def pseudonyms(project: Project, steps: Sequence[Step] = ()) -> Pseudonyms:
    """The pseudonyms of a project's users as they are stored now."""
    return Pseudonyms(project.key, steps, project.veil.over)


def permitted_users(project: Project, purpose: str, now: datetime) -> pa.Array:
    """Pseudonyms of the users who allow ``purpose`` now and were not purged."""
    consents = pseudonyms(project).protect(project.journal.consents())
    users = permitted(consents, purpose, now)
    purged = pa.array(Exclusions(project.journal).names("user"), pa.string())
    return users.filter(pc.invert(pc.is_in(users, purged)))


def events_of(
    project: Project,
    con: DuckDBPyConnection,
    until_seq: int | None = None,
    as_of: datetime | None = None,
) -> DuckDBPyRelation:
    """The events that count, as ``Lake.events`` gives them: without those that were purged."""
    excluded = Exclusions(project.journal)
    events = project.lake.events(con, until_seq, as_of)
    return counting(con, events, excluded.names("user"), excluded.names("source"))


def written(
    con: DuckDBPyConnection,
    space: Path,
    project: Project,
    events: DuckDBPyRelation,
    predictions: DuckDBPyRelation,
    users: pa.Array,
    known: datetime,
) -> DuckDBPyRelation:
    """Example rows and ``seq`` of the permitted users, kept in ``space`` as they are read often.

    What nobody sent is among them (``seq`` < 0), up to the moment ``known``: silence where outcomes
    are awaited, and how conversations go on.
    Nothing here holds more than a batch of rows in memory; DuckDB spills what it sorts.
    """
    behaviour, task = project.settings.behaviour, project.settings.project.task
    kind = plugin("tasks", task).ABOUT
    if kind == "answer":
        events = owned(con, events)
    if project.settings.trust.maturity_days:
        events = _with_silences(con, space / SILENCES, project, events, predictions, known)
    if project.settings.trust.implied and talks(project):
        events = _joined(events, implied(con, predictions, known))
    about = attribute(con, events, predictions, behaviour.attribution_days)
    made = examples(
        con,
        events=about,
        signals=_signals(con, space / SIGNALS, project, about),
        features=features(con, events, behaviour.half_life_days),
        predictions=predictions,
        permitted=users,
        label_sources=project.settings.data.label_sources,
        task=task,
        group=behaviour.group,
        about=kind,
        scales=scales(project),
    )
    path = str(space / EXAMPLES)
    made.write_parquet(path)
    return _readable(con, space, plugin("tasks", task), con.read_parquet(path))


def _readable(
    con: DuckDBPyConnection, space: Path, task: Task, made: DuckDBPyRelation
) -> DuckDBPyRelation:
    """The rows that the task can read, where it tells them apart."""
    if task.ABOUT != "answer" or not isinstance(task, Discerning):
        return made
    path, reader = space / READABLE, made.to_arrow_reader(_BATCH)
    with pq.ParquetWriter(path, reader.schema) as writer:
        for batch in reader:
            table = pa.Table.from_batches([batch])
            writer.write_table(table.filter(task.readable(table)))
    return con.read_parquet(str(path))


def judgement(
    con: DuckDBPyConnection,
    space: Path,
    project: Project,
    events: DuckDBPyRelation,
    predictions: DuckDBPyRelation,
    users: pa.Array,
    made: DuckDBPyRelation,
    frozen: tuple[datetime, datetime],
    as_of: datetime | None,
    known: datetime,
) -> Judgement:
    """Why signals of the rows that ``written`` made in ``space`` count other than as given."""
    settings, kind = project.settings, plugin("tasks", project.settings.project.task).ABOUT
    awaiting = bool(settings.trust.maturity_days)
    told = Told(
        signals=con.read_parquet(str(space / SIGNALS)),
        events=events,
        predictions=predictions,
        rows=made,
        permitted=con.from_arrow(pa.table({"user": users})),
        silences=con.read_parquet(str(space / SILENCES)) if awaiting else None,
        about=kind,
        judged=split.judged(settings.split, kind, frozen, first_name(con, project.veil)),
        as_of=as_of,
        now=known,
    )
    return judge_signals(con, space, told, settings.trust, settings.tune.flip_rate)


def doubts_path(project: Project, turn: str) -> Path:
    """Where the doubts of a turn are kept."""
    return project.data / "doubts" / f"{turn}.parquet"


def scales(project: Project) -> dict[str, Scale]:
    """The kinds of event whose value rates an item, each with the ends of its scale."""
    rules = project.settings.feedback
    reads = {"rating": "rating"} | {kind: rule.reads or kind for kind, rule in rules.items()}
    found: dict[str, Scale] = {"label": (None, None)}
    for kind in (kind for kind, reader in reads.items() if reader == "rating"):
        known = rule_of(kind, rules)
        if known is not None:
            found[kind] = (known[1].low, known[1].high)
    return found


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


def asking(project: Project, users: Sequence[str], now: datetime) -> pa.Table:
    """A row that asks for each user: their history and behaviour as known just before ``now``.

    A user who does not allow ``serve`` is answered as somebody nobody knows. Reads the whole lake;
    ``wiring.known`` keeps the same rows ready for requests.
    """
    hidden = [pseudonyms(project).of(user) for user in users]
    known = set(permitted_users(project, "serve", now).to_pylist()) & set(hidden)
    asked = list(dict.fromkeys(hidden))
    with workspace(project) as (space, con):
        events = _about(project, con, asked, sorted(known), now)
        shown = project.lake.predictions(con)
        made = written(con, space, project, events, shown, pa.array(asked), now)
        rows = made.order('"user", "at", seq, id').to_arrow_table()
    empty = rows.slice(0, 0)
    told = Dataset(empty, empty, rows, empty)
    found = with_history(told, project.settings.behaviour.history).test
    # The asking itself is the last row of each user, whose rows stand in order of time.
    last = {user: place for place, user in enumerate(rows["user"].to_pylist())}
    found = found.take(pa.array([last[user] for user in hidden], pa.int64()))
    place = found.schema.get_field_index("user")
    named = pa.array([user if user in known else "" for user in hidden], pa.string())
    return found.set_column(place, found.schema.field(place), named)


def questions(
    project: Project, users: Sequence[str], inputs: Sequence[str], now: datetime
) -> pa.Table:
    """One row for each input of a task about answers, asked by the user beside it, in order."""
    hidden, task = pseudonyms(project), project.settings.project.task
    asked = [
        Example(str(n), hidden.of(user), task, text, "", None, 0.0, 1.0, None, "", now, ())
        for n, (user, text) in enumerate(zip(users, inputs, strict=True))
    ]
    return to_table(Example, asked)


@contextmanager
def workspace(project: Project) -> Iterator[tuple[Path, DuckDBPyConnection]]:
    """A folder for what is only needed now, and DuckDB spilling into it."""
    with (
        staging(project.data) as space,
        connect(space / "spill") as con,
    ):
        yield space, con


def _about(
    project: Project, con: DuckDBPyConnection, users: list[str], known: list[str], now: datetime
) -> DuckDBPyRelation:
    """Facts about items, events of the known users, and every user's asking as the last event."""
    about = ColumnExpression("kind") == ConstantExpression("item")
    if known:
        about |= ColumnExpression("user").isin(*(ConstantExpression(user) for user in known))
    events = events_of(project, con, as_of=now).filter(about)
    ask = to_table(Event, [Event("now", "upwell", user, "ask", now, item="-") for user in users])
    first = project.lake.watermark() + 1
    last = pa.array(range(first, first + len(users)), pa.int64())
    return events.union(con.from_arrow(ask.append_column("seq", last)))


def said(
    con: DuckDBPyConnection, space: Path, project: Project, events: DuckDBPyRelation
) -> DuckDBPyRelation:
    """Signals of attributed events (Signal columns and ``seq``), kept in ``space``."""
    return _signals(con, space / SIGNALS, project, events)


def _signals(
    con: DuckDBPyConnection, path: Path, project: Project, events: DuckDBPyRelation
) -> DuckDBPyRelation:
    """Signals of all events with their ``seq``, a batch at a time."""
    shape = schema(Event).append(_SEQ)
    events, rules = on_own_scale(con, events, project.settings.feedback, talks(project))
    with pq.ParquetWriter(path, schema(Signal).append(_SEQ)) as writer:
        for batch in events.select(*shape.names).to_arrow_reader(_BATCH):
            table = pa.Table.from_batches([batch]).cast(shape)
            writer.write_table(signals(table, rules))
    return con.read_parquet(str(path))


def talks(project: Project) -> bool:
    """Whether the project's task holds conversations."""
    return isinstance(plugin("tasks", project.settings.project.task), Talking)


def _with_silences(
    con: DuckDBPyConnection,
    path: Path,
    project: Project,
    events: DuckDBPyRelation,
    predictions: DuckDBPyRelation,
    known: datetime,
) -> DuckDBPyRelation:
    """The events, and silence to what was shown as far as it has become a no by ``known``."""
    days = project.settings.trust.maturity_days
    silences(con, events, predictions, days, known).write_parquet(str(path))
    return _joined(events, mature(con.read_parquet(str(path)), known))


def _joined(events: DuckDBPyRelation, more: DuckDBPyRelation) -> DuckDBPyRelation:
    shape = [*schema(Event).names, _SEQ.name]
    return events.select(*shape).union(more.select(*shape))

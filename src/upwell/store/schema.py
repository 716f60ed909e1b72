"""Everything the journal's database holds, as SQL tables derived from the nouns.

Times are microseconds since 1970 in UTC; lists and mappings are JSON text. ``seq`` counts what
was accepted, in order, and is never given twice, so "after seq n" means the same for ever.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    literal,
)
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

from upwell.records import BadRow, Consent, Decision, Event, ModelVersion, Prediction, Report
from upwell.tables import Record, schema

metadata = MetaData()
# Text is in the order of its characters' numbers on either database. In PostgreSQL the order of a
# language would change with the operating system, and break unique indexes unseen.
TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def _sql(kind: pa.DataType) -> TypeEngine[Any]:
    if pa.types.is_timestamp(kind) or pa.types.is_integer(kind):
        return BigInteger()
    if pa.types.is_floating(kind):
        return Float(53)
    return Boolean() if pa.types.is_boolean(kind) else TEXT


def _table(name: str, noun: type[Record], *more: SchemaItem, key: str = "") -> Table:
    """The SQL table of a noun, with ``more`` columns and constraints."""
    columns = [
        Column(f.name, _sql(f.type), nullable=f.nullable, primary_key=f.name == key)
        for f in schema(noun)
    ]
    return Table(name, metadata, *columns, *more, sqlite_autoincrement=not key)


def _seq() -> Column[int]:
    # SQLite counts rows in an INTEGER key; PostgreSQL needs the wide one.
    wide = BigInteger().with_variant(Integer(), "sqlite")
    return Column("seq", wide, primary_key=True, autoincrement=True)


events = _table(
    "events",
    Event,
    _seq(),
    Column("body", LargeBinary, nullable=False),
    Column("received", BigInteger, nullable=False),
    UniqueConstraint("source", "id"),
)
predictions = _table("predictions", Prediction, _seq(), UniqueConstraint("id"))
consents = _table("consents", Consent, _seq(), UniqueConstraint("id"))
IS_FACT = events.c.kind == literal("item", literal_execute=True)
"""A query that says so in these words finds the indexes over facts about items."""
Index("events_of_a_user", events.c.user, events.c.seq)
Index("consents_of_a_user", consents.c.user, consents.c.seq)
Index("facts_in_order", events.c.seq, sqlite_where=IS_FACT, postgresql_where=IS_FACT)
Index(
    "facts_of_an_item",
    events.c.item,
    events.c.seq,
    sqlite_where=IS_FACT,
    postgresql_where=IS_FACT,
)
bad_rows = _table("bad_rows", BadRow, _seq())

versions = _table("versions", ModelVersion, key="id")
reports = _table("reports", Report, key="id")
decisions = _table("decisions", Decision, key="id")

aliases = Table(
    "aliases",
    metadata,
    _seq(),
    Column("task", TEXT, nullable=False),
    Column("version", TEXT, ForeignKey("versions.id"), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("decision", TEXT, ForeignKey("decisions.id"), nullable=False),
)
Index(
    "one_champion_per_task",
    aliases.c.task,
    unique=True,
    sqlite_where=aliases.c.until.is_(None),
    postgresql_where=aliases.c.until.is_(None),
)

turns = Table(
    "turns",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("task", TEXT, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("watermark", BigInteger, nullable=False),
    Column("as_of", BigInteger),
    Column("options", TEXT, nullable=False),
    Column("closed", BigInteger),
)
Index(
    "one_unfinished_turn_per_task",
    turns.c.task,
    unique=True,
    sqlite_where=turns.c.closed.is_(None),
    postgresql_where=turns.c.closed.is_(None),
)
stage_results = Table(
    "stage_results",
    metadata,
    Column("turn", TEXT, ForeignKey("turns.id"), nullable=False),
    Column("stage", TEXT, nullable=False),
    Column("result", TEXT, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("turn", "stage"),
)
looks = Table(
    "looks",
    metadata,
    Column("test", TEXT, nullable=False),
    Column("turn", TEXT, ForeignKey("turns.id"), nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("test", "turn"),
)

lake_files = Table(
    "lake_files",
    metadata,
    Column("path", TEXT, primary_key=True),
    Column("noun", TEXT, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
)
lake_marks = Table(
    "lake_marks",
    metadata,
    Column("noun", TEXT, primary_key=True),
    Column("seq", BigInteger, nullable=False),
)
facts = Table(
    "facts",
    metadata,
    Column("name", TEXT, primary_key=True),
    Column("value", TEXT, nullable=False),
)
trials = Table(
    "trials",
    metadata,
    Column("id", TEXT, primary_key=True),
    Column("task", TEXT, nullable=False),
    Column("champion", TEXT, ForeignKey("versions.id"), nullable=False),
    Column("challenger", TEXT, ForeignKey("versions.id"), nullable=False),
    Column("mode", TEXT, nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("options", TEXT, nullable=False),
    Column("chances", TEXT, nullable=False),
    Column("ended", BigInteger),
    Column("outcome", TEXT),
    Column("reason", TEXT),
)
Index(
    "one_running_trial_per_task",
    trials.c.task,
    unique=True,
    sqlite_where=trials.c.ended.is_(None),
    postgresql_where=trials.c.ended.is_(None),
)
exclusions = Table(
    "exclusions",
    metadata,
    _seq(),
    Column("what", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("reason", TEXT, nullable=False),
    UniqueConstraint("what", "name"),
    sqlite_autoincrement=True,
)
taints = Table(
    "taints",
    metadata,
    Column("version", TEXT, ForeignKey("versions.id"), nullable=False),
    Column("exclusion", BigInteger, ForeignKey("exclusions.seq"), nullable=False),
    Column("rows", BigInteger),
    PrimaryKeyConstraint("version", "exclusion"),
)
api_keys = Table(
    "api_keys",
    metadata,
    Column("public", TEXT, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("scopes", TEXT, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),
)
api_key_ends = Table(
    "api_key_ends",
    metadata,
    _seq(),
    Column("public", TEXT, ForeignKey("api_keys.public"), nullable=False),
    Column("at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
erasures = Table(
    "erasures",
    metadata,
    _seq(),
    Column("id", TEXT, nullable=False, unique=True),
    Column("user", TEXT, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("asked", BigInteger, nullable=False),
    Column("counts", TEXT, nullable=False),
    Column("erased", BigInteger),
    Column("done", BigInteger),
    sqlite_autoincrement=True,
)
erased_events = Table(
    "erased_events",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
)
erasure_taints = Table(
    "erasure_taints",
    metadata,
    Column("erasure", TEXT, ForeignKey("erasures.id"), nullable=False),
    Column("version", TEXT, ForeignKey("versions.id"), nullable=False),
    Column("rows", BigInteger),
    PrimaryKeyConstraint("erasure", "version"),
)

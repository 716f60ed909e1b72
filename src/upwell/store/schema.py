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
)
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

from upwell.records import BadRow, Consent, Decision, Event, ModelVersion, Prediction, Report
from upwell.tables import Record, schema

metadata = MetaData()


def _sql(kind: pa.DataType) -> TypeEngine[Any]:
    if pa.types.is_timestamp(kind) or pa.types.is_integer(kind):
        return BigInteger()
    if pa.types.is_floating(kind):
        return Float(53)
    return Boolean() if pa.types.is_boolean(kind) else Text()


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
bad_rows = _table("bad_rows", BadRow, _seq())

versions = _table("versions", ModelVersion, key="id")
reports = _table("reports", Report, key="id")
decisions = _table("decisions", Decision, key="id")

aliases = Table(
    "aliases",
    metadata,
    _seq(),
    Column("task", Text, nullable=False),
    Column("version", Text, ForeignKey("versions.id"), nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("decision", Text, ForeignKey("decisions.id"), nullable=False),
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
    Column("id", Text, primary_key=True),
    Column("task", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("watermark", BigInteger, nullable=False),
    Column("as_of", BigInteger),
    Column("options", Text, nullable=False),
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
    Column("turn", Text, ForeignKey("turns.id"), nullable=False),
    Column("stage", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("turn", "stage"),
)
looks = Table(
    "looks",
    metadata,
    Column("test", Text, nullable=False),
    Column("turn", Text, ForeignKey("turns.id"), nullable=False),
    Column("at", BigInteger, nullable=False),
    PrimaryKeyConstraint("test", "turn"),
)

lake_files = Table(
    "lake_files",
    metadata,
    Column("path", Text, primary_key=True),
    Column("noun", Text, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
)
lake_marks = Table(
    "lake_marks",
    metadata,
    Column("noun", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
)
facts = Table(
    "facts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
trials = Table(
    "trials",
    metadata,
    Column("id", Text, primary_key=True),
    Column("task", Text, nullable=False),
    Column("champion", Text, ForeignKey("versions.id"), nullable=False),
    Column("challenger", Text, ForeignKey("versions.id"), nullable=False),
    Column("mode", Text, nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("options", Text, nullable=False),
    Column("chances", Text, nullable=False),
    Column("ended", BigInteger),
    Column("outcome", Text),
    Column("reason", Text),
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
    Column("what", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    UniqueConstraint("what", "name"),
    sqlite_autoincrement=True,
)
taints = Table(
    "taints",
    metadata,
    Column("version", Text, ForeignKey("versions.id"), nullable=False),
    Column("exclusion", BigInteger, ForeignKey("exclusions.seq"), nullable=False),
    Column("rows", BigInteger),
    PrimaryKeyConstraint("version", "exclusion"),
)
api_keys = Table(
    "api_keys",
    metadata,
    Column("public", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),
)
api_key_ends = Table(
    "api_key_ends",
    metadata,
    _seq(),
    Column("public", Text, ForeignKey("api_keys.public"), nullable=False),
    Column("at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

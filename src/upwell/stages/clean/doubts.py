"""All doubts of one turn, each check where the settings ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from duckdb import (
    ColumnExpression,
    ConstantExpression,
    DuckDBPyConnection,
    DuckDBPyRelation,
    Expression,
)

from upwell.settings import TrustSettings
from upwell.stages.clean import position, rings, selection, trust
from upwell.stages.clean.acts import acts
from upwell.stages.clean.campaign import pushed
from upwell.stages.clean.consistency import DOUBTS
from upwell.stages.clean.delay import immature
from upwell.stages.clean.implied import overruled
from upwell.stages.clean.lift import triggers
from upwell.stages.clean.rated import doubted_users, rated
from upwell.stages.clean.unfinished import unfinished

_TASKS = {"answers": ("answer",), "everything": ("answer", "item", "value"), "nothing": ()}


@dataclass(frozen=True, slots=True)
class Told:
    """What a turn has heard, as relations.

    ``signals`` (with ``seq``) of ``events``, about ``predictions`` where they name one, the
    Example ``rows`` (with ``seq``) made of them, the ``permitted`` users, and ``silences`` where
    outcomes are awaited. ``about`` is what the task's rows are about; ``judged`` says which of
    them a model is judged by. The turn knows what was before ``as_of`` (None: all); it is ``now``.
    """

    signals: DuckDBPyRelation
    events: DuckDBPyRelation
    predictions: DuckDBPyRelation
    rows: DuckDBPyRelation
    permitted: DuckDBPyRelation
    silences: DuckDBPyRelation | None
    about: str
    judged: Expression
    as_of: datetime | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a turn thinks of its signals, as relations.

    ``doubts`` (columns ``DOUBTS``), and ``rated``: ``seq`` and ``reliability`` of the signals of
    users whose reliability was estimated; None where nobody's was.
    """

    doubts: DuckDBPyRelation
    rated: DuckDBPyRelation | None


def judge_signals(
    con: DuckDBPyConnection, space: Path, told: Told, settings: TrustSettings, flip_rate: float
) -> Judgement:
    """Every doubt of the turn, kept in ``space``, and the reliability of its users.

    Rows that are judged are compared with each other alone and never weighed up, so that later
    turns count them the same. ``flip_rate`` is that of a wholly reliable user.
    """
    found = [
        trust.unheard(
            con, told.signals, told.events, told.predictions, told.rows, told.permitted, told.about
        )
    ]
    rates = None
    if told.about in _TASKS[settings.about]:
        doubts, rates = _of_users(con, space, told, settings, flip_rate)
        found += doubts
    elif settings.about != "nothing":
        heard = trust.heard(con, told.rows, told.judged, told.as_of)
        found.append(_of_crowds(con, space, heard, told, settings))
    if told.about == "answer" and settings.about != "nothing" and settings.triggers != "off":
        found.append(_of_triggers(con, space, told, found))
    if told.silences is not None:
        found.append(_of_permitted(con, immature(told.silences, told.now), told.permitted))
    if told.about == "answer":
        found += [
            unfinished(con, told.rows, told.events, told.predictions),
            overruled(con, _learned(told)),
        ]
    found += _weighed(con, told, settings)
    merged = trust.none(con)
    for one in found:
        merged = merged.union(one.select(*DOUBTS))
    return Judgement(trust.stored(con, merged, space / "doubts.parquet"), rates)


def _of_users(
    con: DuckDBPyConnection, space: Path, told: Told, settings: TrustSettings, flip_rate: float
) -> tuple[list[DuckDBPyRelation], DuckDBPyRelation | None]:
    """Doubts about what users say, and their reliability where it is asked for."""
    heard = trust.heard(con, told.rows, told.judged, told.as_of)
    doubts = trust.doubted(con, space, heard, settings)
    left = trust.undoubted(con, heard, doubts)
    crowds = _of_crowds(con, space, left, told, settings)
    doubts = doubts.union(crowds)
    if settings.reliability == "off":
        return [doubts], None
    left = trust.undoubted(con, left, crowds)
    rates = rated(con, left, told.signals, told.predictions, flip_rate)
    if rates is None:
        return [doubts], None
    kept = trust.stored(con, rates, space / "rated.parquet")
    return [doubts, doubted_users(kept)], kept


def _of_crowds(
    con: DuckDBPyConnection,
    space: Path,
    left: DuckDBPyRelation,
    told: Told,
    settings: TrustSettings,
) -> DuckDBPyRelation:
    """Doubts about single users who push one thing, and accounts that act together."""
    said = trust.stored(con, acts(con, left, told.rows, told.events), space / "acts.parquet")
    found = pushed(con, said, settings.pushed)
    if settings.crowds != "off":
        for crowd in (rings.surging(con, said, told.about), rings.lockstep(con, said)):
            found = found.union(crowd.select(*DOUBTS))
    return trust.stored(con, found.select(*DOUBTS), space / "crowds.parquet")


def _of_triggers(
    con: DuckDBPyConnection, space: Path, told: Told, doubts: list[DuckDBPyRelation]
) -> DuckDBPyRelation:
    """Doubts about learned rows whose answer hangs on a rare sequence of words."""
    left = _learned(told)
    for one in doubts:
        left = trust.undoubted(con, left, one)
    return trust.stored(con, triggers(con, left).select(*DOUBTS), space / "triggers.parquet")


def _weighed(
    con: DuckDBPyConnection, told: Told, settings: TrustSettings
) -> list[DuckDBPyRelation]:
    """What signals that are learned from count by their place and by who reacts at all."""
    signals, found = _of_rows(con, told.signals, _learned(told).select("seq")), []
    if settings.position == "estimate":
        theta = position.estimate(con, signals, told.events, told.predictions)
        if theta is not None:
            found.append(position.weighed(con, signals, told.events, told.predictions, theta))
    if settings.selection == "estimate":
        rates = selection.estimate(con, signals, told.predictions)
        if rates is not None:
            found.append(selection.weighed(con, signals, told.events, con.from_arrow(rates)))
    return found


def _learned(told: Told) -> DuckDBPyRelation:
    """The rows that nothing is judged by, as far as the turn knows them."""
    left = told.rows.filter(~told.judged)
    if told.as_of is not None:
        left = left.filter(ColumnExpression("at") < ConstantExpression(told.as_of))
    return left


def _of_rows(
    con: DuckDBPyConnection, signals: DuckDBPyRelation, rows: DuckDBPyRelation
) -> DuckDBPyRelation:
    return con.query("SELECT * FROM signals SEMI JOIN rows USING (seq)")


def _of_permitted(
    con: DuckDBPyConnection, doubts: DuckDBPyRelation, permitted: DuckDBPyRelation
) -> DuckDBPyRelation:
    return con.query('SELECT * FROM doubts SEMI JOIN permitted USING ("user")')

"""Train, validation and the frozen test: disjoint in time, in users, or in inputs.

By time, the frozen test is every row from ``frozen_from`` up to ``frozen_until``. A turn learns
from what lies outside it and before its own moment; the last part of that is for validation.
Rows between the turn's moment and the frozen part are learned by no turn that has not come to
them. By users or inputs, a share of all of them, told by a hash, is never learned from.

Where rows are about answers, an input belongs to one part alone, whatever the parts are disjoint
in: rows whose input is judged by are learned from by nobody, and those that validation asks are
left out of train.

Test holds, beside its rows, all that serving would have known before them: earlier rows of the
same users at weight 0, whatever the turn's moment, with the signs they have. So every turn is
judged on the same rows with the same histories. A row of weight 0 is never judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from duckdb import (
    CaseExpression,
    ColumnExpression,
    ConstantExpression,
    DuckDBPyConnection,
    DuckDBPyRelation,
    Expression,
    FunctionExpression,
)

from upwell.errors import StageError
from upwell.settings import SplitSettings
from upwell.tables import moment

_at = ColumnExpression("at")
_NEVER = datetime(2200, 1, 1, tzinfo=UTC)
_WHOLE = 16**8


@dataclass(frozen=True, slots=True)
class Cuts:
    """The moments that divide the rows of a turn; each part holds its first moment."""

    validation_from: datetime
    as_of: datetime
    frozen_from: datetime
    frozen_until: datetime


def frozen_span(
    examples: DuckDBPyRelation, settings: SplitSettings, as_of: datetime | None
) -> tuple[datetime, datetime]:
    """When the frozen test begins and ends: as set, else the last share of rows before ``as_of``.

    A share of the rows and not of the days, so that one stray date moves nothing. Choose it once
    and keep it: a test that moves is not frozen.
    """
    if settings.frozen_from is not None:
        return settings.frozen_from, settings.frozen_until or _NEVER
    known = examples.filter(_before(as_of or _NEVER))
    begin = _from_share(known, settings.test_share)
    last = known.aggregate('max(epoch_us("at"))').fetchall()[0][0]
    if begin is None:
        raise StageError("dataset.empty_split", split="test", share=settings.test_share)
    return begin, settings.frozen_until or moment(last + 1)


def cuts(
    examples: DuckDBPyRelation,
    settings: SplitSettings,
    frozen: tuple[datetime, datetime],
    as_of: datetime | None,
) -> Cuts:
    """The turn's cuts. Validation begins where the last share of the rows to learn from does."""
    now = as_of or _NEVER
    learned = examples.filter(_before(now) & ~_between(*frozen))
    return Cuts(_from_share(learned, settings.validation_share) or now, now, *frozen)


def assign(
    con: DuckDBPyConnection,
    examples: DuckDBPyRelation,
    settings: SplitSettings,
    cuts: Cuts,
    about: str = "item",
    user: Expression | None = None,
) -> dict[str, DuckDBPyRelation]:
    """``train``, ``validation`` and ``test``, each in order of user, time and arrival.

    ``user`` is what the part of a user's rows is told by, where it is not the column of that name.
    ``examples`` are read several times: keep them in Parquet or a table. Raises StageError
    ``dataset.empty_split`` when a part has nothing to learn from or to judge by.
    """
    by = disjoint(settings, about)
    if by == "time":
        parts = _by_time(con, examples, cuts)
    else:
        parts = _by_hash(examples, settings, cuts, _of(by, user))
    if about == "answer" and by != "inputs":
        parts = _apart(con, parts)
    shares = {"validation": settings.validation_share, "test": settings.test_share}
    for name, part in parts.items():
        share = shares.get(name, 1.0 - sum(shares.values()))
        if share > 0 and not part.filter(_counts()).select("seq").limit(1).fetchall():
            raise StageError("dataset.empty_split", split=name, share=round(share, 4))
    return {name: part.order('"user", "at", seq, id') for name, part in parts.items()}


def disjoint(settings: SplitSettings, about: str) -> str:
    """What parts are disjoint in: ``time``, ``users`` or ``inputs``.

    >>> disjoint(SplitSettings(), "answer"), disjoint(SplitSettings(), "item")
    ('inputs', 'time')
    """
    if settings.disjoint != "auto":
        return settings.disjoint
    return "inputs" if about == "answer" and settings.frozen_from is None else "time"


def judged(
    settings: SplitSettings,
    about: str,
    frozen: tuple[datetime, datetime],
    user: Expression | None = None,
) -> Expression:
    """Which rows, by themselves, fall into the test; ``user`` as in ``assign``."""
    by = disjoint(settings, about)
    if by == "time":
        return _between(*frozen)
    place = _place(settings.seed, _of(by, user))
    return place < ConstantExpression(settings.test_share * _WHOLE)


def _by_time(
    con: DuckDBPyConnection, examples: DuckDBPyRelation, cuts: Cuts
) -> dict[str, DuckDBPyRelation]:
    frozen = _between(cuts.frozen_from, cuts.frozen_until)
    learned = examples.filter(_before(cuts.as_of) & ~frozen)
    users = examples.filter(frozen).select("user").distinct()
    known = _of_users(con, examples.filter(_before(cuts.frozen_until)), users)
    return {
        "train": learned.filter(_before(cuts.validation_from)),
        "validation": learned.filter(~_before(cuts.validation_from)),
        "test": known.select(*_columns_as_context(known, _before(cuts.frozen_from))),
    }


def _by_hash(
    examples: DuckDBPyRelation, settings: SplitSettings, cuts: Cuts, of: Expression
) -> dict[str, DuckDBPyRelation]:
    place, known = _place(settings.seed, of), _before(cuts.as_of)
    test = ConstantExpression(settings.test_share * _WHOLE)
    kept = ConstantExpression((settings.test_share + settings.validation_share) * _WHOLE)
    return {
        "train": examples.filter(known & (place >= kept)),
        "validation": examples.filter(known & (place >= test) & (place < kept)),
        "test": examples.filter(place < test),
    }


_APART = """
SELECT * FROM rows ANTI JOIN (SELECT DISTINCT input FROM others WHERE weight > 0) USING (input)
"""


def _apart(
    con: DuckDBPyConnection, parts: dict[str, DuckDBPyRelation]
) -> dict[str, DuckDBPyRelation]:
    """The parts without rows whose input a later part asks; histories are none of these tasks'."""
    test = parts["test"].filter(_counts())
    validation = _without(con, parts["validation"], test)
    train = _without(con, _without(con, parts["train"], test), validation)
    return {"train": train, "validation": validation, "test": test}


def _without(
    con: DuckDBPyConnection, rows: DuckDBPyRelation, others: DuckDBPyRelation
) -> DuckDBPyRelation:
    """The rows whose input none of the others that count has."""
    return con.query(_APART)


def _of_users(
    con: DuckDBPyConnection, examples: DuckDBPyRelation, users: DuckDBPyRelation
) -> DuckDBPyRelation:
    return con.query('SELECT * FROM examples SEMI JOIN users USING ("user")')


def _columns_as_context(examples: DuckDBPyRelation, where: Expression) -> list[Expression]:
    """All columns; rows of ``where`` weigh nothing: part of a history and nothing else."""
    weight = ColumnExpression("weight")
    left = CaseExpression(where, ConstantExpression(0.0)).otherwise(weight).alias("weight")
    return [left if name == "weight" else ColumnExpression(name) for name in examples.columns]


def _from_share(examples: DuckDBPyRelation, share: float) -> datetime | None:
    """The moment from which the last share of the rows that count is; None without such rows."""
    counted = examples.filter(_counts()).project('epoch_us("at") AS t')
    found = counted.quantile_disc("t", 1.0 - share).fetchall()[0][0]
    return None if found is None else moment(found)


def _of(by: str, user: Expression | None) -> Expression:
    """What tells the part of a row that is told by a hash."""
    if by != "users":
        return ColumnExpression("input")
    return ColumnExpression("user") if user is None else user


def _place(seed: int, text: Expression) -> Expression:
    """Where a text stands between 0 and ``_WHOLE``, evenly spread, the same on every machine."""
    salted = FunctionExpression("concat", ConstantExpression(f"{seed}:"), text)
    first = FunctionExpression("left", FunctionExpression("sha256", salted), ConstantExpression(8))
    return FunctionExpression("concat", ConstantExpression("0x"), first).cast("BIGINT")


def _before(end: datetime) -> Expression:
    return _at < ConstantExpression(end)


def _between(begin: datetime, end: datetime) -> Expression:
    return (_at >= ConstantExpression(begin)) & (_at < ConstantExpression(end))


def _counts() -> Expression:
    return ColumnExpression("weight") > ConstantExpression(0.0)

"""No feature knows the future: change everything from a moment on, and nothing at it changes.

For every user a moment is drawn among the moments of the user's own acts. A second world is the
same before that moment; from it on every act is another one (kind, item, value) and more acts
happen. A row at or before its user's moment must have the same features in both worlds: so it
used nothing that happened at its own moment or later.
"""

from __future__ import annotations

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from pyarrow import compute as pc

from upwell.records import Event
from upwell.stages.behaviour import features as stage
from upwell.stages.behaviour.features import FEATURES, features
from upwell.tables import TIME, schema

Ints = npt.NDArray[np.int64]
SPAN = 20 * 86_400
START = 1_600_000_000_000_000
LONG_AGO = 1_500_000_000_000_000
ITEMS = 500
KINDS = pa.array(["rating", "click", "dwell", "purchase", "thumbs", "skip", "view"])
SHAPE = schema(Event).append(pa.field("seq", pa.int64()))


def times(rows: int, rng: np.random.Generator) -> Ints:
    """Whole seconds, so that some users do several things at one moment; µs since 1970."""
    return START + rng.integers(0, SPAN, rows) * 1_000_000


def acts(at: Ints, users: Ints, rng: np.random.Generator, seq: int = 10 * ITEMS) -> pa.Table:
    """One random act of each user at each time."""
    rows = len(at)
    value = np.where(rng.random(rows) < 0.1, np.nan, rng.normal(20.0, 60.0, rows))
    columns = {
        "user": pa.array(users).cast(pa.string()),
        "kind": KINDS.take(pa.array(rng.integers(0, len(KINDS), rows))),
        "payload": pa.array(["{}"] * rows),
        "value": pa.array(value, from_pandas=True),
    }
    return table(columns, at, rng.integers(0, ITEMS, rows), seq)


def facts(at: Ints, rng: np.random.Generator) -> pa.Table:
    """One fact at each time, each about a random item."""
    said = [f'{{"genres":["g{genre}"]}}' for genre in rng.integers(0, 10, len(at))]
    columns = {
        "user": pa.array([""] * len(at)),
        "kind": pa.array(["item"] * len(at)),
        "payload": pa.array(said),
        "value": pa.nulls(len(at), pa.float64()),
    }
    return table(columns, at, rng.integers(0, ITEMS, len(at)), 0)


def table(columns: dict[str, pa.Array], at: Ints, items: Ints, seq: int) -> pa.Table:
    rows = len(at)
    columns |= {
        "id": pa.array(np.arange(rows) + seq).cast(pa.string()),
        "source": pa.array(["web"] * rows),
        "at": pa.array(at, TIME),
        "prediction": pa.nulls(rows, pa.string()),
        "item": pa.array(items).cast(pa.string()),
        "seq": pa.array(np.arange(rows) + seq),
    }
    return pa.table(columns).select(SHAPE.names).cast(SHAPE)


def leaks(con: duckdb.DuckDBPyConnection, rows: int, rng: np.random.Generator) -> tuple[int, Ints]:
    """How many rows were checked, and of how many each feature changed with the future."""
    users = rows // 100
    at, user = times(rows, rng), rng.integers(0, users, rows)
    moments = np.full(users, START + SPAN * 1_000_000)
    drawn = rng.permutation(rows)
    moments[user[drawn]] = at[drawn]
    shop = facts(np.full(2 * ITEMS, LONG_AGO), rng)
    one, changed = acts(at, user, rng), acts(at, user, rng)
    for name in ("kind", "item", "value"):
        mixed = pc.if_else(pa.array(at < moments[user]), one[name], changed[name])
        changed = changed.set_column(changed.schema.names.index(name), one.field(name), mixed)
    everyone = np.tile(np.arange(users), 3)
    later = moments[everyone] + np.repeat([0, 1, 86_400_000_000], users)
    more = acts(later, everyone, rng, seq=10 * ITEMS + rows)
    known = values(con, pa.concat_tables([shop, one]))
    knew = values(con, pa.concat_tables([shop, changed, more]))[:rows]
    checked = at <= moments[user]
    return int(checked.sum()), (known[checked] != knew[checked]).sum(axis=0)


def values(con: duckdb.DuckDBPyConnection, events: pa.Table) -> npt.NDArray[np.float64]:
    """Features of the acts in order of ``seq``: (rows, features)."""
    found = features(con, con.from_arrow(events), 7.0).order("seq").to_arrow_table()
    return np.column_stack([found[name].to_numpy() for name in FEATURES])


def test_no_row_knows_its_future(con: duckdb.DuckDBPyConnection) -> None:
    checked, changed = leaks(con, 100_000, np.random.default_rng(1))
    assert checked > 40_000
    assert changed.sum() == 0


@pytest.mark.slow
def test_a_million_rows_know_nothing_of_their_future(con: duckdb.DuckDBPyConnection) -> None:
    total = 0
    for seed in range(2):
        checked, changed = leaks(con, 1_010_000, np.random.default_rng(seed))
        assert changed.sum() == 0
        total += checked
    assert total >= 1_000_000


@pytest.mark.parametrize(
    ("honest", "leaky"),
    [
        ("UNBOUNDED PRECEDING AND 1 PRECEDING", "UNBOUNDED PRECEDING AND CURRENT ROW"),
        ("UNBOUNDED PRECEDING AND 1 PRECEDING", "UNBOUNDED PRECEDING AND 9000000 FOLLOWING"),
        ("RANGE BETWEEN since PRECEDING AND 1", "RANGE BETWEEN since PRECEDING AND 0"),
        ("rank() OVER known - 1", "row_number() OVER known - 1"),
    ],
)
def test_a_planted_leak_is_found(
    con: duckdb.DuckDBPyConnection, monkeypatch: pytest.MonkeyPatch, honest: str, leaky: str
) -> None:
    assert honest in stage._KNOWN
    monkeypatch.setattr(stage, "_KNOWN", stage._KNOWN.replace(honest, leaky))
    _, changed = leaks(con, 20_000, np.random.default_rng(2))
    assert changed.sum() > 0


def test_facts_of_the_future_are_unknown(con: duckdb.DuckDBPyConnection) -> None:
    rng = np.random.default_rng(3)
    world = acts(times(20_000, rng), rng.integers(0, 200, 20_000), rng)
    shop = facts(times(5_000, rng), rng)
    cut = START + SPAN // 2 * 1_000_000
    early = shop.filter(pc.less_equal(shop["at"].cast(pa.int64()), cut))
    until = world["at"].cast(pa.int64()).to_numpy() <= cut
    every, some = (values(con, pa.concat_tables([told, world]))[until] for told in (shop, early))
    assert np.array_equal(every, some)
    assert every[:, FEATURES.index("category_0")].any()

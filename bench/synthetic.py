"""Synthetic events for the scale bench: any number, in bounded memory, a seed repeats them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]

BATCH = 65_536
START_US = 1_704_067_200_000_000
SPAN_SECONDS = 180 * 86_400
AT_ONCE = 8
KINDS = ("click", "dwell", "purchase", "rating")
_SHARES = (0.70, 0.20, 0.04, 0.06)
_SECOND_US = 1_000_000

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("user", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("category", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("at", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class World:
    """Who acts on what: numbers of users, items and categories; an item keeps its category."""

    users: int
    items: int
    categories: int = 8


def world_for(events: int) -> World:
    """A world that grows with its events: about 100 events a user and 500 an item."""
    return World(users=max(10, events // 100), items=max(20, events // 500))


def events(n: int, world: World, seed: int) -> Iterator[pa.RecordBatch]:
    """`n` events in the order of time as batches of `SCHEMA`, at most 65,536 rows each.

    `value` is 1 for a shown item that was clicked and 0 for one that was not, seconds for dwell, an
    amount of money for a purchase, and stars from 1 to 5 for a rating. Times spread over 180 days,
    eight events at each, so that some users have several events at one moment. Users and items are
    skewed: a few are met far more often than most. Only one batch is in memory at a time.
    """
    for number, start in enumerate(range(0, n, BATCH)):
        yield _batch(
            np.arange(start, min(start + BATCH, n)), n, world, np.random.default_rng([seed, number])
        )


def _batch(index: Ints, n: int, world: World, random: np.random.Generator) -> pa.RecordBatch:
    rows = index.size
    user = (world.users * random.random(rows) ** 2).astype(np.int64)
    item = (world.items * random.random(rows) ** 3).astype(np.int64)
    kind = random.choice(len(KINDS), rows, p=_SHARES)
    second = (index // AT_ONCE * AT_ONCE) * SPAN_SECONDS // n
    value = np.select(
        [kind == 0, kind == 1, kind == 2],
        [
            (random.random(rows) < 0.1 + 0.3 * (user % 7) / 7).astype(np.float64),
            np.round(random.lognormal(3.0, 1.0, rows), 3),
            np.round(random.lognormal(3.0, 0.5, rows), 2),
        ],
        default=random.integers(1, 6, rows).astype(np.float64),
    )
    columns = [
        _names("e", index),
        _names("u", user),
        _names("i", item),
        pa.array((item % world.categories).astype(np.int32)),
        pa.DictionaryArray.from_arrays(pa.array(kind.astype(np.int8)), pa.array(KINDS)).cast(
            pa.string()
        ),
        pa.array(START_US + second * _SECOND_US).cast(pa.timestamp("us", "UTC")),
        pa.array(value),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _names(letter: str, numbers: Ints) -> pa.Array:
    """`letter` followed by each number, as strings (n,)."""
    return pc.binary_join_element_wise(letter, pa.array(numbers).cast(pa.string()), "")

"""MovieLens-100K: 100,000 ratings of 1,682 films by 943 people, September 1997 to April 1998.

The data may be used for research and may not be redistributed (see GroupLens' README): they are
fetched to this machine, verified and cached, and are no part of Upwell.

F. Maxwell Harper and Joseph A. Konstan. The MovieLens Datasets: History and Context. ACM
Transactions on Interactive Intelligent Systems 5 (2015), 19:1-19:19. doi:10.1145/2827872
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute as pc

from upwell.errors import SourceError
from upwell.records import Event
from upwell.sources._movielens_copies import find
from upwell.sources._movielens_data import MANIFEST, MovieLens, describe, kept_in, year_of
from upwell.tables import TIME, micros, schema

CATALOGUE_KNOWN = datetime(1997, 1, 1, tzinfo=UTC)
"""When facts about items are taken to be known: before the first rating."""
_ROWS = 16_384


def read(location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Every rating, and what is known about items and users, as events in order of time.

    ``location`` is a folder or a zip with the data in one of their three formats (GroupLens'
    ``u.data``, RecBole's ``ml-100k.inter``, Parquet); empty, it is found: in the cache, in
    ``$UPWELL_DATA/ml-100k``, at GroupLens, in the PyPI wheel ``recbole``.

    ``kind="rating"`` has stars as value; ``kind="item"`` has title, genres and year of release
    and comes before all ratings; ``kind="user"`` has age, gender and occupation and comes a
    microsecond before the user's first rating. Ratings of the same second keep the order of the
    data, which their ids name. Raises SourceError when there are no data, when they are not
    those that are known (see ``verify``), and for any mapping: the columns are fixed.
    """
    if mapping:
        fields = ", ".join(mapping)
        raise SourceError("source.fixed_columns", format="movielens", fields=fields)
    yield from events(find(location)).to_batches(max_chunksize=_ROWS)


def events(data: MovieLens) -> pa.Table:
    """The data as one table of events in order of time."""
    together = pa.concat_tables([_items(data.items), _users(data), _ratings(data.ratings)])
    order = np.argsort(together["at"].cast(pa.int64()).to_numpy(), kind="stable")
    return together.take(order).combine_chunks()


def toy(folder: Path) -> tuple[str, int]:
    """Three users, four films, eight ratings, with a manifest of their own."""
    (folder / "u.item").write_text(_TOY_ITEMS, encoding="latin-1")
    (folder / "u.user").write_text(_TOY_USERS, encoding="latin-1")
    (folder / "u.data").write_text(_TOY_RATINGS, encoding="latin-1")
    manifest = describe(kept_in(folder))
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return str(folder), 3 + 4 + 8


def _items(items: pa.Table) -> pa.Table:
    payloads = [
        {"title": title, "genres": genres, "year": year_of(title)}
        for title, genres in zip(
            items["title"].to_pylist(), items["genres"].to_pylist(), strict=True
        )
    ]
    known = pa.array([micros(CATALOGUE_KNOWN)] * items.num_rows)
    return _table("item", items["item"], known, payloads, item=items["item"])


def _users(data: MovieLens) -> pa.Table:
    """Facts about users who rated anything, a microsecond before they first did."""
    first = data.ratings.group_by("user").aggregate([("ts", "min")])
    users = data.users.join(first, "user", join_type="inner").sort_by("user")
    at = pc.subtract(pc.multiply(users["ts_min"], 1_000_000), 1)
    payloads = users.select(["age", "gender", "occupation"]).to_pylist()
    return _table("user", users["user"], at, payloads, user=users["user"])


def _ratings(ratings: pa.Table) -> pa.Table:
    rows = pc.utf8_lpad(pa.array(range(1, ratings.num_rows + 1)).cast(pa.string()), 6, "0")
    at = pc.multiply(ratings["ts"], 1_000_000)
    return _table(
        "rating",
        rows,
        at,
        None,
        user=ratings["user"],
        item=ratings["item"],
        value=ratings["rating"],
    )


def _table(
    kind: str,
    ids: pa.Array,
    at: pa.Array,
    payloads: list[dict[str, object]] | None,
    **columns: pa.Array,
) -> pa.Table:
    rows = len(ids)
    made = {
        "id": pc.binary_join_element_wise(kind, ids.cast(pa.string()), "-"),
        "source": pa.repeat("movielens", rows),
        "kind": pa.repeat(kind, rows),
        "at": at.cast(TIME),
        "user": columns.get("user", pa.repeat("", rows)),
        "payload": [json.dumps(one, sort_keys=True, ensure_ascii=False) for one in payloads]
        if payloads
        else pa.repeat("{}", rows),
    } | {name: column for name, column in columns.items() if name != "user"}
    shape = schema(Event)
    table = pa.table({field.name: made.get(field.name, pa.nulls(rows)) for field in shape})
    return table.cast(shape)


_TOY_ITEMS = """\
1|Toy Story (1995)|01-Jan-1995||http://x/1|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0
2|GoldenEye (1995)|01-Jan-1995||http://x/2|0|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0|1|0|0
3|Les Misérables (1995)|01-Jan-1995||http://x/3|0|0|0|0|0|0|0|0|1|0|0|0|1|0|0|0|0|0|0
4|unknown|||http://x/4|1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0
"""
_TOY_USERS = """\
1|24|M|technician|85711
2|53|F|other|94043
3|23|F|writer|32067
"""
_TOY_RATINGS = """\
1\t1\t5\t874724000
2\t2\t1\t874724000
1\t2\t3\t874724100
3\t3\t4\t874810000
2\t1\t4\t874810500
3\t1\t2\t874900000
1\t3\t5\t875000000
3\t4\t1\t875000001
"""

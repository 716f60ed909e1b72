"""The public data of the recommendation bench, read from a folder and never fetched or kept here.

The folder is `UPWELL_DATA`, or else `shared/data` beside the repository.
"""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.protocol import Dataset, Floats, Ints, chronological

MOVIELENS, LASTFM = "ml-100k", "lastfm-hetrec"
NAMES = (MOVIELENS, LASTFM)
_GENRES_FROM = "unknown"
_ORDER_SEED = 20_11


class DataMissingError(Exception):
    """A dataset of the bench is not on this machine."""


def data_folder() -> Path:
    """The folder that holds one sub-folder a dataset."""
    named = os.environ.get("UPWELL_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


def load(name: str, folder: Path | None = None) -> Dataset:
    """Read one of `NAMES`.

    Items are numbered in a fixed random order, because the ids of both sources are numbered by who
    met the item first, and a tie broken by such an id would tell something about the user.
    Raises DataMissingError, which says where the file was looked for, and ValueError for another
    name.
    """
    place = (folder or data_folder()) / name
    if name == MOVIELENS:
        return _movielens(place)
    if name == LASTFM:
        return _lastfm(place)
    raise ValueError(f"unknown dataset {name!r}: the bench knows {', '.join(NAMES)}")


def _movielens(place: Path) -> Dataset:
    ratings = _table(place / "ratings.parquet", ("user", "item", "rating", "ts"))
    items = _table(place / "items.parquet", ("item", "title"))
    genres = items.column_names[items.column_names.index(_GENRES_FROM) :]
    titles = items["title"].to_pylist()
    flags = np.stack([_ints(items, genre) for genre in genres], axis=1)
    texts = {
        item: f"{title}. {', '.join(genre for genre, on in zip(genres, row, strict=True) if on)}"
        for item, title, row in zip(
            _ints(items, "item").tolist(), titles, flags.tolist(), strict=True
        )
    }
    when = _ints(ratings, "ts").astype(np.float64)
    return _dataset(MOVIELENS, ratings, ("user", "item", "rating"), when, texts, timed=True)


def _lastfm(place: Path) -> Dataset:
    plays = _table(place / "plays.parquet", ("userID", "artistID", "weight"))
    artists = _table(place / "artists.parquet", ("id", "name"))
    texts = dict(zip(_ints(artists, "id").tolist(), artists["name"].to_pylist(), strict=True))
    when = np.arange(plays.num_rows, dtype=np.float64)
    return _dataset(LASTFM, plays, ("userID", "artistID", "weight"), when, texts, timed=False)


def _dataset(
    name: str,
    table: pa.Table,
    columns: tuple[str, str, str],
    when: Floats,
    texts: dict[int, str],
    timed: bool,
) -> Dataset:
    user_ids, user = np.unique(_ints(table, columns[0]), return_inverse=True)
    catalogue = np.array(sorted(texts), np.int64)
    shuffled = np.random.default_rng(_ORDER_SEED).permutation(catalogue.size)
    place = np.empty(catalogue.size, np.int64)
    place[shuffled] = np.arange(catalogue.size)
    item = place[np.searchsorted(catalogue, _ints(table, columns[1]))]
    weight = _ints(table, columns[2]).astype(np.float64)
    rows = chronological(user.astype(np.int64), item, when, weight)
    item_ids = catalogue[shuffled]
    return Dataset(
        name, rows, user_ids, item_ids, tuple(texts[i] for i in item_ids.tolist()), timed
    )


def _table(path: Path, needed: tuple[str, ...]) -> pa.Table:
    if not path.is_file():
        raise DataMissingError(
            f"{path.parent.name} is not on this machine: {path} does not exist. "
            f"Set UPWELL_DATA to a folder that holds {path.parent.name}/{path.name}."
        )
    table = pq.read_table(path)
    missing = [column for column in needed if column not in table.column_names]
    if missing:
        raise DataMissingError(f"{path} lacks the columns {', '.join(missing)}: fetch it again.")
    return table


def _ints(table: pa.Table, column: str) -> Ints:
    return np.asarray(table[column].to_numpy(), np.int64)

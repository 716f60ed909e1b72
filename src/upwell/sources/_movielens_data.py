"""MovieLens-100K in each of its formats, and how it is known to be whole.

Three formats carry the same content: GroupLens' ``u.data`` / ``u.item`` / ``u.user``, RecBole's
``ml-100k.inter`` / ``.item`` / ``.user``, and Parquet. All are read to the same tables, so that
one checksum a table tells whether a copy is whole and unaltered.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from upwell.errors import SourceError

MANIFEST = "manifest.json"
PARTS = ("ratings", "items", "users")
KNOWN: Mapping[str, Any] = {
    "ratings": {
        "rows": 100_000,
        "sha256": "ec862504a8c24b195f5194e51fb18bb2d59428d00d96d6d1c63433a3bd5f2f47",
    },
    "items": {
        "rows": 1_682,
        "sha256": "2ce58e68b035746dcec2bc1ec23987b824fc1cd3eef2867c3615397fe09caeb1",
    },
    "users": {
        "rows": 943,
        "sha256": "b38213d9033c1fc60f3710466f727ebbe66faf91dff99c8ea8c6c7db4bb1f3b6",
    },
}
"""What the real data must hold: rows, and the checksum of their content in canonical order."""
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi",
    "Thriller", "War", "Western",
)  # fmt: skip
_USER = ("user", "age", "gender", "occupation", "zip")
_NO_GENRE = "unknown"
_LARGEST = 1 << 26
"""Bytes of a member of a zip; the real ones have two million."""
_MISSPELT = {"unkonwn (unkonwn)": "unknown"}
"""The one title that RecBole's copy spells otherwise."""

Files = Mapping[str, Callable[[], bytes]]


@dataclass(frozen=True, slots=True)
class MovieLens:
    """The data as they are in every format.

    ``ratings``: user, item, rating, ts (seconds since 1970), in the order of the data. ``items``:
    item, title (with the year, as GroupLens writes it), genres. ``users``: user, age, gender,
    occupation. Ids are whole numbers.
    """

    ratings: pa.Table
    items: pa.Table
    users: pa.Table


def kept_in(place: Path) -> MovieLens:
    """The data that lie in a folder or a zip (GroupLens' or the wheel), not yet verified.

    Raises SourceError ``source.not_found``, ``source.nothing_inside``, ``source.missing_file`` or
    ``source.unreadable``.
    """
    files = files_in(place)
    for names, readers in _FORMATS:
        if names[0] in files:
            return MovieLens(
                *(
                    _read(place, files, name, reader)
                    for name, reader in zip(names, readers, strict=True)
                )
            )
    wanted = ", ".join(names[0] for names, _ in _FORMATS)
    raise SourceError("source.nothing_inside", place=str(place), wanted=wanted)


def verify(place: str, data: MovieLens, wanted: Mapping[str, Any] = KNOWN) -> MovieLens:
    """The data, if they are what they must be.

    Raises SourceError ``source.too_few`` when rows are missing, else ``source.altered``, naming
    the table.
    """
    found = describe(data)
    for part in PARTS:
        have, must = found[part], wanted[part]
        if have["rows"] < must["rows"]:
            raise SourceError(
                "source.too_few",
                place=place,
                part=part,
                rows=f"{have['rows']:,}",
                wanted=f"{must['rows']:,}",
            )
        if have != must:
            raise SourceError(
                "source.altered",
                place=place,
                part=part,
                rows=f"{have['rows']:,}",
                wanted=f"{must['rows']:,}",
            )
    return data


def describe(data: MovieLens) -> dict[str, dict[str, Any]]:
    """Rows and checksum of each table, whatever format and order it came in."""
    columns = [data.ratings[name].to_numpy() for name in ("user", "item", "rating", "ts")]
    rows = np.stack(columns, axis=1).astype("<i8")
    ordered = rows[np.lexsort(rows.T[::-1])]
    texts = {
        part: json.dumps(
            sorted(map(list, zip(*table.to_pydict().values(), strict=True))), ensure_ascii=False
        )
        for part, table in (("items", data.items), ("users", data.users))
    }
    content = {"ratings": ordered.tobytes()} | {part: text.encode() for part, text in texts.items()}
    return {
        part: {
            "rows": getattr(data, part).num_rows,
            "sha256": hashlib.sha256(content[part]).hexdigest(),
        }
        for part in PARTS
    }


def year_of(title: str) -> int | None:
    """The year of release that a title ends with.

    >>> year_of("Toy Story (1995)"), year_of("unknown")
    (1995, None)
    """
    found = re.search(r"\((\d{4})\)(?: \(V\))?$", title)
    return int(found.group(1)) if found else None


def files_in(place: Path) -> Files:
    """Files of a folder or a zip by name, each to be read when asked for."""
    if place.is_dir():
        return {path.name: path.read_bytes for path in place.iterdir() if path.is_file()}
    if not place.is_file():
        raise SourceError("source.not_found", place=str(place))
    try:
        with zipfile.ZipFile(place) as archive:
            return {
                PurePosixPath(member.filename).name: _member(place, member.filename)
                for member in archive.infolist()
                if not member.is_dir() and member.file_size <= _LARGEST
            }
    except (zipfile.BadZipFile, OSError) as error:
        raise unreadable(place, error) from None


def _member(place: Path, name: str) -> Callable[[], bytes]:
    def unpack() -> bytes:
        with zipfile.ZipFile(place) as archive:
            return archive.read(name)

    return unpack


def _read(place: Path, files: Files, name: str, reader: Callable[[bytes], pa.Table]) -> pa.Table:
    if name not in files:
        raise SourceError("source.missing_file", place=str(place), file=name)
    try:
        return reader(files[name]())
    except (pa.ArrowException, zipfile.BadZipFile, OSError, KeyError, ValueError) as error:
        raise unreadable(place / name, error) from None


def unreadable(place: Path, error: Exception) -> SourceError:
    """The error that tells of a file that cannot be read."""
    problem = (str(error).splitlines() or [type(error).__name__])[0]
    return SourceError("source.unreadable", file=str(place), problem=problem, kept="0", row="1")


def _delimited(
    content: bytes, delimiter: str, names: tuple[str, ...], encoding: str, skip: int = 0
) -> pa.Table:
    """Named columns of a delimited file, as text."""
    return arrow_csv.read_csv(
        io.BytesIO(content),
        arrow_csv.ReadOptions(column_names=names, encoding=encoding, skip_rows=skip),
        arrow_csv.ParseOptions(delimiter=delimiter, quote_char=False),
        arrow_csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )


def _numbers(table: pa.Table, *names: str) -> pa.Table:
    """The table with these columns as whole numbers."""
    for name in names:
        column = table[name].cast(pa.float64()).cast(pa.int64())
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _ratings(table: pa.Table) -> pa.Table:
    return _numbers(table.select(["user", "item", "rating", "ts"]), "user", "item", "rating", "ts")


def _users(table: pa.Table) -> pa.Table:
    texts = {name: table[name].cast(pa.string()) for name in ("gender", "occupation")}
    return pa.table({**_numbers(table.select(["user", "age"]), "user", "age").to_pydict(), **texts})


def _items(ids: pa.ChunkedArray, titles: list[str], genres: list[list[str]]) -> pa.Table:
    kept = [[genre for genre in row if genre != _NO_GENRE] for row in genres]
    spaced = [" ".join(title.split()) for title in titles]
    return pa.table(
        {
            "item": ids.cast(pa.int64()),
            "title": pa.array(spaced),
            "genres": pa.array(kept, pa.list_(pa.string())),
        }
    )


def _flagged(table: pa.Table, genres: tuple[str, ...]) -> pa.Table:
    """Items with one column of 0 or 1 a genre."""
    flags = np.stack([table[genre].cast(pa.int64()).to_numpy() for genre in genres], axis=1) == 1
    named = [[genre for genre, on in zip(genres, row, strict=True) if on] for row in flags]
    return _items(table["item"], table["title"].to_pylist(), named)


def _grouplens_items(content: bytes) -> pa.Table:
    names = ("item", "title", "release", "video", "url", *GENRES)
    return _flagged(_delimited(content, "|", names, "latin-1"), GENRES)


def _recbole_items(content: bytes) -> pa.Table:
    table = _delimited(content, "\t", ("item", "title", "year", "genres"), "utf-8", skip=1)
    titles = pc.binary_join_element_wise(table["title"], table["year"], " (").to_pylist()
    whole = [_MISSPELT.get(f"{title})", f"{title})") for title in titles]
    return _items(table["item"], whole, [text.split() for text in table["genres"].to_pylist()])


def _parquet_items(content: bytes) -> pa.Table:
    table = parquet.read_table(io.BytesIO(content))
    if "genres" in table.column_names:
        return _items(table["item"], table["title"].to_pylist(), table["genres"].to_pylist())
    return _flagged(table, GENRES)


_FORMATS = (
    (
        ("ratings.parquet", "items.parquet", "users.parquet"),
        (
            lambda content: _ratings(parquet.read_table(io.BytesIO(content))),
            _parquet_items,
            lambda content: _users(parquet.read_table(io.BytesIO(content))),
        ),
    ),
    (
        ("u.data", "u.item", "u.user"),
        (
            lambda content: _ratings(
                _delimited(content, "\t", ("user", "item", "rating", "ts"), "latin-1")
            ),
            _grouplens_items,
            lambda content: _users(_delimited(content, "|", _USER, "latin-1")),
        ),
    ),
    (
        ("ml-100k.inter", "ml-100k.item", "ml-100k.user"),
        (
            lambda content: _ratings(
                _delimited(content, "\t", ("user", "item", "rating", "ts"), "utf-8", skip=1)
            ),
            _recbole_items,
            lambda content: _users(_delimited(content, "\t", _USER, "utf-8", skip=1)),
        ),
    ),
)

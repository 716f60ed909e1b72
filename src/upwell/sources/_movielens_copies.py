"""Where MovieLens-100K is found: given, cached, at GroupLens, or inside a wheel on PyPI."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from pyarrow import parquet

from upwell.cache import cache_folder
from upwell.errors import SourceError
from upwell.sources._movielens_data import (
    MANIFEST,
    PARTS,
    MovieLens,
    kept_in,
    unreadable,
    verify,
)

NAME = "ml-100k"
_GROUPLENS = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
_PATIENCE, _PIP_PATIENCE = 10.0, 120.0
"""Seconds without an answer after which the next place is tried."""


class _NotThereError(Exception):
    """A place has no copy; the message says why, for people."""


def find(location: str) -> MovieLens:
    """The verified data that ``location`` names; empty: the first good copy, which is cached.

    A folder with a ``manifest.json`` is verified against that (a sample of one's own), everything
    else against what the real data hold. Raises SourceError; ``source.no_copy`` tells for each
    place why it was none.
    """
    if location:
        place = Path(location).expanduser()
        return _verified(place.parent if place.is_file() and not _is_zip(place) else place)
    tried = []
    for told, look in _places():
        try:
            return look()
        except (SourceError, _NotThereError) as error:
            reason = error.explain()[0] if isinstance(error, SourceError) else str(error)
            tried.append(f"{told}: {reason}")
    raise SourceError("source.no_copy", tried="; ".join(tried))


def _places() -> list[tuple[str, Callable[[], MovieLens]]]:
    """Names of the places and how each is looked into, in order."""
    places: list[tuple[str, Callable[[], MovieLens]]] = []
    cached = cache_folder() / NAME
    if cached.is_dir():
        places.append((str(cached), lambda: verify(str(cached), kept_in(cached))))
    if given := os.environ.get("UPWELL_DATA"):
        places.append(("UPWELL_DATA", lambda: _verified(Path(given) / NAME)))
    if os.environ.get("UPWELL_OFFLINE") != "1":
        places.append(("GroupLens", lambda: _fetched(_from_grouplens)))
    places.append(("PyPI (recbole 1.2.1)", lambda: _fetched(_from_wheel)))
    return places


def _verified(place: Path) -> MovieLens:
    """The data at a place, held against its own manifest where it has one."""
    manifest = place / MANIFEST
    if not manifest.is_file():
        return verify(str(place), kept_in(place))
    try:
        wanted = json.loads(manifest.read_text(encoding="utf-8"))
        return verify(str(place), kept_in(place), wanted)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise unreadable(manifest, error) from None


def _is_zip(place: Path) -> bool:
    return place.suffix in (".zip", ".whl")


def _fetched(fetch: Callable[[Path], Path]) -> MovieLens:
    """Fetch into a folder that is thrown away; what is good is cached as Parquet."""
    with TemporaryDirectory() as folder:
        place = fetch(Path(folder))
        data = verify(place.name, kept_in(place))
    # A home that cannot be written to costs the next run a download, no more.
    with suppress(OSError):
        _cache(data)
    return data


def _from_grouplens(folder: Path) -> Path:
    place = folder / "ml-100k.zip"
    try:
        with urllib.request.urlopen(_GROUPLENS, timeout=_PATIENCE) as answer:
            place.write_bytes(answer.read())
    except (OSError, ValueError) as error:
        raise _NotThereError(str(error)) from None
    return place


def _from_wheel(folder: Path) -> Path:
    """The wheel as a file, through the index that pip is configured with; nothing is installed."""
    try:
        done = subprocess.run(
            [
                sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:",
                "--disable-pip-version-check", "--quiet", "recbole==1.2.1",
            ],
            cwd=folder, capture_output=True, text=True, timeout=_PIP_PATIENCE, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _NotThereError(str(error)) from None
    wheels = list(folder.glob("recbole-*.whl"))
    if not wheels:
        raise _NotThereError((done.stderr.strip().splitlines() or ["pip"])[-1])
    return wheels[0]


def _cache(data: MovieLens) -> None:
    """Write all of the data or none: a folder beside its place, renamed into it when it is done."""
    place = cache_folder() / NAME
    place.parent.mkdir(parents=True, exist_ok=True)
    made = Path(mkdtemp(dir=place.parent, prefix=f".{NAME}-"))
    try:
        for part in PARTS:
            parquet.write_table(getattr(data, part), made / f"{part}.parquet")
        shutil.rmtree(place, ignore_errors=True)
        made.rename(place)
    finally:
        shutil.rmtree(made, ignore_errors=True)

"""Where a source's files lie, and what is told when they cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from upwell.errors import SourceError


def located(location: str, *endings: str) -> list[Path]:
    """The file that ``location`` names, or the files with these endings in the folder it names.

    Raises SourceError ``source.not_found`` when nothing lies there and ``source.nothing_inside``
    when the folder has no such file.
    """
    place = Path(location).expanduser()
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise SourceError("source.not_found", place=location)
    inside = sorted(path for path in place.rglob("*") if path.suffix in endings and path.is_file())
    if not inside:
        raise SourceError("source.nothing_inside", place=location, wanted=", ".join(endings))
    return inside


def stem(path: Path, location: str) -> str:
    """What begins the ids of a file's rows: its name, below a folder with the way to it.

    >>> stem(Path("a/2026/x.parquet"), "a"), stem(Path("a/ratings.csv.gz"), "a/ratings.csv.gz")
    ('2026/x', 'ratings')
    """
    place = Path(location).expanduser()
    name = Path(path.name.removesuffix(".gz")).stem
    return name if path == place else (path.relative_to(place).parent / name).as_posix()


class Progress:
    """How many rows of a file were handed over so far."""

    rows = 0


@contextmanager
def told(file: Path, progress: Progress) -> Iterator[None]:
    """Whatever a reader raises becomes SourceError ``source.unreadable``, with the rows kept."""
    try:
        yield
    except (pa.ArrowException, UnicodeError, OSError, EOFError) as error:
        problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SourceError(
            "source.unreadable",
            file=str(file),
            problem=problem,
            kept=f"{progress.rows:,}",
            row=f"{progress.rows + 1:,}",
        ) from None


def opened(file: Path) -> pa.NativeFile:
    """A file as bytes; ``.gz`` and the like are unpacked on the way."""
    return pa.input_stream(str(file), compression="detect")

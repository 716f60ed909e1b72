"""JSON lines as they are read: one at a time, whatever the size of the file."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from upwell.errors import SourceError
from upwell.sources._documents import Entry, entries
from upwell.sources._files import Progress, opened, told

SAMPLE = 1000
"""Rows whose keys are taken for a file's columns."""
_WHOLE = (b"[", b"{")


def object_of(line: bytes) -> dict[str, Any] | None:
    """The object of a line; None where it is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def filled(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Lines that hold something; a byte-order mark is no part of the first."""
    for place, line in enumerate(stream):
        text = line.removeprefix(b"\xef\xbb\xbf") if place == 0 else line
        if text.strip():
            yield text


def streamed(file: Path) -> Iterator[Entry]:
    """The objects of a file, in order; a line that is no object comes as its text.

    A file that is one JSON document (a list, a page, an object over several lines) is read whole.
    Raises SourceError where a file cannot be read, holds nothing (``source.empty``), no object
    among its first lines (``source.not_json_lines``), or ends in the middle of a line.
    """
    progress = Progress()
    with told(file, progress), opened(file) as stream:
        every = filled(io.BufferedReader(stream))
        first = list(islice(every, SAMPLE))
        if not first:
            raise SourceError("source.empty", file=str(file))
        if not first[0].strip().startswith(_WHOLE[0]) and first[0].strip() != _WHOLE[1]:
            if not any(object_of(line) is not None for line in first):
                raise SourceError("source.not_json_lines", file=str(file))
            yield from _rows(file, chain(first, every), progress)
            return
    yield from entries(file)


def _rows(file: Path, every: Iterable[bytes], progress: Progress) -> Iterator[Entry]:
    for line in every:
        progress.rows += 1
        found = object_of(line)
        if found is None and not line.endswith(b"\n"):
            number, kept = f"{progress.rows:,}", f"{progress.rows - 1:,}"
            raise SourceError("source.truncated", file=str(file), row=number, kept=kept)
        yield line.decode("utf-8", errors="replace").rstrip("\r\n") if found is None else found

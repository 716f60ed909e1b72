"""PandaLM's test set: two answers to an instruction, and which one three people prefer.

999 pairs of answers by five language models of 7 billion weights to 170 instructions. What at
least two prefer, and none the other way, is read as what the one who gave the instruction
would say: of the other answer, what it should have been. Apache-2.0; the data are no part of
Upwell.

Wang et al. 2023, PandaLM: An Automatic Evaluation Benchmark for LLM Instruction Tuning
Optimization, arXiv:2306.05087.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

from upwell.cache import cache_folder
from upwell.errors import SourceError
from upwell.records import Event
from upwell.tables import to_table

NAME = "pandalm-test"
ORIGIN = (
    "https://raw.githubusercontent.com/WeOpenML/PandaLM/"
    "3871806e72b4832f815ecafd24d3503c73403f48/data/testset-v1.json"
)
FIRST = datetime(2023, 6, 1, tzinfo=UTC)
"""When the first instruction was given; each later one follows after an hour."""
_PATIENCE = 10.0
_SIDES = {1: 1, 2: -1, 0: 0}
_RATERS = ("annotator1", "annotator2", "annotator3")
_FIELDS = ("instruction", "input", "response1", "response2", *_RATERS)


def read(location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Corrections, in order of the instructions, each with what was asked and shown.

    ``location`` is the original's JSON, a Parquet of its fields, or a folder with one of them;
    empty, it is found: in the cache, in ``$UPWELL_DATA``, at GitHub. Each instruction
    is a user's. Raises SourceError ``source.not_found``, ``source.bad_pairs``, ``source.no_pairs``,
    and ``source.fixed_columns`` for any mapping.
    """
    if mapping:
        raise SourceError("source.fixed_columns", format="pandalm", fields=", ".join(mapping))
    yield from to_table(Event, _events(_found(location))).to_batches()


def toy(folder: Path) -> tuple[str, int]:
    """Three pairs, of which two are decided."""
    rows = [
        {"instruction": "Say hello.", "input": "", "response1": "Hello!", "response2": "No.",
         "annotator1": 1, "annotator2": 1, "annotator3": 0},
        {"instruction": "Say hello.", "input": "", "response1": "Hi", "response2": "Hello",
         "annotator1": 1, "annotator2": 2, "annotator3": 1},
        {"instruction": "Add.", "input": "1 + 1", "response1": "3", "response2": "2",
         "annotator1": 2, "annotator2": 2, "annotator3": 2},
    ]  # fmt: skip
    (folder / "testset-v1.json").write_text(json.dumps(rows), encoding="utf-8")
    return str(folder), 2


def _events(rows: Sequence[Mapping[str, Any]]) -> list[Event]:
    users: dict[str, int] = {}
    found = []
    for number, row in enumerate(rows):
        asked = "\n".join(part for part in (_text(row, "instruction"), _text(row, "input")) if part)
        user = users.setdefault(asked, len(users))
        said = [_SIDES[row[rater]] for rater in _RATERS]
        answers = [_text(row, "response1"), _text(row, "response2")]
        right, shown = answers if sum(said) > 0 else answers[::-1]
        if abs(sum(said)) < 2 or not right or not shown or right == shown:
            continue
        found.append(
            Event(
                id=f"pair-{number}", source="pandalm", kind="correction", user=f"asker-{user}",
                at=FIRST + timedelta(hours=user, seconds=number),
                payload={"input": asked, "target": shown, "correction": right},
            )
        )  # fmt: skip
    return sorted(found, key=lambda event: event.at)


def _text(row: Mapping[str, Any], name: str) -> str:
    return str(row[name]).strip()


def _found(location: str) -> list[dict[str, Any]]:
    if location:
        return _rows(Path(location).expanduser())
    tried = []
    given = os.environ.get("UPWELL_DATA")
    for place in [cache_folder() / NAME, *([Path(given) / NAME] if given else [])]:
        if place.is_dir():
            return _rows(place)
        tried.append(f"{place}: –")
    if os.environ.get("UPWELL_OFFLINE") != "1":
        try:
            with urllib.request.urlopen(ORIGIN, timeout=_PATIENCE) as answer:
                return _cached(answer.read())
        except (OSError, ValueError) as error:
            tried.append(f"GitHub: {error}")
    raise SourceError("source.no_pairs", tried="; ".join(tried))


def _cached(fetched: bytes) -> list[dict[str, Any]]:
    found = _checked(ORIGIN, json.loads(fetched))
    # A home that cannot be written to costs the next run a download, no more.
    with suppress(OSError):
        place = cache_folder() / NAME
        place.mkdir(parents=True, exist_ok=True)
        (place / Path(ORIGIN).name).write_bytes(fetched)
    return found


def _rows(place: Path) -> list[dict[str, Any]]:
    """The rows of a file, or of the first file in a folder."""
    files = sorted([*place.glob("*.json"), *place.glob("*.parquet")]) if place.is_dir() else [place]
    try:
        if not place.exists():
            raise SourceError("source.not_found", place=str(place))
        file = files[0]
        if file.suffix == ".parquet":
            return _checked(str(file), pq.read_table(file).to_pylist())
        return _checked(str(file), json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, IndexError, pa.ArrowException) as error:
        raise SourceError("source.bad_pairs", file=place, problem=str(error)) from None


def _checked(place: str, rows: Any) -> list[dict[str, Any]]:
    if not isinstance(rows, list) or not all(
        isinstance(row, dict)
        and all(name in row for name in _FIELDS)
        and all(row[rater] in (0, 1, 2) for rater in _RATERS)
        for row in rows
    ):
        raise SourceError("source.bad_pairs", file=place, problem=", ".join(_FIELDS))
    return rows

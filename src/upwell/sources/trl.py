"""Training data as TRL takes them, standard or conversational, in JSON (lines) or Parquet.

``upwell import train.parquet --format trl`` tells by their columns what rows are:

* ``prompt`` and ``completion``, or ``messages``: the reply is a label.
* ``prompt``, ``completion`` and ``label``: liked where that is true, disliked where it is false.
* ``chosen`` and ``rejected``, with ``prompt`` or each a whole conversation: liked and disliked.

Opinions are of a user told by their input, who must allow ``train``; ``--map user=COLUMN`` says
whose they are. A row that is none of these is kept as a bad row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from upwell.sources._documents import Entry
from upwell.sources._files import Progress, located, stem, told
from upwell.sources._lines import streamed
from upwell.sources._messages import answered, exchange
from upwell.sources._told import Said, batches, opinions

_AT_ONCE = 1024
_PARQUET = (".parquet", ".pq")
READS = (".jsonl", ".ndjson", ".json", *_PARQUET)
KNOWN_BY = (
    frozenset({"prompt", "completion"}),
    frozenset({"chosen", "rejected"}),
    frozenset({"messages"}),
)
_USER, _REPLY = {"role": "user", "content": "Capital of Italy?"}, {"role": "assistant"}
_TOY: list[dict[str, Any]] = [
    {"prompt": "The sky is", "completion": "blue."},
    {"prompt": [_USER], "completion": [{**_REPLY, "content": "Rome."}], "label": True},
    {"prompt": [_USER], "chosen": [{**_REPLY, "content": "Rome, since 1871."}],
     "rejected": [{**_REPLY, "content": "Milan."}]},
    {"messages": [_USER, {**_REPLY, "content": "Rome!"}]},
]  # fmt: skip


def toy(folder: Path) -> tuple[str, int]:
    """A completion, one that was judged, a preference, and a conversation."""
    lines = [json.dumps(one) + "\n" for one in _TOY]
    (folder / "toy.jsonl").write_text("".join(lines), encoding="utf-8")
    return str(folder / "toy.jsonl"), 5


def read(location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Labels and opinions as events. A row that is neither is a row of no kind.

    Raises SourceError when a file is missing, damaged or cut off.
    """
    for file in located(location, *READS):
        entries = _parquet(file) if file.suffix in _PARQUET else streamed(file)
        rows = opinions("trl", entries, _said, mapping)
        yield from batches(file, stem(file, location), rows, mapping)


def _parquet(file: Path) -> Iterator[Entry]:
    progress = Progress()
    with told(file, progress), parquet.ParquetFile(file) as opened:
        for batch in opened.iter_batches(_AT_ONCE):
            yield from batch.to_pylist()
            progress.rows += batch.num_rows


def _said(record: Mapping[str, Any]) -> list[Said]:
    record = {name: value for name, value in record.items() if value is not None}
    if "chosen" in record:
        return [
            Said(*_reply(record, "chosen"), 1, ":chosen"),
            Said(*_reply(record, "rejected"), -1, ":rejected"),
        ]
    if "completion" not in record:
        return [Said(*exchange(record["messages"]))]
    asked, reply = answered(record["prompt"], record["completion"])
    if "label" not in record:
        return [Said(asked, reply)]
    if record["label"] not in (True, False):
        raise ValueError("label")
    return [Said(asked, reply, 1 if record["label"] else -1)]


def _reply(record: Mapping[str, Any], column: str) -> tuple[Any, str]:
    """The reply in a column, which may repeat the prompt, or hold it alone."""
    said = record[column]
    is_whole = isinstance(said, list) and said[0]["role"] != "assistant"
    return answered(said[:-1], said[-1:]) if is_whole else answered(record["prompt"], said)

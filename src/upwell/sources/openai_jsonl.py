"""OpenAI's files for fine-tuning, which Fireworks and Together take too: one object a line.

``upwell import train.jsonl --format openai_jsonl`` reads conversations (``messages``) and
preferences (``input``, ``preferred_output``, ``non_preferred_output``), also mixed.

The last reply of a conversation is a label; one with ``weight`` 0 is not learned from. Of two
outputs the preferred one is liked and the other disliked: opinions about the same input, of a user
told by it, who must allow ``train`` (``--consent serve,analyse,train``); ``--map user=COLUMN``
says whose they are. Calls of tools and pictures are no text: such a line is kept as a bad row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from upwell.sources._files import located, stem
from upwell.sources._lines import streamed
from upwell.sources._messages import answered, exchange
from upwell.sources._told import Said, batches, opinions

READS = (".jsonl", ".ndjson", ".json")
KNOWN_BY = (
    frozenset({"messages"}),
    frozenset({"input", "preferred_output", "non_preferred_output"}),
)
_TOY: list[dict[str, Any]] = [
    {"messages": [{"role": "system", "content": "Be brief."},
                  {"role": "user", "content": "Capital of France?"},
                  {"role": "assistant", "content": "Paris."}]},
    {"input": {"messages": [{"role": "user", "content": "Capital of Italy?"}]},
     "preferred_output": [{"role": "assistant", "content": "Rome."}],
     "non_preferred_output": [{"role": "assistant", "content": "Who knows?"}]},
]  # fmt: skip


def toy(folder: Path) -> tuple[str, int]:
    """A conversation, and a preference, which is two opinions."""
    lines = [json.dumps(one) + "\n" for one in _TOY]
    (folder / "toy.jsonl").write_text("".join(lines), encoding="utf-8")
    return str(folder / "toy.jsonl"), 3


def read(location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Labels and opinions as events. A line that is neither is a row of no kind.

    Raises SourceError when the file is missing, holds no JSON lines or is cut off.
    """
    for file in located(location, *READS):
        rows = opinions("openai_jsonl", streamed(file), _said, mapping)
        yield from batches(file, stem(file, location), rows, mapping)


def _said(record: Mapping[str, Any]) -> list[Said]:
    if "preferred_output" not in record:
        return [Said(*exchange(record["messages"]))]
    asked = record["input"]["messages"]
    return [
        Said(*answered(asked, record["preferred_output"]), 1, ":preferred"),
        Said(*answered(asked, record["non_preferred_output"]), -1, ":non_preferred"),
    ]

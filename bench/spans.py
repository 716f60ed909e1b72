"""Public texts with spans, read from the data folder and never fetched or kept here."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.datasets import DataMissingError
from upwell.records import Example
from upwell.tables import canonical_json, schema
from upwell.tasks.tagging import spans_of

Sentence = list[tuple[str, str]]
Span = tuple[int, int, str]
DOCUMENT = "-DOCSTART-"
PASSAGE = 100
"""Words of a passage at most, unless a single sentence has more."""
_AT = 400 * 86_400_000_000


@dataclass(frozen=True, slots=True)
class Passage:
    """Sentences of one document that follow each other, one a line, and the spans in them."""

    document: int
    text: str
    spans: tuple[Span, ...]


def conll(folder: Path, part: str) -> list[list[Sentence]]:
    """The documents of a part of CoNLL-2003, each a list of sentences of (word, BIO2 tag)."""
    documents: list[list[Sentence]] = []
    for sentence in _blocks(folder / "conll2003" / f"eng.{part}.bio2.gz"):
        if sentence[0][0] == DOCUMENT:
            documents.append([])
        elif documents:
            documents[-1].append(sentence)
        else:
            documents.append([sentence])
    return documents


def resume(folder: Path, part: str) -> list[list[Sentence]]:
    """Chinese résumés of a part: documents of one sentence of (character, BIO2 tag)."""
    change = {"B": "B", "M": "I", "E": "I", "S": "B"}
    return [
        [[(one, change[tag[0]] + tag[1:] if tag != "O" else tag) for one, tag in sentence]]
        for sentence in _blocks(folder / "ner-zh" / f"resume.{part}.char.bmes.gz")
    ]


def restaurant(folder: Path, part: str) -> list[Passage]:
    """What users say when they book a table, with the slots they fill."""
    rows = pq.read_table(_there(folder / "restaurant8k-slots" / "slots.parquet")).to_pylist()
    return [
        Passage(n, row["text"], tuple((a["start"], a["end"], a["slot"]) for a in row["labels"]))
        for n, row in enumerate(rows)
        if row["split"] == part
    ]


def passages(
    documents: Sequence[list[Sentence]], longest: int = PASSAGE, between: str = " "
) -> list[Passage]:
    """Documents cut between sentences into passages of up to ``longest`` words."""
    found = []
    for number, document in enumerate(documents):
        taken: list[Sentence] = []
        for sentence in document:
            if taken and sum(map(len, taken)) + len(sentence) > longest:
                found.append(_passage(number, taken, between))
                taken = []
            taken.append(sentence)
        if taken:
            found.append(_passage(number, taken, between))
    return found


def labels(found: Iterable[Passage]) -> pa.Table:
    """Passages as labelled rows."""
    return table(
        (f"label-{n}", one.text, canonical_json({"spans": one.spans}), None)
        for n, one in enumerate(found)
    )


def table(rows: Iterable[tuple[str, str, str, int | None]]) -> pa.Table:
    """Rows with the Example schema from (id, input, target, sign)."""
    made: list[dict[str, object]] = [
        {
            "id": key, "user": "", "task": "tagging", "input": text, "target": target, "sign": sign,
            "weight": 1.0, "reliability": 1.0, "propensity": None, "group": "", "at": _AT,
            "sources": [], "features": [],
        }
        for key, text, target, sign in rows
    ]  # fmt: skip
    return pa.Table.from_pylist(made, schema=schema(Example))


def spans(row: str) -> list[Span]:
    """The spans that an answer names."""
    return [(start, end, label) for start, end, label in json.loads(row)["spans"]]


def _passage(number: int, sentences: Sequence[Sentence], between: str) -> Passage:
    text, places, tags = "", [], []
    for sentence in sentences:
        text += "\n" if text else ""
        for n, (word, tag) in enumerate(sentence):
            text += between if n else ""
            places.append((len(text), len(text) + len(word)))
            tags.append(tag)
            text += word
    return Passage(number, text, tuple(spans_of(places, tags)))


def _blocks(path: Path) -> Iterator[Sentence]:
    with gzip.open(_there(path), "rt", encoding="utf-8") as file:
        for empty, lines in groupby(file, key=lambda line: not line.strip()):
            if not empty:
                yield [(cells[0], cells[-1]) for cells in map(str.split, lines)]


def _there(path: Path) -> Path:
    if not path.is_file():
        raise DataMissingError(f"{path} is missing: set UPWELL_DATA to the folder of the data")
    return path

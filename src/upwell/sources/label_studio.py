"""Label Studio: annotated tasks, exported as JSON, JSON-MIN or CSV.

``upwell import export.json --format label_studio``, and where a task has several data columns or
several questions, ``--map input=COLUMN,target=QUESTION``; the names are those of the labelling
interface. CSV does not say which columns are which, so there both are named.

Choices, texts and numbers become labels of the input, spans those of ``tagging``. Such a label is
nobody's unless ``--map user=annotator`` says that it is its annotator's, whose consent it then
needs. Stars become ratings, which are always their annotator's: of the column ``item`` where there
is one, else of the input. ``meta.upwell_id`` of a task is the prediction that it shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from upwell.errors import SourceError
from upwell.sources._annotations import OWN, Annotations, answer, is_rating, is_spans, spans_of
from upwell.sources._columns import events, plan, text_of
from upwell.sources._delimited import encoding_of, header
from upwell.sources._delimited import parts as cells
from upwell.sources._documents import Entry, entries, parts
from upwell.sources._files import located, stem
from upwell.sources._flaws import NO_OBJECT, NOTHING_SAID, OTHER_WIDTH

_EVENT = "annotation"
"""The column with the ids of events."""
_TOY: list[tuple[str, list[dict[str, Any]]]] = [
    ("Ann of Rome", [{"start": 0, "end": 3, "text": "Ann", "labels": ["PER"]},
                     {"start": 7, "end": 11, "text": "Rome", "labels": ["LOC"]}]),
    ("nobody here", []),
]  # fmt: skip


def toy(folder: Path) -> tuple[str, int]:
    """Two texts with spans, one of which has none; a third was skipped."""
    tasks = [
        {"id": n, "data": {"text": text}, "annotations": [
            {"id": 10 + n, "completed_by": 1, "created_at": "2026-05-01T09:00:00Z",
             "result": [{"from_name": "ner", "to_name": "text", "type": "labels", "value": value}
                        for value in spans]}]}
        for n, (text, spans) in enumerate(_TOY)
    ]  # fmt: skip
    skipped = {"id": 9, "data": {"text": "?"}, "annotations": [{"was_cancelled": True,
               "result": []}]}  # fmt: skip
    (folder / "export.json").write_text(json.dumps([*tasks, skipped]), encoding="utf-8")
    return str(folder / "export.json"), len(tasks)


def read(location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Annotations as events: intake validates. One that cannot be read is a row of no kind.

    Raises SourceError when a file is missing or cannot be read, ``source.unmapped`` when several
    columns could be the input or the target and none is named.
    """
    for file in located(location, ".json", ".csv", ".tsv"):
        annotated = _annotated(file)
        if annotated.rows:
            yield from _events(file, stem(file, location), annotated, mapping)


def _annotated(file: Path) -> Annotations:
    found = Annotations()
    if file.suffix == ".json":
        for entry in entries(file):
            found.add(entry)
        return found
    encoding = encoding_of(file)
    names, delimiter = header(file, encoding)
    for part in cells(file, names, delimiter, encoding):
        for row in part.batch.to_pylist():
            found.row(row, names, names)
        found.rows.extend(text for _, text in part.broken)
    return found


def _events(
    file: Path, first: str, annotated: Annotations, mapping: Mapping[str, str]
) -> Iterator[pa.RecordBatch]:
    names = list(dict.fromkeys((*annotated.asked, *annotated.answered, *OWN)))
    target = mapping.get("target") or _only(file, "target", names, [
        name for name in annotated.answered if name != mapping.get("input")
    ])  # fmt: skip
    asked = [name for name in annotated.asked if name != target]
    asked = ["text"] if "text" in asked else asked
    about = mapping.get("input") or _only(file, "input", names, asked)
    answers = [row.get(target) for row in annotated.rows if isinstance(row, dict)]
    stars = any(map(is_rating, answers))
    usual = {"id": _EVENT, "source": "=label_studio", "at": "created_at",
             "payload": "ground_truth+lead_time", "kind": "=label", "target": target,
             "input": about}  # fmt: skip
    if stars:
        usual |= {"kind": "=rating", "user": "annotator", "value": target}
        del usual["target"]
        if "item" in {*names, *mapping}:
            del usual["input"]
    nothing = spans_of(()) if any(map(is_spans, answers)) else None
    rows = (row for entry in annotated.rows for row in _told(entry, target, about, nothing))
    others = {name: column for name, column in mapping.items() if not (stars and name == "target")}
    chosen = plan(str(file), first, [*names, _EVENT], {**usual, **others})
    no_row = NO_OBJECT if file.suffix == ".json" else OTHER_WIDTH
    yield from events(parts(rows, chosen.needed, (no_row, NOTHING_SAID)), chosen)


def _told(entry: Entry, target: str, about: str, nothing: str | None) -> Iterator[Entry]:
    """An annotation with its answer as a target; none where it does not answer.

    Among annotations with spans, one without any says that there are none.
    """
    if isinstance(entry, str):
        yield entry
        return
    try:
        said = answer(entry[target], entry.get(about)) if entry.get(target) else nothing
    except (ValueError, TypeError):
        yield text_of(entry) or ""
        return
    if said is not None:
        yield {**entry, target: said, _EVENT: f"{entry.get('annotation_id')}:{target}"}


def _only(file: Path, field: str, names: list[str], candidates: list[str]) -> str:
    if len(candidates) != 1:
        listed = ", ".join(name for name in names if name not in OWN)
        raise SourceError("source.unmapped", file=str(file), field=field, columns=listed)
    return candidates[0]

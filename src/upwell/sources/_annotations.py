"""Label Studio's annotations: what was asked, and what was answered under which name.

Every export is read into the same rows. JSON says which columns are data and which are answers;
in JSON-MIN the data stand before the task's ``id`` and the answers after it; CSV sorts its columns,
so that any of them may be either.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from upwell.sources._columns import text_of
from upwell.sources._documents import Entry
from upwell.tables import canonical_json

OWN = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement",
       "history", "ground_truth", "prediction")  # fmt: skip
"""Columns that are neither data nor answers."""


@dataclass(slots=True)
class Annotations:
    """The annotations of a file in order (texts are what is none), and the names of columns."""

    rows: list[Entry] = field(default_factory=list)
    asked: dict[str, None] = field(default_factory=dict)
    answered: dict[str, None] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Take in a task with annotations, or a row of JSON-MIN.

        What was skipped (``was_cancelled``) or not annotated says nothing and is left out, as in
        Label Studio's own conversions.
        """
        if isinstance(entry, dict) and isinstance(entry.get("annotations"), list):
            self._task(entry)
        elif isinstance(entry, dict) and "annotation_id" in entry:
            names = list(entry)
            place = names.index("id") if "id" in names else 0
            self.row(entry, names[:place], names[place:])
        elif not isinstance(entry, dict) or "data" not in entry:
            self.rows.append(text_of(entry) or "")

    def row(self, row: dict[str, Any], asked: Iterable[str], answered: Iterable[str]) -> None:
        """Take in one row whose columns have these parts."""
        self.asked |= {name: None for name in asked if name not in OWN}
        self.answered |= {name: None for name in answered if name not in OWN}
        self.rows.append(row)

    def _task(self, task: Mapping[str, Any]) -> None:
        data = task.get("data")
        for place, annotation in enumerate(task["annotations"]):
            results = annotation.get("result") if isinstance(annotation, dict) else None
            if not isinstance(data, dict) or not isinstance(results, list):
                self.rows.append(text_of({**task, "annotations": [annotation]}) or "")
            elif annotation.get("was_cancelled") is not True:
                said = _results(results)
                self.row({**data, **said, **_own(task, annotation, place)}, data, said)


def _own(task: Mapping[str, Any], annotation: Mapping[str, Any], place: int) -> dict[str, Any]:
    by, meta = annotation.get("completed_by"), task.get("meta")
    named = by.get("email") or by.get("id") if isinstance(by, dict) else by
    found = {name: annotation.get(name) for name in ("created_at", "updated_at", "lead_time")}
    return {
        **found,
        "id": task.get("id"),
        "annotation_id": annotation.get("id", f"{task.get('id')}/{place}"),
        "annotator": None if named is None else str(named),
        "ground_truth": annotation.get("ground_truth") or None,
        "prediction": meta.get("upwell_id") if isinstance(meta, dict) else None,
    }


def _results(results: Sequence[Any]) -> dict[str, Any]:
    """What was answered, by the name of the control; what is said of one region is left out."""
    found: dict[str, list[Any]] = {}
    for one in results:
        value = one.get("value") if isinstance(one, dict) else None
        if not isinstance(value, dict) or not isinstance(one.get("from_name"), str):
            continue
        if "start" not in value or "labels" in value:
            found.setdefault(one["from_name"], []).append(value)
    return dict(found)


def is_rating(cell: object) -> bool:
    """Whether an answer is stars."""
    return any(isinstance(one, dict) and "rating" in one for one in _parts(cell))


def is_spans(cell: object) -> bool:
    """Whether an answer is labels of parts of a text."""
    return any(isinstance(one, dict) and "labels" in one for one in _parts(cell))


def answer(cell: object, text: object) -> object:
    """An answer as a target: a class, a text, spans as JSON, or stars as a number.

    Several choices are one class: their JSON, sorted. ``text`` is what spans are counted in. Raises
    ValueError for an answer of another kind, and for spans that the text does not have.

    >>> answer([{"choices": ["b", "a"]}], ""), answer([{"rating": 4}], "")
    ('["a","b"]', 4)
    >>> answer([{"start": 3, "end": 5, "labels": ["PER"], "text": "Li"}], "👍 Li")
    '{"spans":[[2,4,"PER"]]}'
    """
    parts = _parts(cell)
    if is_spans(cell):
        return spans_of([_span(one, text) for one in parts])
    values = [value for one in parts for value in _values(one)]
    if is_rating(cell) and values:
        return values[0]
    texts = [text_of(value) or "" for value in values]
    if len(texts) == 1:
        return texts[0]
    is_text = any(isinstance(one, dict) and "text" in one for one in parts)
    return "\n".join(texts) if is_text else canonical_json(sorted(texts))


def _values(one: object) -> list[Any]:
    """What a part of an answer holds. Raises ValueError where it is of another kind."""
    if not isinstance(one, dict):
        return [one]
    for name in ("choices", "rating", "number", "text"):
        if name in one:
            return one[name] if isinstance(one[name], list) else [one[name]]
    raise ValueError(sorted(one))


def spans_of(spans: Iterable[Sequence[object]]) -> str:
    """Spans (start, end, label) as the target of a text."""
    return canonical_json({"spans": sorted(map(list, spans))})


def _parts(cell: object) -> list[Any]:
    """The values of an answer. A cell of CSV holds them as JSON."""
    if isinstance(cell, str) and cell[:1] in ("[", "{"):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            return [cell]
    return cell if isinstance(cell, list) else [] if cell is None else [cell]


def _span(one: object, text: object) -> tuple[int, int, str]:
    """A span in characters. A browser counts UTF-16, in which an emoji is two."""
    if not isinstance(one, dict) or not isinstance(text, str):
        raise ValueError(type(text).__name__)
    start, end, labels = one.get("start"), one.get("end"), one.get("labels")
    if not isinstance(start, int) or not isinstance(end, int) or not isinstance(labels, list):
        raise ValueError(sorted(one))
    wide = text.encode("utf-16-le")
    places = [len(wide[: 2 * place].decode("utf-16-le", "ignore")) for place in (start, end)]
    for first, last in ((places[0], places[1]), (start, end)):
        inside = 0 <= first < last <= len(text) and end <= len(wide) // 2
        if inside and one.get("text") in (None, text[first:last]):
            return first, last, str(labels[0])
    raise ValueError([start, end])

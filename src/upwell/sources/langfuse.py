"""Langfuse: scores as ``GET /api/public/v3/scores`` (or v2, or v1) gives them, and traces, in JSON.

``upwell import scores.json --format langfuse``, with ``fields=subject,details,annotation`` asked of
v3. A file holds a list of scores, answers of the API as they came, or one of either a line. So it
may hold traces and observations, also a trace that was downloaded with all that is in it.

A generation in words is an event ``shown``, as is a trace in words of which the file has no
generation: it says nothing until somebody says something about it. What was asked and answered goes
along with scores of it in the same file. Other observations are passed by.

The score's name is the kind of event ("Helpful?" is ``helpful``), true is +1 and false −1, a
category or text stands in the payload as ``text``, a correction is a ``correction``. The source is
``langfuse-api``, ``langfuse-annotation`` or ``langfuse-eval``, so that one can be purged, or be
made labels, without the others. ``input`` and ``output``, where somebody put them beside a score,
are what was asked and answered. A score is about its observation, else its trace; where the
product wrote Upwell's id into the score's metadata as ``prediction``, about that.

The user is that of the trace where the data name one (``userId``, there or in ``trace``), else its
session, of an annotation its author. v3 names no users of traces: such a score's user is
``prediction:`` and the id of what it is about, as in the service, unless the file holds the trace.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from upwell.errors import SourceError
from upwell.sources._columns import events, plan, text_of
from upwell.sources._documents import Entry, entries, parts
from upwell.sources._files import located, stem
from upwell.sources._generations import Answer, Answers, answers, inside, is_observation, is_trace
from upwell.sources._names import name_of

_COLUMNS = {
    "id": "id", "source": "origin", "user": "user", "kind": "kind", "at": "timestamp",
    "prediction": "about", "value": "number", "payload": "said",
}  # fmt: skip
_TRUTH = {1: 1.0, 0: -1.0, "true": 1.0, "false": -1.0}
_SAMPLE = 1000
"""Scores whose fields are taken for the file's columns."""
_ABOUT = {"trace": "traceId", "observation": "observationId", "session": "sessionId"}
_BASE = {"timestamp": "2026-05-01T09:00:00.000Z", "source": "API", "environment": "default"}
_TOY: list[dict[str, Any]] = [
    {"id": "s1", "name": "thumbs", "value": True, "dataType": "BOOLEAN",
     "subject": {"kind": "trace", "id": "t1"}},
    {"id": "s2", "name": "Accuracy", "value": 0.5, "dataType": "NUMERIC", "traceId": "t1",
     "trace": {"userId": "ann"}, "comment": "half right"},
    {"id": "s3", "name": "output", "value": "Paris", "dataType": "CORRECTION",
     "source": "ANNOTATION", "authorUserId": "expert",
     "subject": {"kind": "observation", "id": "o1", "traceId": "t2"}},
    {"id": "s4", "name": "tone", "value": 0, "stringValue": "rude", "dataType": "CATEGORICAL",
     "traceId": "t2", "observationId": "o1", "source": "EVAL"},
]  # fmt: skip


def toy(folder: Path) -> tuple[str, int]:
    """A thumb, a number, a correction by an expert, and a category given by a model."""
    page = {"data": [{**_BASE, **score} for score in _TOY], "meta": {"limit": 100}}
    (folder / "scores.json").write_text(json.dumps(page), encoding="utf-8")
    return str(folder / "scores.json"), len(_TOY)


def read(location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Scores and answers as events, possibly with columns of other types: intake validates.

    ``mapping`` may name any field of a record. Raises SourceError when the file is missing, is no
    JSON, lacks a column in its first thousand records, or holds observations and says nothing.
    """
    for file in located(location, ".json", ".jsonl", ".ndjson"):
        records, problem = _records(file)
        told = answers(records)
        rows = _rows(records, told)
        first = list(islice(rows, _SAMPLE))
        if problem and not first:
            raise problem
        if told.observations and not first:
            raise SourceError("source.no_content", place=str(file), spans=f"{told.observations:,}")
        names = list(dict.fromkeys((*_COLUMNS.values(), *(key for row in first for key in row
                                                          if isinstance(row, dict)))))  # fmt: skip
        chosen = plan(str(file), stem(file, location), names, {**_COLUMNS, **mapping})
        yield from events(parts(chain(first, rows), chosen.needed), chosen)
        if problem:
            raise problem


def _records(file: Path) -> tuple[list[Entry], SourceError | None]:
    """What a file holds, and what is wrong with it after that."""
    found: list[Entry] = []
    try:
        for entry in entries(file):
            found += inside(entry)
    except SourceError as problem:
        return found, problem
    return found, None


def _rows(records: Sequence[Entry], told: Answers) -> Iterator[Entry]:
    """Scores and answers in order, each with what an event needs beside its own fields."""
    for record in records:
        if isinstance(record, str):
            yield record
        elif is_observation(record) or is_trace(record):
            named = str(record.get("id"))
            if named in told.of and named not in told.last:
                yield _shown(record, told.of[named])
        else:
            yield _score(record, told)


def _shown(record: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    times = (record.get(name) for name in ("endTime", "startTime", "timestamp"))
    return {
        **record,
        "origin": "langfuse",
        "user": answer.user or f"prediction:{record.get('id')}",
        "kind": "shown",
        "timestamp": next((at for at in times if at), None),
        "about": record.get("id"),
        "number": None,
        "said": answer.payload,
    }


def _score(score: Mapping[str, Any], told: Answers) -> dict[str, Any]:
    about, session = _about(score)
    answer = told.about(score.get("observationId") or score.get("traceId") or about)
    origin = score.get("source")
    kind, number, said = _said(score)
    return {
        **score,
        "origin": name_of(f"langfuse-{origin}") if isinstance(origin, str) else "langfuse",
        "user": _user(score, about, answer.user if answer else None),
        "kind": kind,
        "about": about,
        "number": number,
        "said": {**(answer.payload if answer else {}), **_payload(score), **session, **said},
    }


def _said(score: Mapping[str, Any]) -> tuple[object, object, dict[str, Any]]:
    """The kind, the number and the words of a score; a value of the wrong type is for intake."""
    value, kind = score.get("value"), name_of(score.get("name"))
    words = score.get("stringValue")
    words = value if words is None else words
    told = score.get("dataType") or ("BOOLEAN" if isinstance(value, bool) else "")
    if told == "BOOLEAN":
        truth = value.lower() if isinstance(value, str) else value
        if isinstance(truth, str | int | float) and truth in _TRUTH:
            return kind, _TRUTH[truth], {}
        return kind, value if isinstance(value, str) else "", {"unreadable": value}
    if told == "CORRECTION":
        return "correction", None, {"correction": words, "name": score.get("name")}
    if told in ("CATEGORICAL", "TEXT") or (told == "" and isinstance(words, str)):
        return kind, None, {"text": words}
    return kind, "" if value is None else value, {}


def _about(score: Mapping[str, Any]) -> tuple[object, dict[str, Any]]:
    """What a score is about: an answer's id, or a whole session or experiment."""
    subject = score.get("subject")
    named = dict(subject) if isinstance(subject, dict) else {}
    found = {_ABOUT.get(str(named.get("kind")), "datasetRunId"): named.get("id"), **score}
    metadata = score.get("metadata")
    ours = metadata.get("prediction") if isinstance(metadata, dict) else None
    about = ours or found.get("observationId") or found.get("traceId")
    whole = {"session": found.get("sessionId"), "run": found.get("datasetRunId")}
    trace = found.get("traceId") or named.get("traceId")
    whole["trace"] = trace if trace != about else None
    return about, {name: value for name, value in whole.items() if value}


def _user(score: Mapping[str, Any], about: object, answered: str | None) -> object:
    trace = score.get("trace")
    inside = trace.get("userId") if isinstance(trace, dict) else None
    users = [score.get("userId"), inside, score.get("authorUserId")]
    if score.get("source") == "ANNOTATION":
        users.reverse()
    users += [answered, f"prediction:{about}" if about else None]
    return next((user for user in users if user), None)


def _payload(score: Mapping[str, Any]) -> dict[str, Any]:
    """What else was said, and what was asked and answered where somebody put that beside it."""
    found = {
        "comment": score.get("comment"),
        "metadata": score.get("metadata"),
        "input": text_of(score.get("input")),
        "target": text_of(score.get("output")),
    }
    return {name: value for name, value in found.items() if value}

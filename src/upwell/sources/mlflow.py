"""MLflow 3: assessments of traces, as ``Trace.to_json`` writes them, one trace a line or in a list.

``upwell import traces.jsonl --format mlflow`` reads what ``mlflow.log_feedback`` and
``log_expectation`` left on traces. The name of a feedback is the kind of event, true is +1 and
false −1, a text stands in the payload as ``text``. An ``expected_response`` is a label of what was
asked; other expectations say nothing of a reply. What was overridden (``valid`` false) is left
out. What was asked and answered are the inputs and outputs of the assessed span, else the trace's.

The source is ``mlflow-human``, ``mlflow-llm_judge`` or ``mlflow-code``, so that one can be purged
without the others. The user of a person's feedback is ``source_id``, of any other that of the
trace. A feedback is about its trace; where its metadata name Upwell's id as ``prediction``, about
that. A label is nobody's unless ``--map user=annotator``.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from upwell.sources._documents import Entry, unread
from upwell.sources._files import located, stem
from upwell.sources._lines import streamed
from upwell.sources._messages import asked_in, reply_in
from upwell.sources._names import name_of
from upwell.sources._told import OWN, WRONG, batches

READS = (".jsonl", ".ndjson", ".json")
KNOWN_BY = (frozenset({"info", "data"}),)
_EXPECTED = "expected_response"
_TOY: dict[str, Any] = {
    "info": {
        "trace_id": "tr-1",
        "trace_metadata": {"mlflow.trace.user": "ann"},
        "assessments": [
            {"assessment_id": "a-1", "assessment_name": "thumbs", "feedback": {"value": True},
             "source": {"source_type": "HUMAN", "source_id": "ann"},
             "create_time": "2026-01-01T09:00:00.000Z", "valid": True},
            {"assessment_id": "a-2", "assessment_name": _EXPECTED,
             "expectation": {"value": "Paris."},
             "source": {"source_type": "HUMAN", "source_id": "bob"},
             "create_time": "2026-01-01T10:00:00.000Z", "valid": True},
        ],
    },
    "data": {"spans": [{"span_id": "sX2ubGZ7c+I=", "parent_span_id": None, "attributes": {
        "mlflow.spanInputs": '{"messages":[{"role":"user","content":"Capital of France?"}]}',
        "mlflow.spanOutputs": '"Paris"'}}]},
}  # fmt: skip


def toy(folder: Path) -> tuple[str, int]:
    """A trace with a thumb up and the response that somebody expected."""
    (folder / "traces.jsonl").write_text(json.dumps(_TOY) + "\n", encoding="utf-8")
    return str(folder / "traces.jsonl"), 2


def read(location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Assessments as events. A line that is no trace, and a broken assessment, are of no kind.

    Raises SourceError when a file is missing, holds no JSON or is cut off.
    """
    for file in located(location, *READS):
        rows = (
            (number, row)
            for number, entry in enumerate(streamed(file), 1)
            for row in _assessed(entry)
        )
        yield from batches(file, stem(file, location), rows, mapping)


def _assessed(trace: Entry) -> Iterator[Entry]:
    if isinstance(trace, str):
        yield trace
        return
    try:
        info, spans = trace["info"], trace["data"]["spans"]
        listed = [one for one in info.get("assessments") or () if one.get("valid") is not False]
    except WRONG:
        yield unread(trace)
        return
    for one in listed:
        try:
            yield _event(one, info, _said(one, spans))
        except WRONG:
            yield unread(one)


def _event(
    one: Mapping[str, Any], info: Mapping[str, Any], said: Mapping[str, Any]
) -> dict[str, Any]:
    by, metadata = one["source"], one.get("metadata") or {}
    about = metadata.get("prediction") or info["trace_id"]
    is_person = by["source_type"] == "HUMAN" and by.get("source_id") not in (None, "", "default")
    whose = by["source_id"] if is_person else (info.get("trace_metadata") or {}).get(
        "mlflow.trace.user"
    )  # fmt: skip
    is_label = one["assessment_name"] == _EXPECTED and "expectation" in one
    kind, value, told = _told(one, said)
    payload = {**said, **told, "comment": one.get("rationale"), "metadata": metadata}
    return {
        **metadata,
        "annotator": by.get("source_id"),
        OWN["id"]: one["assessment_id"],
        OWN["source"]: name_of(f"mlflow-{by['source_type']}".lower()),
        OWN["user"]: None if is_label else whose or f"prediction:{about}",
        OWN["kind"]: "label" if is_label else kind,
        OWN["at"]: one["create_time"],
        OWN["prediction"]: about,
        OWN["value"]: value,
        OWN["payload"]: {name: value for name, value in payload.items() if value},
    }


def _told(one: Mapping[str, Any], said: Mapping[str, Any]) -> tuple[object, object, dict[str, Any]]:
    """The kind, the number and the words of an assessment."""
    kind = name_of(one["assessment_name"])
    found = (one.get("feedback") or one["expectation"]).get("value")
    if "expectation" in one:
        if one["assessment_name"] != _EXPECTED:
            return kind, None, {"expected": found}
        if not isinstance(found, str) or not found.strip() or "input" not in said:
            raise ValueError(_EXPECTED)
        return kind, None, {"target": found}
    if isinstance(found, bool):
        return kind, 1.0 if found else -1.0, {}
    return (kind, found, {}) if isinstance(found, int | float) else (kind, None, {"text": found})


def _said(one: Mapping[str, Any], spans: list[Any]) -> dict[str, Any]:
    """What was asked and answered in the assessed span, as far as that is known."""
    wanted = one.get("span_id")
    for span in spans:
        is_it = span.get("parent_span_id") is None
        if wanted:
            is_it = wanted in (span["span_id"], b64decode(span["span_id"]).hex())
        if is_it:
            told = span.get("attributes") or {}
            asked, answer = (
                json.loads(told.get(name) or "null")
                for name in ("mlflow.spanInputs", "mlflow.spanOutputs")
            )
            said = asked_in(asked)
            found = {"input": asked if said is None else said, "target": reply_in(answer)}
            return {name: value for name, value in found.items() if value}
    return {}

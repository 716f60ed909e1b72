"""OTLP in JSON: what the GenAI conventions say in it, without its wrapping.

The conventions are under development: every name of theirs that Upwell reads stands in this file,
as of 2026. Content stands in spans (or in events of inference) as text of JSON, or as
attributes that are nested.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from upwell.conversation import Messages
from upwell.tables import EPOCH

INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
INSTRUCTIONS = "gen_ai.system_instructions"
RESPONSE, CONVERSATION = "gen_ai.response.id", "gen_ai.conversation.id"
MODEL = ("gen_ai.response.model", "gen_ai.request.model")
USER = ("user.id", "enduser.id")
RESULT = "gen_ai.evaluation.result"
NAME, VALUE = "gen_ai.evaluation.name", "gen_ai.evaluation.score.value"
LABEL, EXPLANATION = "gen_ai.evaluation.score.label", "gen_ai.evaluation.explanation"
OPERATION, ANSWERING = "gen_ai.operation.name", ("chat", "generate_content", "text_completion")
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_PLAIN = ("stringValue", "boolValue", "doubleValue", "bytesValue")


@dataclass(frozen=True, slots=True)
class Happening:
    """A span, or an event with its own name; ``at`` is when it ended, as text."""

    name: str
    attributes: Mapping[str, Any]
    trace: str
    span: str
    at: str | None

    @property
    def place(self) -> str:
        """The trace and the span, which name it where nothing else does."""
        return f"{self.trace}/{self.span}"

    def first(self, *names: str) -> Any:
        """The first of these attributes that says something."""
        return next((self.attributes[name] for name in names if self.attributes.get(name)), None)


def happenings(request: Mapping[str, Any]) -> Iterator[Happening]:
    """The spans, the events on them, and the log records of an export request.

    Raises KeyError, TypeError or AttributeError for what is no such request.
    """
    if "resourceSpans" not in request and "resourceLogs" not in request:
        raise KeyError("resourceSpans")
    for span in spans(request):
        yield from of_span(span)
    for record in records(request):
        yield of_record(record)


def spans(request: Mapping[str, Any]) -> Iterator[Any]:
    """The spans of an export request, as they are."""
    return _scoped(request, "resourceSpans", "scopeSpans", "spans")


def records(request: Mapping[str, Any]) -> Iterator[Any]:
    """The log records of an export request, as they are."""
    return _scoped(request, "resourceLogs", "scopeLogs", "logRecords")


def of_span(span: Mapping[str, Any]) -> Iterator[Happening]:
    """A span, then the events on it."""
    yield _happening(span, span, span.get("endTimeUnixNano"))
    for event in span.get("events") or ():
        yield _happening(event, span, event.get("timeUnixNano"))


def of_record(record: Mapping[str, Any]) -> Happening:
    """A log record, which is an event."""
    times = (record.get("timeUnixNano"), record.get("observedTimeUnixNano"))
    return _happening(record, record, next((at for at in times if int(at or 0)), None))


def _scoped(request: Mapping[str, Any], of: str, scoped: str, what: str) -> Iterator[Any]:
    for resource in request.get(of) or ():
        for scope in resource.get(scoped) or ():
            yield from scope.get(what) or ()


def conversation(span: Happening) -> tuple[Messages, str] | None:
    """What was asked and the first answer; None where no text was answered, or none was captured.

    Raises ValueError, TypeError or KeyError for messages that are none.
    """
    if not span.first(INPUT) or not span.first(OUTPUT):
        return None
    asked = [_message(one) for one in _read(span.first(INPUT))]
    told = _text(_read(span.first(INSTRUCTIONS) or "[]"))
    answers = [_text(one["parts"]) for one in _read(span.first(OUTPUT))]
    if None in asked or not answers or not (answers[0] or "").strip():
        return None
    first: Messages = [{"role": "system", "content": told}] if told else []
    return [*first, *(one for one in asked if one)], str(answers[0])


def _message(one: Mapping[str, Any]) -> dict[str, str] | None:
    """A message in words; None for one of a tool, or of more than text."""
    text = _text(one["parts"])
    role = _ROLES.get(one["role"])
    return {"role": role, "content": text} if role and text and text.strip() else None


def _text(parts: Any) -> str | None:
    """The text of parts, thoughts left out; None where anything else is among them."""
    said = [part for part in parts if part["type"] != "reasoning"]
    if any(part["type"] != "text" for part in said):
        return None
    text = "\n".join(part["content"] for part in said)
    text.encode()  # Half of a surrogate pair is no text that could be kept.
    return text


def _read(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _happening(one: Mapping[str, Any], on: Mapping[str, Any], at: Any) -> Happening:
    """What ``one`` says; the trace and span are those of what it stands ``on``."""
    said = {entry["key"]: _value(entry.get("value") or {}) for entry in one.get("attributes") or ()}
    name = one.get("name") or one.get("eventName") or said.get("event.name") or ""
    # In OTLP the number 0 is how a field is left out.
    micros = int(at or 0) // 1000
    moment = (EPOCH + timedelta(microseconds=micros)).isoformat() if micros else None
    return Happening(name, said, on.get("traceId") or "", on.get("spanId") or "", moment)


def _value(value: Mapping[str, Any]) -> Any:
    if "intValue" in value:
        return int(value["intValue"])
    if "arrayValue" in value:
        return [_value(one) for one in value["arrayValue"].get("values") or ()]
    if "kvlistValue" in value:
        entries = value["kvlistValue"].get("values") or ()
        return {one["key"]: _value(one.get("value") or {}) for one in entries}
    return next((value[name] for name in _PLAIN if name in value), None)

"""Langfuse's traces and observations: what was asked and answered, and who asked.

A generation whose input and output are text is an answer, known by its id. So is a trace with such
an input and output. Calls of tools, pictures and generations without an output are no answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from upwell.conversation import Input, input_of
from upwell.sources._documents import Entry
from upwell.sources._messages import asked_in, message, reply_in
from upwell.sources._told import WRONG

_SCORE = ("value", "stringValue", "dataType", "subject")
_TRACE = ("observations", "htmlPath", "input", "output")
_USER = {"role": "user"}
_JSON = ("[", "{", '"')
ANSWERING = "GENERATION"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked and answered, as a payload, and the user who was answered, if known."""

    payload: Mapping[str, Any]
    user: str | None


@dataclass(slots=True)
class Answers:
    """Answers that a file holds, by the id of their observation or trace.

    A trace without words of its own is answered by the last of its generations.
    """

    of: dict[str, Answer] = field(default_factory=dict)
    last: dict[str, tuple[str, Answer]] = field(default_factory=dict)
    observations: int = 0

    def about(self, id: object) -> Answer | None:
        """The answer that a score about an observation or a trace is about."""
        named = str(id)
        last = self.last.get(named)
        return (self.of.get(named) or (last[1] if last else None)) if id else None


def inside(entry: Entry) -> Iterator[Entry]:
    """A record as it is; a trace that was exported whole, then its observations and scores."""
    found = entry.get("observations") if isinstance(entry, dict) else None
    if isinstance(entry, str) or not (isinstance(found, list) and any(map(_is_object, found))):
        yield entry
        return
    own = entry["trace"] if _is_object(entry.get("trace")) else entry
    scores = entry.get("scores") or own.get("scores") or []
    yield {**own, "observations": [], "scores": []}
    for one in (*found, *(scores if isinstance(scores, list) else [])):
        if _is_object(one):
            subject = {} if "subject" in one else {"traceId": own.get("id")}
            yield {**subject, **one}


def is_observation(record: Mapping[str, Any]) -> bool:
    """Whether a record is an observation, of whatever type."""
    return "startTime" in record and "type" in record and not _is_score(record)


def is_trace(record: Mapping[str, Any]) -> bool:
    """Whether a record is a trace."""
    is_other = _is_score(record) or is_observation(record)
    return "timestamp" in record and not is_other and any(name in record for name in _TRACE)


def answers(records: Sequence[Entry]) -> Answers:
    """The answers among the records of a file."""
    known = [one for one in records if isinstance(one, dict)]
    traces = {str(one.get("id")): one for one in known if is_trace(one)}
    found = Answers()
    for one in filter(is_observation, known):
        found.observations += 1
        trace = str(one.get("traceId"))
        answer = _answer(one, traces.get(trace, {})) if one["type"] == ANSWERING else None
        if answer:
            found.of[str(one.get("id"))] = answer
            began = str(one["startTime"])
            if began >= found.last.get(trace, ("",))[0]:
                found.last[trace] = (began, answer)
    for name, whole in traces.items():
        answer = _answer(whole, whole)
        if answer:
            found.of[name] = answer
    return found


def _answer(one: Mapping[str, Any], trace: Mapping[str, Any]) -> Answer | None:
    """What a generation, or a trace, says; None where that is not in words."""
    try:
        asked, reply = _asked(one.get("input")), _reply(one.get("output"))
    except WRONG:
        return None
    chat = one.get("sessionId") or trace.get("sessionId")
    user = one.get("userId") or trace.get("userId")
    extra = {"model": one.get("model") or one.get("providedModelName"), "conversation": chat}
    payload = {"input": asked, "target": reply}
    payload |= {name: value for name, value in extra.items() if value}
    return Answer(payload, str(user or f"conversation:{chat}") if user or chat else None)


def _asked(value: Any) -> Input:
    """The input of a generation. Raises what ``_messages`` raises for what is none."""
    found = asked_in(_read(value))
    if found is None and isinstance(value, str):
        found = value
    if found is None:
        raise TypeError(type(value).__name__)
    return found if isinstance(found, list) else input_of([message({**_USER, "content": found})])


def _reply(value: Any) -> str:
    """The text of an output; one that looks like a message and is none is text."""
    found = reply_in(_read(value))
    text = found if isinstance(found, str) else value
    return message({"role": "assistant", "content": text})["content"]


def _read(value: Any) -> Any:
    """JSON that was exported as a text, as some versions of the API do."""
    if not isinstance(value, str) or value.lstrip()[:1] not in _JSON:
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _is_score(record: Mapping[str, Any]) -> bool:
    return any(name in record for name in _SCORE)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)

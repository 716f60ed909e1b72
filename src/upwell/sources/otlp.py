"""Traces of OpenTelemetry in OTLP/JSON, as the Collector's file exporter writes them.

``upwell import traces.jsonl --format otlp``. A span with GenAI messages becomes an event ``shown``:
an answer that somebody was given, which is neither right nor liked until somebody says so, and is
never learned from by itself. An event ``gen_ai.evaluation.result`` becomes feedback on its answer:
its name is the kind of event ("Helpful?" is ``helpful``), its score the value, its label the
payload's ``text``. Where the answer is in the same file or folder, what was asked and answered
goes along; else the feedback names the answer by its response id alone.

Capturing content is off by default in OpenTelemetry. Spans about anything else are passed by. The
user is ``user.id``, else the conversation, else the answer: ``--map user=ATTRIBUTE`` names another
attribute.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from upwell.conversation import input_of
from upwell.errors import SourceError
from upwell.sources import _spans as names
from upwell.sources._documents import Entry, unread
from upwell.sources._files import located
from upwell.sources._lines import streamed
from upwell.sources._names import name_of
from upwell.sources._spans import Happening, conversation, happenings
from upwell.sources._told import OWN, WRONG, batches, digest

READS = (".jsonl", ".ndjson", ".json")
KNOWN_BY = (frozenset({"resourceSpans"}), frozenset({"resourceLogs"}))
_TOY: list[dict[str, Any]] = [
    {"key": names.RESPONSE, "value": {"stringValue": "chatcmpl-1"}},
    *(
        {"key": name, "value": {"stringValue": json.dumps(
            [{"role": role, "parts": [{"type": "text", "content": text}]}])}}
        for name, role, text in (
            (names.INPUT, "user", "Capital of France?"), (names.OUTPUT, "assistant", "Paris."),
        )
    ),
]  # fmt: skip


class _Known(dict[str, "tuple[Happening, Mapping[str, Any]]"]):
    """Answers that feedback is about, by response id and place, with what was asked and said."""


def toy(folder: Path) -> tuple[str, int]:
    """An answer with content, one without, and an evaluation of the first."""
    spans = [
        {"traceId": "7a", "spanId": str(n), "endTimeUnixNano": "1767225600000000000",
         "attributes": told}
        for n, told in enumerate((_TOY, []))
    ]  # fmt: skip
    record = {"timeUnixNano": "1767225660000000000", "eventName": names.RESULT, "attributes": [
        _TOY[0], {"key": names.NAME, "value": {"stringValue": "thumbs"}},
        {"key": names.VALUE, "value": {"doubleValue": 1}}]}  # fmt: skip
    lines = [{"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]},
             {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "traces.jsonl").write_text(text, encoding="utf-8")
    return str(folder / "traces.jsonl"), 2


def read(location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """Answers and feedback on them as events. A line that is no export request is a row of no kind.

    Files are read twice; what is held in memory are evaluations, and the answers they are about.
    Raises SourceError when a file is missing or cut off, and ``source.no_content`` when there is
    neither a message nor an evaluation in any.
    """
    files = located(location, *READS)
    judged, spans = _told_of(files)
    counted = 0
    for batch in batches(files[0], Path(location).stem, _rows(files, judged), mapping):
        counted += batch.num_rows
        yield batch
    if not counted:
        raise SourceError("source.no_content", place=location, spans=f"{spans:,}")


def _told_of(files: Sequence[Path]) -> tuple[list[Happening], int]:
    """All evaluations, and how many spans and events there are besides.

    What cannot be read is told when it is read again, after the rows before it.
    """
    judged, spans = [], 0
    with suppress(SourceError):
        for entry in chain.from_iterable(map(streamed, files)):
            with suppress(*WRONG):
                found = _happenings(entry)
                judged += [one for one in found if one.name == names.RESULT]
                spans += len(found)
    return judged, spans - len(judged)


def _rows(files: Sequence[Path], judged: Sequence[Happening]) -> Iterator[tuple[int, Entry]]:
    """Answers in order, then what was found of them."""
    wanted, known = {key for one in judged for key in _keys(one)}, _Known()
    for number, entry in enumerate(chain.from_iterable(map(streamed, files)), 1):
        for row in _shown(entry, wanted, known):
            yield number, row
    for one in judged:
        yield 0, _judged(one, known)


def _happenings(entry: Entry) -> list[Happening]:
    """All of a request, or nothing: a line is read whole or kept as it is."""
    return [] if isinstance(entry, str) else list(happenings(entry))


def _shown(entry: Entry, wanted: set[str], known: _Known) -> Iterator[Entry]:
    """Answers of a request as events; those that are ``wanted`` are noted in ``known``."""
    try:
        found = _happenings(entry)
    except WRONG:
        entry, found = unread(entry), []
    if isinstance(entry, str):
        yield entry
    for one in found:
        try:
            said = conversation(one)
            payload = _payload(*said) if said else None
        except WRONG:
            yield unread({"name": one.name, "span": one.place, "attributes": one.attributes})
            continue
        if payload:
            known.update({key: (one, payload) for key in _keys(one) if key in wanted})
            yield _event(one, one, digest([one.place, one.at, payload]), "shown", payload)


def _payload(asked: Sequence[Any], answer: str) -> dict[str, Any]:
    return {"input": input_of(list(asked)), "target": answer}


def _judged(one: Happening, known: _Known) -> dict[str, Any]:
    """An evaluation as an event, with what it is about where that is known."""
    shown, about = next((known[key] for key in _keys(one) if key in known), (one, {}))
    said = {"text": one.first(names.LABEL), "comment": one.first(names.EXPLANATION)}
    payload = {**about, **{name: value for name, value in said.items() if value}}
    name = digest([one.place, one.at, dict(one.attributes)])
    event = _event(one, shown, name, name_of(one.first(names.NAME)), payload)
    return {**event, OWN["value"]: one.attributes.get(names.VALUE)}


def _event(
    one: Happening, shown: Happening, name: str, kind: object, payload: Mapping[str, Any]
) -> dict[str, Any]:
    about = one.first(names.RESPONSE) or shown.first(names.RESPONSE) or shown.place
    chat = one.first(names.CONVERSATION) or shown.first(names.CONVERSATION)
    whose = f"conversation:{chat}" if chat else f"prediction:{about}"
    model = shown.first(*names.MODEL)
    extra = {"conversation": chat, "model": model}
    return {
        **shown.attributes,
        **one.attributes,
        OWN["id"]: name,
        OWN["source"]: "otlp",
        OWN["user"]: one.first(*names.USER) or shown.first(*names.USER) or whose,
        OWN["kind"]: kind,
        OWN["at"]: one.at,
        OWN["prediction"]: about,
        OWN["value"]: None,
        OWN["payload"]: {**payload, **{key: value for key, value in extra.items() if value}},
    }


def _keys(one: Happening) -> list[str]:
    """What an answer is known by: its response id, and its place where it has one."""
    response = one.first(names.RESPONSE)
    return [*([f"id:{response}"] if response else []), *([one.place] if one.span else [])]

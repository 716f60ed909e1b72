"""OpenTelemetry: answers that were given elsewhere, and what somebody thought of answers.

A span (or an event) with messages is an answer: a prediction under its response id, else under its
trace and span. An event ``gen_ai.evaluation.result`` is feedback, and names its answer the same
way. Whatever else a request holds is passed by. The names stand in ``sources/_spans.py``.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from starlette.responses import JSONResponse, Response

from upwell.conversation import input_of
from upwell.errors import UpwellError
from upwell.interfaces.http.bodies import Body
from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.given import Bad, Parser, Row
from upwell.interfaces.http.shapes.names import name_of
from upwell.records import LONGEST_ID, Prediction
from upwell.sources import _spans as names
from upwell.sources._spans import Happening
from upwell.sources._told import WRONG, digest
from upwell.stages.collect.columns import LONGEST_PAYLOAD
from upwell.stages.collect.rows import raw_json
from upwell.store.database import is_storable
from upwell.tables import canonical_json
from upwell.wiring.voices import UPSTREAM

PROTOBUF, SOURCE = "application/x-protobuf", "otlp"


@dataclass(frozen=True, slots=True)
class Signal:
    """A kind of telemetry: how it is encoded, what its parts are and say, what refused ones are."""

    request: type[Message]
    response: type[Message]
    parts: Callable[[Mapping[str, Any]], Iterator[Any]]
    happenings: Callable[[Mapping[str, Any]], Iterable[Happening]]
    refused: str


TRACES = Signal(
    traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse,
    names.spans, names.of_span, "rejectedSpans",
)  # fmt: skip
LOGS = Signal(
    logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse,
    names.records, lambda record: [names.of_record(record)], "rejectedLogRecords",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Heard:
    """What a span or a record says; ``is_silent`` where it is of an answer and holds no words."""

    answers: tuple[Prediction, ...] = ()
    rows: tuple[Row, ...] = ()
    is_silent: bool = False


def parts_of(signal: Signal, body: Body, parser: Parser) -> list[Any]:
    """The spans or records of a request. Raises RequestError 400 for what is no such request."""
    try:
        if body.media != PROTOBUF:
            return list(signal.parts(_object(parser.document(body.text()))))
        found = list(signal.parts(MessageToDict(signal.request.FromString(body.data))))
    except (DecodeError, AttributeError, TypeError) as error:
        raise RequestError("http.not_otlp", 400, field="", value=type(error).__name__) from None
    for one in found:
        # In OTLP's own JSON these are hexadecimal, unlike other bytes in that of protobuf.
        one |= {key: b64decode(one[key]).hex() for key in ("traceId", "spanId") if key in one}
    return found


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(type(value).__name__)
    return value


def response(signal: Signal, media: str, refused: int, problem: str) -> Response:
    """An export response; with a ``problem`` it is a partial success."""
    told = {"partialSuccess": {signal.refused: str(refused), "errorMessage": problem}}
    found = told if problem else {}
    if media != PROTOBUF:
        return JSONResponse(found)
    made = ParseDict(found, signal.response())
    return Response(made.SerializeToString(), media_type=PROTOBUF)


@dataclass(frozen=True, slots=True)
class Listener:
    """Takes what it hears for a ``task``, ``now`` where no time is told.

    ``user_of`` an answer's id, and who it is otherwise, is whoever got the answer.
    """

    task: str
    now: datetime
    parser: Parser
    user_of: Callable[[str, str], object]

    def heard(self, signal: Signal, part: object) -> Heard:
        """What a span or record says; one that cannot be read, or holds too much, is a bad row."""
        sound = self.parser.row(part)
        if isinstance(sound, Bad):
            return Heard(rows=(sound,))
        try:
            found = list(signal.happenings(sound))
            answers = [self._answer(one) for one in found]
        except UpwellError as error:
            blamed, value = (str(error.details.get(name, "")) for name in ("field", "value"))
            return Heard(rows=(Bad(error.code, blamed, value, raw_json(sound)),))
        except WRONG as error:
            problem = f"{type(error).__name__}: {error}"
            return Heard(rows=(Bad("http.bad_span", "attributes", problem, raw_json(sound)),))
        given = tuple(one for one in answers if one is not None)
        judged = tuple(self._judged(one, found[0]) for one in found if one.name == names.RESULT)
        is_answer = found[0].first(names.OPERATION) in names.ANSWERING
        return Heard(given, judged, is_answer and not found[0].first(names.OUTPUT) and not given)

    def _answer(self, one: Happening) -> Prediction | None:
        """An answer as it is recorded; None where there is none, or not in words alone."""
        said = names.conversation(one)
        about = _about(one, one)
        if said is None:
            return None
        asked, reply = said
        input_of(asked)
        model = str(one.first(*names.MODEL) or "")
        if about is None:
            raise ValueError(names.RESPONSE)
        chat = one.first(names.CONVERSATION)
        user, episode = str(one.first(*names.USER) or _otherwise(about, chat)), str(chat or about)
        texts = (model, reply, *(message["content"] for message in asked))
        if len(model) > LONGEST_ID or not all(map(is_storable, texts)):
            raise ValueError("text")
        f"{about}{user}{episode}{one.place}".encode()  # Half a surrogate pair names nobody.
        text = canonical_json(asked)
        if len(text) + len(reply) > LONGEST_PAYLOAD:
            raise RequestError("collect.too_long", 413, field=names.INPUT)
        output = {"answers": [reply], "episode": episode, "span": one.place}
        at = datetime.fromisoformat(one.at) if one.at else self.now
        return Prediction(about, user, self.task, model, at, text, output, 1.0, policy=UPSTREAM)

    def _judged(self, one: Happening, on: Happening) -> Row:
        """An evaluation as an event about its answer."""
        about, chat = _about(one, on), one.first(names.CONVERSATION) or on.first(names.CONVERSATION)
        user = one.first(*names.USER) or on.first(*names.USER)
        if about and not user:
            user = self.user_of(about, _otherwise(about, chat))
        said = {"text": one.first(names.LABEL), "comment": one.first(names.EXPLANATION),
                "conversation": chat}  # fmt: skip
        return {
            "id": digest([one.place, one.at, dict(one.attributes)]),
            "source": SOURCE,
            "user": user,
            "kind": name_of(one.first(names.NAME)),
            "at": one.at,
            "prediction": about,
            "value": one.attributes.get(names.VALUE),
            "payload": {name: value for name, value in said.items() if value},
        }


def _about(one: Happening, on: Happening) -> str | None:
    """The id of an answer; None where nothing names it."""
    told = one.first(names.RESPONSE) or on.first(names.RESPONSE)
    if told:
        return str(told)
    return one.place if one.span else None


def _otherwise(about: str, chat: object) -> str:
    """Who got an answer, where nobody is named."""
    return f"conversation:{chat}" if chat else f"prediction:{about}"

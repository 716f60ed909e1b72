"""JSON schemas of what is sent and answered, for ``/openapi.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upwell.records import EARLIEST, LATEST, LONGEST_ID, NAME, PURPOSES
from upwell.settings import ServeSettings

Schema = Mapping[str, Any]
TEXT: Schema = {"type": "string"}
_SOLID: Schema = {"minLength": 1, "maxLength": LONGEST_ID, "pattern": r"\S"}
ID: Schema = {"type": ["string", "integer"], **_SOLID}
SHORT: Schema = {"type": "string", **_SOLID}
MAYBE_SHORT: Schema = {"type": ["string", "null"], **_SOLID}
NAMING: Schema = {"type": "string", "pattern": "[A-Za-z0-9]"}
"""What is made a name, as ``NAMED`` are, whatever else stands in it."""
WHEN: Schema = {"type": "string", "format": "date-time"}
NAMED: Schema = {"type": "string", "pattern": f"^{NAME.pattern}$"}
TIME: Schema = {
    "anyOf": [WHEN, {"type": "number", "minimum": EARLIEST.timestamp(),
                     "exclusiveMaximum": LATEST.timestamp()}],
    "examples": ["2026-05-01T12:00:00Z"],
}  # fmt: skip
FREE: Schema = {"type": "object"}


def shape(needed: str, strict: bool = True, /, **fields: Schema) -> dict[str, Any]:
    """An object with these fields; ``needed`` names, parted by spaces, must be there."""
    found: dict[str, Any] = {"type": "object", "properties": dict(fields)}
    if needed:
        found["required"] = needed.split()
    return {**found, "additionalProperties": False} if strict else found


def many(one: Schema) -> dict[str, Any]:
    """A list of at least one."""
    return {"type": "array", "items": one, "minItems": 1}


def number(low: int, high: int) -> dict[str, Any]:
    """A whole number."""
    return {"type": "integer", "minimum": low, "maximum": high}


EVENT = shape(
    "id user kind", id=ID, user=ID, kind=NAMED, at=TIME, item=ID, value={"type": "number"},
    prediction=ID, payload=FREE, source=NAMED,
)  # fmt: skip
EVENTS: Schema = {"anyOf": [EVENT, many(EVENT), shape("batch", batch=many(EVENT))]}
SEGMENT = shape(
    "batch", False,
    batch=many(shape("type messageId", False, type=TEXT, messageId=ID, userId=ID,
                     anonymousId=ID, event=TEXT, properties=FREE, traits=FREE, timestamp=TIME)),
)  # fmt: skip
FEEDBACK = shape(
    "metric_name value", inference_id=ID, episode_id=ID, metric_name=NAMING,
    value={"type": ["boolean", "number", "string"]}, tags=FREE, dryrun={"type": "boolean"},
    id=ID, user_id=ID, source=NAMED, at=TIME, item=ID,
) | {"oneOf": [{"required": ["inference_id"]}, {"required": ["episode_id"]}]}  # fmt: skip
YES_OR_NO: Schema = {"type": "boolean", "default": True}
QUESTION = shape("user", user=ID, input={}, k=number(1, 1000), personalize=YES_OR_NO)
CONSENT = shape(
    "user purposes", user=ID, since=WHEN, id=ID,
    purposes={"type": "array", "items": {"enum": list(PURPOSES)}},
)  # fmt: skip
GORSE_FEEDBACK = shape(
    "FeedbackType UserId ItemId", FeedbackType=NAMING, UserId=ID, ItemId=ID,
    Value={"type": "number"}, Timestamp=WHEN, Comment=TEXT,
)  # fmt: skip
GORSE_USER = shape("UserId", UserId=ID, Labels={}, Subscribe={}, Comment=TEXT)
GORSE_ITEM = shape(
    "ItemId", ItemId=ID, IsHidden={"type": "boolean"}, Categories={"type": "array", "items": TEXT},
    Timestamp=WHEN, Labels={}, Comment=TEXT,
)  # fmt: skip
GORSE_ITEM_TOLD = shape(
    "ItemId IsHidden Categories Timestamp Labels Comment", ItemId=ID, Timestamp=WHEN, Labels={},
    IsHidden={"type": "boolean"}, Categories={"type": ["array", "null"], "items": TEXT},
    Comment=TEXT,
)  # fmt: skip

COUNT: Schema = {"type": "integer", "minimum": 0}
REFUSED = {
    "type": "array",
    "items": shape("index code field message", index=COUNT, code=TEXT, field=TEXT, message=TEXT),
}
COUNTS = shape("accepted duplicates refused", False, accepted=COUNT, duplicates=COUNT,
               refused=REFUSED)  # fmt: skip
FEEDBACK_ID = shape("feedback_id", False, feedback_id=TEXT)
AFFECTED = shape("RowAffected", False, RowAffected=COUNT)
ITEMS: Schema = {"type": "array", "items": {"type": ["string", "object"]}}
RECORDED = shape("id recorded", id=TEXT, recorded={"type": "boolean"})
RECEIPT = shape("receipt public_key signature", receipt=FREE, public_key=TEXT, signature=TEXT)
MAYBE: Schema = {"type": ["string", "null"]}
ANSWER = shape(
    "prediction model propensity answers reason", prediction=MAYBE, model=MAYBE,
    propensity={"type": ["number", "null"]}, reason=MAYBE,
    answers={"type": "array", "items": shape("output score reason", False, output={},
             score={"type": ["number", "null"]}, reason=TEXT, title=TEXT)},
)  # fmt: skip
ERROR = shape(
    "error",
    error=shape("code message now next", False, code=TEXT, message=TEXT, now=TEXT, next=TEXT),
)

OPENAI_ERROR = shape("error", error=shape("message type param code", message=TEXT, type=TEXT,
                                          param=MAYBE, code=MAYBE))  # fmt: skip
OTLP_ERROR = shape("message error", message=TEXT, error=ERROR["properties"]["error"])
FLAG: Schema = {"type": ["boolean", "null"]}
PAIRS: Schema = {"type": ["object", "null"], "maxProperties": 16,
                 "additionalProperties": {"type": "string", "maxLength": 512}}  # fmt: skip
PART = shape("type text", type={"const": "text"}, text=TEXT)
MESSAGE: Schema = {"anyOf": [
    shape("role content", role={"enum": ["system", "developer", "user"]},
          content={"anyOf": [{"type": "string", "pattern": r"\S"}, many(PART)]}),
    shape("role", role={"const": "assistant"}, content={"anyOf": [MAYBE, many(PART)]}),
]}  # fmt: skip
_TOKENS: Schema = {"type": ["integer", "null"], "minimum": 1,
                   "maximum": ServeSettings().reply_tokens}  # fmt: skip
COMPLETION_ASKED = shape(
    "model messages", model=SHORT, messages=many(MESSAGE), stream=FLAG,
    stream_options={"type": ["object", "null"]},
    max_tokens=_TOKENS, max_completion_tokens=_TOKENS,
    temperature={"type": ["number", "null"], "minimum": 0, "maximum": 2},
    top_p={"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1},
    seed={"type": ["integer", "null"], "minimum": -(2**63), "maximum": 2**63 - 1},
    n={"enum": [1, None]},
    stop={"anyOf": [MAYBE_SHORT, {"type": "array", "items": SHORT, "maxItems": 4}]},
    user=MAYBE_SHORT, safety_identifier=MAYBE_SHORT, metadata=PAIRS, store=FLAG,
    **{"upwell::episode_id": MAYBE_SHORT, "upwell::tags": PAIRS, "upwell::variant": MAYBE_SHORT,
       "upwell::personalize": FLAG},
)  # fmt: skip
COMPLETION = shape(
    "id object created model choices usage upwell", False, id=TEXT, object=TEXT, created=COUNT,
    model=TEXT, choices=many(FREE), usage=FREE,
    upwell=shape("model_version variant propensity episode_id group", model_version=TEXT,
                 variant=TEXT, propensity={"type": "number"}, episode_id=TEXT, group=TEXT),
)  # fmt: skip
EMBEDDING_ASKED = shape(
    "model input", model=SHORT, input={"anyOf": [SHORT, many(SHORT)]},
    encoding_format={"enum": ["float", "base64", None]}, user=MAYBE_SHORT,
    dimensions={"type": ["integer", "null"]},
)  # fmt: skip
MODEL = shape("id object created owned_by", id=TEXT, object=TEXT, created=COUNT, owned_by=TEXT)
LISTED = shape("object data", False, object=TEXT, data={"type": "array", "items": FREE})


def telemetry(sent: str, refused: str) -> tuple[Schema, Schema]:
    """An export request of OTLP and the answer to it, by the names of their fields."""
    told = shape("", False, **{refused: TEXT}, errorMessage=TEXT)
    return (
        shape("", False, **{sent: {"type": "array", "items": FREE}}),
        shape("", False, partialSuccess=told),
    )

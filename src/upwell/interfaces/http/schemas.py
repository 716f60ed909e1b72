"""JSON schemas of what is sent and answered, for ``/openapi.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upwell.records import LONGEST_ID, NAME, PURPOSES

Schema = Mapping[str, Any]
TEXT: Schema = {"type": "string"}
ID: Schema = {"type": ["string", "integer"], "maxLength": LONGEST_ID}
NAMED: Schema = {"type": "string", "pattern": f"^{NAME.pattern}$"}
TIME: Schema = {"type": ["string", "number"], "examples": ["2026-05-01T12:00:00Z"]}
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
    "metric_name value", inference_id=ID, episode_id=ID, metric_name=TEXT,
    value={"type": ["boolean", "number", "string"]}, tags=FREE, dryrun={"type": "boolean"},
    id=ID, user_id=ID, source=NAMED, at=TIME, item=ID,
)  # fmt: skip
QUESTION = shape("user", user=ID, input={}, k=number(1, 1000))
CONSENT = shape(
    "user purposes", user=ID, since=TEXT, id=ID,
    purposes={"type": "array", "items": {"enum": list(PURPOSES)}},
)  # fmt: skip
GORSE_FEEDBACK = shape(
    "FeedbackType UserId ItemId", FeedbackType=TEXT, UserId=ID, ItemId=ID,
    Value={"type": "number"}, Timestamp=TEXT, Comment=TEXT,
)  # fmt: skip
GORSE_USER = shape("UserId", UserId=ID, Labels={}, Subscribe={}, Comment=TEXT)
GORSE_ITEM = shape(
    "ItemId", ItemId=ID, IsHidden={"type": "boolean"}, Categories={"type": "array", "items": TEXT},
    Timestamp=TEXT, Labels={}, Comment=TEXT,
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

"""TensorZero's feedback: a metric's value for an inference, with ``id`` and ``user_id`` added.

The metric's name is the kind; true is +1 and false −1. ``comment`` is kept as text and
``demonstration`` is a correction. Without ``user_id`` the user is the one who got the answer; of
an answer that is not known (yet) it is ``prediction:`` and its id, who has consented to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upwell.interfaces.http.given import Bad, Row
from upwell.interfaces.http.shapes.names import name_of
from upwell.stages.collect.rows import raw_json

KNOWN = (
    "inference_id", "episode_id", "metric_name", "value", "tags", "dryrun", "id", "user_id",
    "source", "at", "item",
)  # fmt: skip


def row(sent: Mapping[str, object], id: str) -> Row:
    """A row from feedback; its user is None where none is named."""
    for name in sent:
        if name not in KNOWN:
            return Bad("http.unknown_field", name, "", raw_json(sent))
    metric, value, tags = sent.get("metric_name"), sent.get("value"), sent.get("tags") or {}
    if metric is None or value is None:
        blame = "metric_name" if metric is None else "value"
        return Bad("record.missing", blame, "", raw_json(sent))
    if not isinstance(tags, Mapping):
        return Bad("http.no_mapping", "tags", type(tags).__name__, raw_json(sent))
    about, episode = sent.get("inference_id"), sent.get("episode_id")
    if (about is None) == (episode is None):
        return Bad("http.one_target", "inference_id", "", raw_json(sent))
    kind, said = _said(metric, value)
    found: dict[str, Any] = {
        "id": id,
        "kind": kind,
        "prediction": about,
        "user": sent.get("user_id") or tags.get("user_id"),
        "payload": {**said, **({"tags": tags} if tags else {}),
                    **({"episode": episode} if episode is not None else {})},
    }  # fmt: skip
    found |= {name: sent[name] for name in ("source", "at", "item") if name in sent}
    number = _number(value)
    return found if number is None or said else {**found, "value": number}


def _said(metric: object, value: object) -> tuple[object, dict[str, object]]:
    """The kind, and what is said in words."""
    if metric == "demonstration":
        return "correction", {"correction": value}
    if metric == "comment" or (isinstance(value, str) and _number(value) is None):
        return name_of(metric), {"text": value}
    return name_of(metric), {}


def _number(value: object) -> object:
    if isinstance(value, bool):
        return 1.0 if value else -1.0
    return value if isinstance(value, int | float) else None

"""Segment's batches: every call of its libraries.

``messageId`` says which event it is. ``track`` gives its event's name as the kind ("Product
Clicked" is ``product_clicked``); ``identify`` gives a fact about the user, its traits. ``page``,
``screen``, ``group`` and ``alias`` are kinds of their own, with the name and category, the group
and its traits, or the id from before in the payload. Of ``properties``, ``item`` (or
``product_id``), ``value`` and ``prediction`` are the event's own.
Clocks are not corrected by ``sentAt``: that would give a retry another time.
"""

from __future__ import annotations

from collections.abc import Mapping

from upwell.interfaces.http.given import Bad, Row
from upwell.interfaces.http.shapes.names import name_of
from upwell.stages.collect.rows import raw_json

SOURCE = "segment"
_ITEM = ("item", "item_id", "product_id")
_MORE = {"name": "name", "category": "category", "group_id": "groupId",
         "previous_id": "previousId"}  # fmt: skip
"""What calls say beside their properties: names in the payload, and theirs."""


def row(sent: Row) -> Row:
    """A row from one call."""
    if isinstance(sent, Bad):
        return sent
    for name in ("type", "messageId"):
        if not isinstance(sent.get(name), str):
            return Bad("record.missing", name, "", raw_json(sent))
    return _row(sent, str(sent["type"]))


def _row(sent: Mapping[str, object], kind: str) -> Row:
    found: dict[str, object] = {
        "id": sent["messageId"],
        "source": SOURCE,
        "user": sent.get("userId") or sent.get("anonymousId"),
        "at": sent.get("timestamp"),
    }
    if kind == "identify":
        return {**found, "kind": "user", "payload": _object(sent.get("traits"))}
    plain = _object(sent.get("properties"))
    named = next((name for name in _ITEM if name in plain), None)
    if named is not None:
        found["item"] = plain.pop(named)
    for name in ("value", "prediction"):
        if name in plain:
            found[name] = plain.pop(name)
    if kind == "group":
        plain = {**_object(sent.get("traits")), **plain}
    for ours, theirs in _MORE.items():
        if kind != "track" and sent.get(theirs) is not None:
            plain.setdefault(ours, sent[theirs])
    return {**found, "kind": name_of(sent.get("event") if kind == "track" else kind),
            "payload": plain}  # fmt: skip


def _object(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, Mapping) else {}

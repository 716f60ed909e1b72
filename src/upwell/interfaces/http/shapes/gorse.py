"""Gorse's feedback, users and items.

Gorse adds when a request is retried; here feedback has an id made of what it says, so that a
retry counts once. A fact about a user or an item is the whole of what is known of it: the latest
holds, so stating it again changes nothing.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from types import NoneType
from typing import Any, Literal

from upwell.interfaces.http.given import Bad, Row
from upwell.interfaces.http.shapes.names import name_of
from upwell.stages.collect.rows import raw_json
from upwell.tables import as_text, canonical_json

SOURCE = "gorse"
_FEEDBACK = ("FeedbackType", "UserId", "ItemId", "Value", "Timestamp", "Comment")
_USER = ("UserId", "Labels", "Subscribe", "Comment")
_ITEM = ("ItemId", "IsHidden", "Categories", "Timestamp", "Labels", "Comment")
_OURS: Mapping[str, Mapping[str, str]] = {
    "user": {"Labels": "labels", "Subscribe": "subscribe", "Comment": "comment"},
    "item": {"Comment": "title", "Categories": "genres", "Labels": "labels", "IsHidden": "hidden"},
}
"""Their names and those in a fact's payload."""
_NO_TIME = "0001-01-01T00:00:00Z"
PATCHES: Mapping[str, tuple[str, ...]] = {"user": _USER[1:], "item": _ITEM[1:]}
"""What a change may name."""


def feedback(sent: Row) -> Row:
    """A row from one feedback."""
    if isinstance(bad := _checked(sent, _FEEDBACK, ("FeedbackType", "UserId", "ItemId")), Bad):
        return bad
    found = {
        **_named(bad),
        "user": bad["UserId"],
        "item": bad["ItemId"],
        "kind": name_of(bad["FeedbackType"]),
        "payload": {"comment": bad["Comment"]} if bad.get("Comment") else {},
    }
    return {**found, "value": bad["Value"]} if bad.get("Value") is not None else found


def user(sent: Row) -> Row:
    """A fact about a user."""
    if isinstance(bad := _checked(sent, _USER, ("UserId",)), Bad):
        return bad
    payload = {ours: bad[theirs] for theirs, ours in _OURS["user"].items() if bad.get(theirs)}
    return {**_fresh(), "user": bad["UserId"], "kind": "user", "payload": payload}


def item(sent: Row) -> Row:
    """A fact about an item; its comment is its title, its categories are its genres."""
    if isinstance(bad := _checked(sent, _ITEM, ("ItemId",)), Bad):
        return bad
    if not is_flag(bad):
        return Bad("http.yes_or_no", "IsHidden", "", raw_json(bad))
    payload = {ours: bad[theirs] for theirs, ours in _OURS["item"].items() if bad.get(theirs)}
    return {**_fresh(), "item": bad["ItemId"], "kind": "item", "payload": payload}


def deleted(named: str) -> dict[str, object]:
    """The fact that there is no such item any more, without its time: it is hidden for good."""
    return {**_fresh(), "item": named, "kind": "item", "payload": {"deleted": True, "hidden": True}}


def is_deleted(fact: Mapping[str, object]) -> bool:
    """Whether a fact about an item says that it was deleted."""
    return fact.get("deleted") is True


def is_flag(sent: Mapping[str, object]) -> bool:
    """Whether what is sent says, if anything, that an item is hidden or that it is not."""
    return isinstance(sent.get("IsHidden"), bool | NoneType)


def patched(
    about: Literal["user", "item"],
    named: str,
    fact: Mapping[str, object],
    sent: Mapping[str, object],
) -> dict[str, object]:
    """The whole fact about a user or item, without its time, when what is sent changes ``fact``.

    Null changes nothing, as in Gorse; an empty value takes away what was there.
    """
    given = {ours: sent[theirs] for theirs, ours in _OURS[about].items()
             if sent.get(theirs) is not None}  # fmt: skip
    payload = {
        name: value for name, value in {**fact, **given}.items() if value or name not in given
    }
    return {**_fresh(), about: named, "kind": about, "payload": payload}


def shown(
    about: Literal["user", "item"], named: str, fact: Mapping[str, object]
) -> dict[str, object]:
    """A user or an item as Gorse tells it, whoever told of it and however.

    What Gorse does not know of stands among the labels.
    """
    ours = _OURS[about]
    others = {name: value for name, value in fact.items() if name not in ours.values()}
    found = {theirs: fact.get(name) for theirs, name in ours.items()}
    found["Comment"] = as_text(found["Comment"]) or ""
    if about == "item":
        found |= {"IsHidden": found["IsHidden"] is True, "Categories": _listed(found["Categories"])}
    if found["Labels"] is None and others:
        found["Labels"] = others
    fields = _ITEM if about == "item" else _USER
    return {fields[0]: named, **{name: found.get(name, _NO_TIME) for name in fields[1:]}}


def _listed(genres: object) -> list[str] | None:
    """Genres as a list of texts; they may be one text with bars between."""
    if isinstance(genres, list):
        return [as_text(genre) or "" for genre in genres]
    return genres.split("|") if isinstance(genres, str) else None


def part_of(whole: Mapping[str, Any], named: str) -> dict[str, Any]:
    """The schema of a change: fields of the whole but its id, none of them needed."""
    fields = {name: field for name, field in whole["properties"].items() if name != named}
    found = {name: value for name, value in whole.items() if name != "required"}
    return {**found, "properties": fields}


def _checked(
    sent: Row, known: tuple[str, ...], needed: tuple[str, ...]
) -> Bad | Mapping[str, object]:
    if isinstance(sent, Bad):
        return sent
    for name in sent:
        if name not in known:
            return Bad("http.unknown_field", name, "", raw_json(sent))
    for name in needed:
        if not isinstance(sent.get(name), str | int):
            return Bad("record.missing", name, "", raw_json(sent))
    return sent


def _named(sent: Mapping[str, object]) -> dict[str, object]:
    """Id, source and time; what is said decides the id."""
    mark = hashlib.sha256(canonical_json(dict(sent)).encode("utf-8", "replace")).hexdigest()
    return {"id": mark, "source": SOURCE, "at": _time(sent)}


def _fresh() -> dict[str, object]:
    """Id, source and time of a fact; going back to an earlier one is a new fact."""
    return {"id": str(uuid.uuid4()), "source": SOURCE, "at": None}


def _time(sent: Mapping[str, object]) -> object:
    """A time that Gorse's clients leave open is "" or in the year 1."""
    at = sent.get("Timestamp")
    return None if at is None or at == "" or str(at).startswith("0001-") else at

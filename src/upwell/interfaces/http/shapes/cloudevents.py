"""CloudEvents 1.0: the envelope that brokers and clouds send.

``id`` and ``source`` say which event it is (the same two are the same event), ``subject`` is the
user, ``time`` when it happened, and the last word of ``type`` its kind. An object in ``data`` may
name ``user``, ``item``, ``value`` and ``prediction``; the rest of it becomes the payload.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote

from upwell.interfaces.http.given import Bad, Row
from upwell.interfaces.http.shapes.names import name_of, unique_name_of
from upwell.stages.collect.rows import raw_json

ONE, MANY = "application/cloudevents+json", "application/cloudevents-batch+json"
_OWN = ("user", "item", "value", "prediction")


def row(sent: Row) -> Row:
    """A row from an envelope in structured mode."""
    if isinstance(sent, Bad):
        return sent
    if sent.get("specversion") != "1.0":
        told = str(sent.get("specversion"))
        return Bad("http.specversion", "specversion", told, raw_json(sent))
    for name in ("id", "source", "type"):
        if not isinstance(sent.get(name), str):
            return Bad("record.missing", name, "", raw_json(sent))
    data = sent.get("data")
    plain = dict(data) if isinstance(data, Mapping) else {} if data is None else {"data": data}
    own = {name: plain.pop(name) for name in _OWN if name in plain}
    given = plain.pop("payload", {})
    more = given if isinstance(given, Mapping) else {"payload": given}
    kind = str(sent["type"]).rpartition(".")[2]
    found = {
        "id": sent["id"],
        "source": unique_name_of(sent["source"]),
        "kind": name_of(kind),
        "at": sent.get("time"),
        "user": sent.get("subject"),
        "payload": {**plain, **more},
    }
    return {**found, **own}


def from_headers(headers: Mapping[str, str], data: Row) -> Row:
    """A row from binary mode: attributes in ``ce-`` headers, the data in the body.

    What a header cannot hold as it is (letters beyond ASCII, blanks, ``%``) comes percent-encoded.
    """
    named = ("specversion", "id", "source", "type", "subject", "time")
    attributes = {name: unquote(headers[f"ce-{name}"]) for name in named if f"ce-{name}" in headers}
    return row({**attributes, "data": data}) if not isinstance(data, Bad) else data

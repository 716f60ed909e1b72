"""Ten thousand malformed rows of over forty kinds: all accounted for, none holds up others."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.interfaces.http.conftest import desk_of, event, stored

from upwell.service import Upwell

LINES = {"content-type": "application/x-ndjson"}
SENT, BATCH = 10_000, 500


def but(**others: Any) -> bytes:
    """A good event but for these fields."""
    return json.dumps({**event("x"), **others}).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in event("x").items() if key != name}).encode()


def raw(field: str, text: str) -> bytes:
    """A good event with a field of this very text."""
    return without(field)[:-1] + f', "{field}": {text}}}'.encode()


DEEP = "[" * 60 + "]" * 60
KINDS: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"{nothing", "http.not_json"),
    "cut off": (but()[:-7], "http.not_json"),
    "trailing comma": (b'{"id": "1",}', "http.not_json"),
    "single quotes": (b"{'id': '1'}", "http.not_json"),
    "two objects": (but() + but(), "http.not_json"),
    "control character": (b'{"id": "a\x01b"}', "http.not_json"),
    "a bare NUL": (b'{"id": "a\x00b"}', "http.not_json"),
    "NULs for blanks": (but().replace(b" ", b"\x00"), "http.not_json"),
    "invalid UTF-8": (b'{"id": "\xff\xfe"}', "http.not_utf8"),
    "overlong UTF-8": (b'{"id": "\xc0\xaf"}', "http.not_utf8"),
    "UTF-16": (b"\xff\xfe{\x00}\x00", "http.not_utf8"),
    "GBK": ('{"id": "你好"}'.encode("gbk"), "http.not_utf8"),
    "a number": (b"7", "collect.not_a_row"),
    "a text": (b'"event"', "collect.not_a_row"),
    "null": (b"null", "collect.not_a_row"),
    "a list": (b"[1, 2]", "collect.not_a_row"),
    "an empty object": (b"{}", "record.missing"),
    "nested beyond a parser": (b'{"id": ' + b"[" * 5000 + b"]" * 5000 + b"}", "http.too_deep"),
    "nested beyond the limit": (raw("payload", DEEP), "http.too_deep"),
    "a name twice": (but()[:-1] + b', "id": "y"}', "http.twice"),
    "a name twice within": (raw("payload", '{"a": 1, "a": 2}'), "http.twice"),
    "too many names": (but(payload={str(n): n for n in range(300)}), "http.too_many_names"),
    "NaN": (raw("value", "NaN"), "http.not_finite"),
    "infinity": (raw("value", "-Infinity"), "http.not_finite"),
    "beyond a double": (raw("value", "1e400"), "http.not_finite"),
    "an endless integer": (raw("value", "9" * 5000), "http.not_finite"),
    "NaN within": (raw("payload", '{"a": [NaN]}'), "http.not_finite"),
    "an unknown field": (but(itme="i"), "collect.unknown_column"),
    "__proto__": (but(__proto__={"admin": True}), "collect.unknown_column"),
    "a lone surrogate": (raw("user", '"\\udead"'), "collect.bad_text"),
    "a lone surrogate within": (raw("payload", '{"a": "\\ud800"}'), "collect.bad_text"),
    "NUL": (raw("user", '"a\\u0000b"'), "record.bad_id"),
    "NUL in an id without a time": (b'{"id": "a\\u0000b", "user": "u", "kind": "click"}',
                                    "record.bad_id"),
    "NUL in a source": (raw("source", '"a\\u0000b"'), "record.bad_name"),
    "NUL in a prediction": (raw("prediction", '"\\u0000"'), "record.bad_id"),
    "NUL in a time": (raw("at", '"\\u0000"'), "collect.unreadable_time"),
    "NUL in a value": (raw("value", '"\\u0000"'), "collect.not_a_number"),
    "NUL in an unknown field": (raw("a\\u0000b", "1"), "collect.unknown_column"),
    "a lone surrogate without a time": (b'{"id": "\\ud800", "user": "u", "kind": "click"}',
                                        "collect.bad_text"),
    "no id": (without("id"), "record.missing"),
    "id null": (but(id=None), "record.missing"),
    "id blank": (but(id="  "), "record.missing"),
    "id true": (but(id=True), "collect.wrong_type"),
    "id a list": (but(id=["1"]), "collect.wrong_type"),
    "id of 10 kB": (but(id="x" * 10_000), "record.bad_id"),
    "no user": (without("user"), "record.missing"),
    "user an object": (but(user={"id": 1}), "collect.wrong_type"),
    "no kind": (without("kind"), "record.missing"),
    "kind a sentence": (but(kind="No Name"), "record.bad_name"),
    "kind HTML": (but(kind="<script>"), "record.bad_name"),
    "source a path": (but(source="../../etc/passwd"), "record.bad_name"),
    "time a word": (but(at="yesterday"), "collect.unreadable_time"),
    "time naive": (but(at="2026-05-01T10:00:00"), "record.naive_time"),
    "time in milliseconds": (but(at=1_777_777_777_777), "collect.milliseconds"),
    "time 0": (but(at=0), "record.bad_time"),
    "year 9999": (but(at="9999-12-31T00:00:00Z"), "record.bad_time"),
    "value a word": (but(value="yes"), "collect.not_a_number"),
    "value true": (but(value=True), "collect.wrong_type"),
    "value a list": (but(value=[1]), "collect.wrong_type"),
    "payload a list": (but(payload=[1]), "collect.bad_payload"),
    "payload no JSON": (but(payload="{no"), "collect.bad_payload"),
    "item blank": (but(item=""), "record.missing"),
    "prediction too long": (but(prediction="p" * 600), "record.bad_id"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_refused_with_its_code_and_kept(
    api: TestClient, upwell: Upwell, kind: str
) -> None:
    line, code = KINDS[kind]
    told = api.post("/v1/events", content=line, headers=LINES).json()
    assert [one["code"] for one in told["refused"]] == [code]
    kept = upwell.project.journal.bad_rows(2).to_pylist()
    assert [row["code"] for row in kept] == [code]
    assert kept[0]["reason"]
    assert kept[0]["raw"]


@pytest.mark.usefixtures("database")
def test_ten_thousand_of_all_kinds_are_all_accounted_for(api: TestClient, upwell: Upwell) -> None:
    assert len(KINDS) >= 40
    names = list(KINDS)
    rows = [(KINDS[names[n % len(names)]][0], "") for n in range(SENT)]
    rows += [(json.dumps(event(f"g{n}")).encode(), f"g{n}") for n in range(SENT // 10)]
    rows = [rows[place] for place in np.random.default_rng(7).permutation(len(rows))]
    accepted = refused = 0
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        answer = api.post("/v1/events", content=b"\n".join(line for line, _ in part), headers=LINES)
        told = answer.json()
        assert answer.status_code == 207
        bad = {one["index"] for one in told["refused"]}
        assert bad == {place for place, (_, good) in enumerate(part) if not good}
        accepted += told["accepted"]
        refused += len(told["refused"])
    assert (accepted, refused) == (SENT // 10, SENT)
    assert {row["id"] for row in stored(upwell)} == {good for _, good in rows if good}
    assert upwell.project.journal.counts()["bad_rows"] == SENT
    meters = desk_of(api).meters
    assert sum(meters.bad.values()) == meters.events["refused"] == SENT
    assert f'outcome="refused"}} {SENT}' in api.get("/metrics").text

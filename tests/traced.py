"""Telemetry in OTLP/JSON, as instrumentations of language models make it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

AT = 1_767_225_600_000_000_000


def value(found: object) -> dict[str, Any]:
    """A value of an attribute, nested as OTLP nests them."""
    if isinstance(found, bool):
        return {"boolValue": found}
    if isinstance(found, int):
        return {"intValue": str(found)}
    if isinstance(found, float):
        return {"doubleValue": found}
    if isinstance(found, list):
        return {"arrayValue": {"values": [value(one) for one in found]}}
    if isinstance(found, dict):
        return {"kvlistValue": {"values": attributes(found)}}
    return {"stringValue": found}


def attributes(found: Mapping[str, object]) -> list[dict[str, Any]]:
    return [{"key": name, "value": value(one)} for name, one in found.items()]


def parts(role: str, text: str) -> dict[str, object]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def span(n: int, **more: object) -> dict[str, Any]:
    told = {"gen_ai.response.id": f"r{n}", "gen_ai.conversation.id": "c", **more}
    return {"traceId": "7a", "spanId": f"{n}", "name": "chat m", "startTimeUnixNano": str(AT),
            "endTimeUnixNano": str(AT + n), "attributes": attributes(told),
            "events": []}  # fmt: skip


def chat(n: int, asked: str = "2+2?", said: str = "4", **more: object) -> dict[str, Any]:
    content = {"gen_ai.input.messages": json.dumps([parts("user", asked)]),
               "gen_ai.output.messages": json.dumps([parts("assistant", said)])}  # fmt: skip
    return span(n, **{**content, **more})


def judged(name: str, **more: object) -> dict[str, Any]:
    return {"timeUnixNano": str(AT), "attributes": attributes(
        {"gen_ai.evaluation.name": name, **more})}  # fmt: skip


def spans(*found: object) -> dict[str, Any]:
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": found}]}]}


def logs(*found: object) -> dict[str, Any]:
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": found}]}]}


RESULT = {"eventName": "gen_ai.evaluation.result"}

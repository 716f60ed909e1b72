"""How the service is asked, for programs (OpenAPI 3.1) and for people (one page, no scripts)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import upwell
from upwell.interfaces.http.gate import OPEN
from upwell.interfaces.http.schemas import ERROR, OPENAI_ERROR, OTLP_ERROR, TEXT
from upwell.store.access import CAPTURE, PUBLISHABLE, WRITE
from upwell.words import say

if TYPE_CHECKING:
    from upwell.interfaces.http.desk import Spec

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b1f24;background:#fff}code{background:#f2f4f6;padding:.1em .3em;border-radius:3px}"
    "h2{font-size:1.1rem;margin:2rem 0 .3rem}pre{background:#f2f4f6;padding:.8rem;overflow:auto}"
    "@media(prefers-color-scheme:dark){body{color:#e6e9ec;background:#14171a}"
    "code,pre{background:#22272c}}"
)
_MARK = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_MARK}'",
    "X-Frame-Options": "DENY",
}
_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_ERRORS = {"upwell": "Error", "openai": "OpenAIError", "otlp": "OTLPError"}
_SECURE = ("bearer", "basic", "header")


def document(specs: Sequence[Spec], lang: str) -> dict[str, Any]:
    """The OpenAPI description of the routes."""
    paths: dict[str, dict[str, Any]] = {}
    for spec in specs:
        plain = _PARAMETER.sub(r"{\1}", spec.path)
        paths.setdefault(plain, {})[spec.method.lower()] = _operation(spec, lang)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Upwell", "version": upwell.__version__,
                 "description": say("http.docs.about", lang)},
        "paths": paths,
        "components": {
            "schemas": {"Error": ERROR, "OpenAIError": OPENAI_ERROR, "OTLPError": OTLP_ERROR},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }  # fmt: skip


def scopes_of(need: str) -> tuple[str, ...]:
    """The scopes of keys that open a route; none where it is open to all."""
    if need == OPEN:
        return ()
    return (PUBLISHABLE, WRITE, "admin") if need == CAPTURE else tuple(sorted({need, "admin"}))


def page(specs: Sequence[Spec], lang: str) -> str:
    """The same routes on one page of HTML."""
    parts = [f"<h1>Upwell</h1><p>{escape(say('http.docs.about', lang))}</p>"]
    for spec in specs:
        need = ", ".join(scopes_of(spec.need)) or say("http.docs.open", lang)
        names = ", ".join(_fields(spec.body)) if spec.body else ""
        listed = f"<p><code>{escape(names)}</code></p>" if names else ""
        parts.append(
            f"<h2><code>{spec.method} {escape(spec.path)}</code></h2>"
            f"<p>{escape(say(spec.words, lang))} "
            f"{escape(say('http.docs.need', lang))} <code>{escape(need)}</code></p>{listed}"
        )
    return (
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>Upwell</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}"
        f'<p><a href="/openapi.json">openapi.json</a></p></body></html>'
    )


def _fields(body: Mapping[str, Any]) -> list[str]:
    """The names of the fields of one row."""
    if "anyOf" in body:
        return _fields(body["anyOf"][0])
    return list(body.get("items", body).get("properties", {}))


def _operation(spec: Spec, lang: str) -> dict[str, Any]:
    answer = {"description": say("http.docs.answer", lang)}
    content: dict[str, Any] = {media: {} for media in spec.gives}
    if spec.answer:
        content["application/json"] = {"schema": dict(spec.answer)}
    good = {str(status): {**answer, **({"content": content} if content else {})}
            for status in spec.statuses}  # fmt: skip
    named = _ERRORS[spec.speaks]
    error = {"application/json": {"schema": {"$ref": f"#/components/schemas/{named}"}}}
    found: dict[str, Any] = {
        "summary": say(spec.words, lang),
        "operationId": _identifier(spec),
        "responses": {**good, "default": {"description": say("http.docs.refused", lang),
                                          "content": error}},
        "x-scopes": list(scopes_of(spec.need)),
    }  # fmt: skip
    if spec.need != OPEN:
        found["security"] = [{name: []} for name in _SECURE] + [{}]
    if spec.body is not None:
        # What is no plain JSON is described by its own standard.
        other: dict[str, Any] = {media: {} for media in spec.accepts}
        content = {**other, "application/json": {"schema": dict(spec.body)}}
        found["requestBody"] = {"required": True, "content": content}
    asked = [(name, "path", TEXT) for name in _PARAMETER.findall(spec.path)]
    asked += [(name, "query", schema) for name, schema in spec.query.items()]
    if asked:
        found["parameters"] = [
            {"name": name, "in": place, "required": place == "path", "schema": dict(schema)}
            for name, place, schema in asked
        ]
    return found


def _identifier(spec: Spec) -> str:
    words = re.findall(r"\w+", _PARAMETER.sub(r"\1", spec.path))
    return "_".join([spec.method.lower(), *words])

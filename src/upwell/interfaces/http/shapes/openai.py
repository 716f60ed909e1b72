"""Conversations in OpenAI's shape: what is asked, checked to the last field, and what is said."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, cast

from upwell.interfaces.http.errors import RequestError
from upwell.ports import Manner, Piece
from upwell.records import LONGEST_ID, Json
from upwell.settings import ServeSettings
from upwell.store.database import is_storable
from upwell.wiring.chat import Reply, Spoken

ROLES = ("system", "developer", "user", "assistant")
LONGEST_NAME, LONGEST_VALUE, MOST_PAIRS, MOST_STOPS = 64, 512, 16, 4
_KNOWN = (
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens",
    "temperature", "top_p", "seed", "stop", "user", "safety_identifier", "metadata", "store",
    "upwell::episode_id", "upwell::tags", "upwell::variant", "upwell::personalize",
)  # fmt: skip
_SAME: Mapping[str, tuple[object, ...]] = {
    "n": (1,), "logprobs": (False,), "top_logprobs": (0,), "frequency_penalty": (0,),
    "presence_penalty": (0,), "logit_bias": ({},), "response_format": ({"type": "text"},),
    "modalities": (["text"],), "service_tier": ("auto", "default"),
}  # fmt: skip
"""What is not offered, with the values that ask for nothing."""
_FORWARDED = ("max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "stop")


def spoken(sent: Mapping[str, object], user: str, settings: ServeSettings) -> Spoken:
    """What a request asks. Raises RequestError 400: ``openai.unsupported``, ``openai.value``.

    A field that is null was not sent.
    """
    given = {name: value for name, value in sent.items() if value is not None}
    for name, value in given.items():
        if name not in _KNOWN and not _asks_nothing(name, value):
            raise unsupported(name)
    is_stream = _flag(given, "stream", False)
    _options(given, is_stream)
    beside: dict[str, Json] = {
        name.removeprefix("upwell::"): _pairs(given, name)
        for name in ("metadata", "upwell::tags")
        if name in given
    }
    return Spoken(
        _messages(given.get("messages"), settings.messages),
        user,
        text(given, "model"),
        text(given, "upwell::variant", ""),
        _manner(given, settings.reply_tokens),
        {name: cast("Json", given[name]) for name in _FORWARDED if name in given},
        is_stream,
        _flag(given, "upwell::personalize", True),
        text(given, "upwell::episode_id", ""),
        beside,
        _flag(given, "store", True),
    )


def unsupported(field: str) -> RequestError:
    """The refusal of what is not offered."""
    return RequestError("openai.unsupported", 400, field=_shown(field))


def wrong(field: str, expected: str) -> RequestError:
    """The refusal of a value."""
    return RequestError("openai.value", 400, field=_shown(field), expected=expected)


def text(given: Mapping[str, object], name: str, default: str | None = None) -> str:
    """A short text. Raises RequestError 400, where there is no default also if it is missing."""
    value = given.get(name)
    if value is None and default is not None:
        return default
    if value is None:
        raise RequestError("http.missing", 400, field=name)
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_ID:
        raise wrong(name, f"string, 1..{LONGEST_ID}")
    return readable(name, value)


def readable(name: str, value: str) -> str:
    """A text that can be stored. Raises RequestError 400 for NUL and half characters."""
    if not is_storable(value):
        raise wrong(name, "Unicode, without NUL")
    return value


def completion(reply: Reply, said: str, last: Piece) -> dict[str, Any]:
    """A whole reply."""
    message = {"role": "assistant", "content": said, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": last.end or "stop"}
    found = _head(reply, "chat.completion")
    return {**found, "choices": [choice], "usage": usage(last), "upwell": about(reply)}


def chunk(reply: Reply, delta: Mapping[str, str], end: str | None = None) -> dict[str, Any]:
    """A part of a streamed reply."""
    choice = {"index": 0, "delta": dict(delta), "logprobs": None, "finish_reason": end}
    return {**_head(reply, "chat.completion.chunk"), "choices": [choice]}


def counted(reply: Reply, last: Piece) -> dict[str, Any]:
    """The part of a streamed reply that tells its tokens."""
    return {**_head(reply, "chat.completion.chunk"), "choices": [], "usage": usage(last)}


def usage(last: Piece) -> dict[str, int]:
    """The tokens of a conversation and of its reply."""
    total = last.prompt + last.completion
    return {"prompt_tokens": last.prompt, "completion_tokens": last.completion,
            "total_tokens": total}  # fmt: skip


def about(reply: Reply) -> dict[str, Any]:
    """What Upwell adds: who answered, with what probability it was that one, in which episode.

    And for which group of users; '' is the voice for all.
    """
    return {"model_version": reply.voice.version, "variant": reply.voice.variant,
            "propensity": reply.voice.share, "episode_id": reply.episode,
            "group": reply.group}  # fmt: skip


def _head(reply: Reply, kind: str) -> dict[str, Any]:
    return {"id": reply.id, "object": kind, "created": int(reply.at.timestamp()),
            "model": reply.voice.version}  # fmt: skip


def _asks_nothing(name: str, value: object) -> bool:
    return any(type(value) is type(same) and value == same for same in _SAME.get(name, ())) or (
        name.endswith("_penalty") and isinstance(value, float) and value == 0.0
    )


def _options(given: Mapping[str, object], is_stream: bool) -> None:
    options = given.get("stream_options")
    if options is None:
        return
    if not is_stream or not isinstance(options, Mapping):
        raise wrong("stream_options", "object, with stream=true")
    for name, value in options.items():
        if name not in ("include_usage", "include_obfuscation"):
            raise unsupported(f"stream_options.{name}")
        if not isinstance(value, bool | None):
            raise wrong(f"stream_options.{name}", "boolean")


def _messages(value: object, most: int) -> Sequence[Mapping[str, str]]:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise wrong("messages", f"array, 1..{most}")
    return [_message(f"messages[{place}]", one) for place, one in enumerate(value)]


def _message(name: str, value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise wrong(name, "object")
    for part, what in value.items():
        # Clients send back what they were given: lists that are empty say nothing.
        if part not in ("role", "content") and what not in (None, []):
            raise unsupported(f"{name}.{part}")
    role = value.get("role")
    if role in ("tool", "function"):
        raise unsupported(f"{name}.role")
    if role not in ROLES:
        raise wrong(f"{name}.role", ", ".join(ROLES))
    content = _content(f"{name}.content", value.get("content"), role == "assistant")
    return {"role": "system" if role == "developer" else str(role), "content": content}


def _content(name: str, value: object, may_lack: bool) -> str:
    if isinstance(value, list) and value:
        return "".join(_part(f"{name}[{place}]", one) for place, one in enumerate(value))
    if value is None and may_lack:
        return ""
    if not isinstance(value, str):
        raise wrong(name, "string")
    return readable(name, value)


def _part(name: str, value: object) -> str:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if isinstance(kind, str) and kind != "text":
        raise unsupported(f"{name}.type={kind}")
    said = value.get("text") if isinstance(value, Mapping) else None
    if kind != "text" or not isinstance(said, str):
        raise wrong(name, '{"type": "text", "text": string}')
    return readable(name, said)


def _manner(given: Mapping[str, object], most: int) -> Manner:
    wanted = [_number(given, name, 1, most) for name in ("max_completion_tokens", "max_tokens")]
    tokens = next((int(one) for one in wanted if one is not None), min(most, Manner().max_tokens))
    temperature, top_p = _number(given, "temperature", 0.0, 2.0), _number(given, "top_p", 0.0, 1.0)
    if top_p == 0.0:
        raise wrong("top_p", "0 < top_p <= 1")
    seed = _number(given, "seed", -(2**63), 2**63 - 1)
    drawn = secrets.randbits(63) if seed is None else int(seed) % 2**63
    return Manner(
        tokens,
        Manner().temperature if temperature is None else float(temperature),
        1.0 if top_p is None else float(top_p),
        drawn,
        _stops(given.get("stop")),
    )


def _number(given: Mapping[str, object], name: str, low: float, high: float) -> int | float | None:
    """A number between; a whole one where the ends are."""
    value, is_whole = given.get(name), isinstance(low, int)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int if is_whole else int | float):
        raise wrong(name, "integer" if is_whole else "number")
    if not low <= value <= high:
        raise wrong(name, f"{low}..{high}")
    return value


def _stops(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value
    if stops is None:
        return ()
    if not isinstance(stops, list) or len(stops) > MOST_STOPS:
        raise wrong("stop", f"string, or array of at most {MOST_STOPS}")
    if not all(isinstance(one, str) and 0 < len(one) <= LONGEST_VALUE for one in stops):
        raise wrong("stop", f"strings, 1..{LONGEST_VALUE}")
    return tuple(readable("stop", one) for one in stops)


def _pairs(given: Mapping[str, object], name: str) -> dict[str, Json]:
    value = given[name]
    if not isinstance(value, Mapping) or len(value) > MOST_PAIRS:
        raise wrong(name, f"object of at most {MOST_PAIRS} strings")
    for key, what in value.items():
        if len(key) > LONGEST_NAME or not isinstance(what, str) or len(what) > LONGEST_VALUE:
            raise wrong(f"{name}.{key}", f"name 1..{LONGEST_NAME}, string 0..{LONGEST_VALUE}")
        readable(name, key + what)
    return dict(value)


def _flag(given: Mapping[str, object], name: str, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise wrong(name, "boolean")
    return value


def _shown(field: str) -> str:
    return ascii(field[:80])[1:-1]

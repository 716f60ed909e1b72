"""What clients of OpenAI's API ask: replies in conversation, models, and texts as vectors."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from time import monotonic
from typing import Any

import numpy as np
from anyio import to_thread
from starlette.responses import JSONResponse, Response

from upwell.errors import PluginError, StageError, UpwellError
from upwell.interfaces.http import errors
from upwell.interfaces.http.desk import Asked, Spec
from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.flow import MEDIA, Flow, Streamed, whole
from upwell.interfaces.http.routes.answers import asker
from upwell.interfaces.http.schemas import (
    COMPLETION,
    COMPLETION_ASKED,
    EMBEDDING_ASKED,
    LISTED,
    MODEL,
)
from upwell.interfaces.http.shapes import openai
from upwell.plugins import plugin
from upwell.ports import Piece, Talking
from upwell.store.access import READ
from upwell.wiring import encoding
from upwell.wiring.chat import Reply

log = logging.getLogger("upwell.http")
MOST_TEXTS, LONGEST_TEXT = 2048, 65_536
_EMBEDDING = ("model", "input", "encoding_format", "dimensions", "user")
_NOT_OFFERED = ("/v1/completions", "/v1/responses")
_UNREADABLE = ("http.not_json", "http.not_utf8", "http.too_deep", "http.not_finite", "http.twice",
               "http.too_many_names")  # fmt: skip
"""Refusals of bodies which say that rows are kept, as no route here does."""


async def completions(asked: Asked) -> Response:
    """A reply in conversation, recorded before it is given; a stream is recorded at its end."""
    began = monotonic()
    upwell, sent = asked.desk.upwell, await _sent(asked)
    user = _user(sent)
    asked.spend(1, [user] if user else [])
    spoken = openai.spoken(sent, user, upwell.project.settings.serve)
    flow = Flow(
        asked.desk.talkers, lambda: upwell.chat(spoken), upwell.project.settings.serve.reply_seconds
    )
    if spoken.is_stream:
        try:
            reply = await flow.begun()
        except BaseException:
            flow.stop()
            raise
        asked.desk.meters.inference.add(monotonic() - began)
        options = sent.get("stream_options")
        counts = isinstance(options, Mapping) and options.get("include_usage") is True
        stream = _Stream(asked, flow, reply, counts)
        return Streamed(stream.events(), stream.end)
    reply, said, last = await whole(flow, asked.request)
    await to_thread.run_sync(partial(reply.keep, said, last))
    asked.desk.meters.inference.add(monotonic() - began)
    return JSONResponse(openai.completion(reply, said, last))


@dataclass(slots=True)
class _Stream:
    """A streamed reply: what of it was sent, and whether that is recorded."""

    asked: Asked
    flow: Flow
    reply: Reply
    counts: bool
    said: list[str] = field(default_factory=list)
    last: Piece = field(default_factory=lambda: Piece(""))
    is_kept: bool = False

    async def events(self) -> AsyncIterator[bytes]:
        """The parts; an error ends them as a part of its own."""
        first = openai.chunk(self.reply, {"role": "assistant", "content": ""})
        yield _event({**first, "upwell": openai.about(self.reply)})
        try:
            while (piece := await self.flow.next()) is not None:
                if piece.text:
                    yield _event(openai.chunk(self.reply, {"content": piece.text}))
                    self.said.append(piece.text)
                self.last = piece
            await self._keep(cut=False)
        except UpwellError as error:
            yield _event(errors.openai_body(error, self.asked.lang))
            return
        except Exception as error:
            log.error("a stream broke off: %s", type(error).__name__)
            unexpected = RequestError("http.unexpected", 500, problem=type(error).__name__)
            yield _event(errors.openai_body(unexpected, self.asked.lang))
            return
        yield _event(openai.chunk(self.reply, {}, self.last.end or "stop"))
        if self.counts:
            yield _event(openai.counted(self.reply, self.last))
        yield b"data: [DONE]\n\n"

    async def end(self) -> None:
        """Whatever happened: make no more of it, and record what was sent."""
        self.flow.stop()
        if not self.is_kept:
            try:
                await self._keep(cut=True)
            except Exception as error:
                log.error("a reply that was cut is not recorded: %s", type(error).__name__)

    async def _keep(self, *, cut: bool) -> None:
        said = "".join(self.said)
        await to_thread.run_sync(partial(self.reply.keep, said, self.last, cut=cut))
        self.is_kept = True


async def models(asked: Asked) -> Response:
    """Every name under which something can be asked."""
    found = await asked.desk.crew.run(lambda: _models(asked))
    return JSONResponse({"object": "list", "data": found})


async def model(asked: Asked) -> Response:
    """One of them."""
    name = str(asked.request.path_params["model"])
    found = await asked.desk.crew.run(lambda: _models(asked))
    for one in found:
        if one["id"] == name:
            return JSONResponse(one)
    raise _no_model(name, found)


async def embeddings(asked: Asked) -> Response:
    """Texts as vectors of length 1, by the encoder that is installed."""
    sent = {name: value for name, value in (await _sent(asked)).items() if value is not None}
    for name in sent:
        if name not in _EMBEDDING:
            raise openai.unsupported(name)
    texts = _texts(sent.get("input"))
    form, name = sent.get("encoding_format", "float"), openai.text(sent, "model")
    if form not in ("float", "base64"):
        raise openai.wrong("encoding_format", "float, base64")
    user = _user(sent)
    asked.spend(len(texts), [user] if user else [])
    if name.lower() not in encoding.NAMES:
        raise _no_model(name, await asked.desk.crew.run(lambda: _models(asked)))
    found, read = await asked.desk.crew.run(lambda: encoding.vectors(texts))
    if sent.get("dimensions", found.shape[1]) != found.shape[1]:
        raise openai.wrong("dimensions", str(found.shape[1]))
    data = [{"object": "embedding", "index": place, "embedding": _written(row, form)}
            for place, row in enumerate(found)]  # fmt: skip
    used = {"prompt_tokens": read, "total_tokens": read}
    return JSONResponse({"object": "list", "data": data, "model": encoding.NAME, "usage": used})


def is_not_offered(path: str) -> bool:
    """Whether OpenAI's API has a route at this path which none answers here, whatever its task.

    >>> is_not_offered("/v1/responses/resp_1"), is_not_offered("/v1/chat/completions")
    (True, False)
    """
    return "/".join(path.split("/")[:3]) in _NOT_OFFERED


async def _sent(asked: Asked) -> dict[str, object]:
    """The JSON object of a request. Raises RequestError."""
    try:
        return await asked.mapping()
    except RequestError as error:
        if error.code not in _UNREADABLE:
            raise
        what, field = error.explain(asked.lang)[0], error.details["field"]
        raise RequestError("openai.unreadable", 400, problem=what, field=field) from None


def _user(sent: Mapping[str, object]) -> str:
    """Who asks, '' where nobody is named."""
    named = [sent[name] for name in ("user", "safety_identifier") if sent.get(name) is not None]
    return asker(named[0]) if named else ""


def _models(asked: Asked) -> list[dict[str, Any]]:
    project = asked.desk.upwell.project
    owner = project.settings.project.name
    chats, names = asked.desk.upwell.chats, []
    if isinstance(plugin("tasks", project.settings.project.task), Talking):
        if chats.upstream is None:
            # In the first seconds of a project its base may not serve yet. One that cannot is told
            # to whoever asks it; the other names are no worse for it.
            with suppress(PluginError, StageError):
                chats.adopt(datetime.now(UTC))
        names = [(one.name, int(one.since.timestamp())) for one in chats.voices.names()]
    if encoding.missing() is None:
        names.append((encoding.NAME, 0))
    return [{"id": name, "object": "model", "created": since, "owned_by": owner}
            for name, since in names]  # fmt: skip


def _no_model(name: str, found: list[dict[str, Any]]) -> StageError:
    lacking = encoding.missing()
    if name.lower() in encoding.NAMES and lacking is not None:
        return StageError("serve.no_encoder", package=lacking)
    known = ", ".join(one["id"] for one in found[:10])
    return StageError("serve.no_model", name=ascii(name[:80])[1:-1], known=known or "–")


def _texts(value: object) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not 1 <= len(texts) <= MOST_TEXTS:
        raise openai.wrong("input", f"string, or array of 1..{MOST_TEXTS}")
    if not all(isinstance(one, str) and one.strip() and len(one) <= LONGEST_TEXT for one in texts):
        raise openai.wrong("input", f"strings, 1..{LONGEST_TEXT}")
    return [openai.readable("input", one) for one in texts]


def _written(row: np.ndarray[Any, np.dtype[np.float32]], form: object) -> object:
    if form == "base64":
        return base64.b64encode(row.astype("<f4").tobytes()).decode()
    return row.tolist()


def _event(document: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(document, ensure_ascii=False)}\n\n".encode()


ROUTES = (
    Spec("POST", "/v1/chat/completions", READ, completions, "http.route.chat", COMPLETION_ASKED,
         COMPLETION, gives=(MEDIA,), speaks="openai"),
    Spec("GET", "/v1/models", READ, models, "http.route.models", answer=LISTED, speaks="openai"),
    Spec("GET", "/v1/models/{model:path}", READ, model, "http.route.model", answer=MODEL,
         speaks="openai"),
    Spec("POST", "/v1/embeddings", READ, embeddings, "http.route.embeddings", EMBEDDING_ASKED,
         LISTED, speaks="openai"),
)  # fmt: skip

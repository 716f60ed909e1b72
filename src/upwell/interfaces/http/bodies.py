"""Bodies of requests: read within limits of size, time and unpacking, whatever a client claims."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from upwell.interfaces.http.errors import RequestError
from upwell.interfaces.http.pressure import Share
from upwell.settings import HttpSettings

JSON = "application/json"
_GZIP = 31
_FREE = 1 << 16
"""Bytes that any body may be unpacked to: small ones shrink by more than large ones."""
_UTF8 = ("", "utf-8", "utf8")


@dataclass(frozen=True, slots=True)
class Body:
    """What a client sent: its bytes, unpacked, and what they are said to be."""

    data: bytes
    media: str

    def text(self) -> str:
        """The body as text, without a byte order mark. Raises RequestError ``http.not_utf8``."""
        return as_text(self.data)


def as_text(data: bytes) -> str:
    """Bytes as text. Raises RequestError ``http.not_utf8`` with the first wrong one's place."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError("http.not_utf8", 400, field="", value=error.start) from None


async def read(
    request: Request, accepted: tuple[str, ...], limits: HttpSettings, share: Share
) -> Body:
    """The body of a request whose type is one of ``accepted``.

    Raises RequestError: 415 for another type or encoding, 413 for a body that is or becomes too
    large, 408 for one that comes too slowly, 400 for one that cannot be unpacked.
    """
    media = _media(request.headers, accepted)
    unpacker = _unpacker(request.headers, limits)
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > limits.batch_bytes:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.request_seconds):
            data = await _all(request, unpacker, limits, share)
    except TimeoutError:
        raise RequestError(
            "http.too_slow", 408, {"Connection": "close"}, seconds=limits.request_seconds
        ) from None
    if not data.strip():
        raise RequestError("http.empty", 400)
    return Body(data, media)


async def _all(
    request: Request, unpacker: _Unpacker | None, limits: HttpSettings, share: Share
) -> bytes:
    """The whole body, unpacked as it arrives."""
    data = bytearray()
    async for chunk in request.stream():
        plain = chunk if unpacker is None else unpacker.more(chunk)
        if len(data) + len(plain) > limits.batch_bytes:
            raise _too_large(limits)
        share.add(len(plain))
        data += plain
    if unpacker is not None:
        unpacker.finish()
    return bytes(data)


class _Unpacker:
    """Unpacks gzip bit by bit, so that a bomb is refused long before it has gone off."""

    def __init__(self, limits: HttpSettings) -> None:
        self._limits = limits
        self._inflate = zlib.decompressobj(_GZIP)
        self._packed = self._plain = 0

    def more(self, chunk: bytes) -> bytes:
        """What a piece of the packed body becomes."""
        self._packed += len(chunk)
        plain = bytearray()
        while chunk:
            if self._inflate.eof:
                # A gzip file may be several, one after the other.
                self._inflate = zlib.decompressobj(_GZIP)
            room = self._limits.batch_bytes + 1 - self._plain
            try:
                part = self._inflate.decompress(chunk, max(room, 1))
            except zlib.error:
                raise RequestError("http.bad_gzip", 400) from None
            self._plain += len(part)
            plain += part
            self._check()
            chunk = self._inflate.unconsumed_tail or self._inflate.unused_data
        return bytes(plain)

    def finish(self) -> None:
        """Raises RequestError ``http.bad_gzip`` where the end is missing."""
        if self._packed and not self._inflate.eof:
            raise RequestError("http.bad_gzip", 400)

    def _check(self) -> None:
        if self._plain > self._limits.batch_bytes:
            raise _too_large(self._limits)
        if self._plain > max(_FREE, self._packed * self._limits.ratio):
            raise RequestError("http.bomb", 413, ratio=self._limits.ratio)


def _media(headers: Mapping[str, str], accepted: tuple[str, ...]) -> str:
    kind, *parameters = headers.get("content-type", "").split(";")
    media = kind.strip().lower()
    named = dict(part.strip().lower().partition("=")[::2] for part in parameters)
    if media not in accepted or named.get("charset", "").strip('"') not in _UTF8:
        asked = ascii(headers.get("content-type", ""))[:80]
        raise RequestError("http.wrong_type", 415, given=asked, accepted=", ".join(accepted))
    return media


def _unpacker(headers: Mapping[str, str], limits: HttpSettings) -> _Unpacker | None:
    encoding = headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding not in ("gzip", "x-gzip"):
        raise RequestError(
            "http.wrong_encoding", 415, {"Accept-Encoding": "gzip"}, given=ascii(encoding)[:80]
        )
    return _Unpacker(limits)


def _too_large(limits: HttpSettings) -> RequestError:
    return RequestError("http.too_large", 413, longest=limits.batch_bytes)

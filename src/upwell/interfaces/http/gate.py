"""Who may come in: a key with the scope that a route needs, or this machine itself.

Without a key only a request counts that comes from this machine, is addressed to it by a loopback
name (a page elsewhere whose name was bent to 127.0.0.1 names itself in ``Host``), comes from no
page of another site, and passed through no proxy. Clients that cannot do without a key may then
show any that is not one of Upwell's: OpenAI's wants one, and often has OpenAI's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from urllib.parse import urlsplit

from anyio import to_thread
from starlette.requests import Request

from upwell.interfaces.http.errors import RequestError
from upwell.settings import HttpSettings
from upwell.store.access import BEGINNING, Access, ApiKey

OPEN = "open"
"""The need of a route that anybody may ask."""
REMEMBERED_SECONDS = 1.0
"""How long a key that was looked up is believed: a revoked one opens nothing after that."""
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
_MOST = 10_000
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="upwell"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the public part of a key, or "" for this machine."""

    public: str
    is_publishable: bool = False


@dataclass(slots=True)
class Gate:
    """Lets requests in or raises RequestError 401 or 403."""

    access: Access
    settings: HttpSettings
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _known: dict[bytes, tuple[float, ApiKey]] = field(default_factory=dict)

    async def admit(self, request: Request, need: str) -> Caller:
        """Who asks for something that needs ``need`` (see ``ApiKey.may``, and ``OPEN``)."""
        if need == OPEN:
            return Caller("")
        text = presented(request)
        is_ours = text is not None and text.startswith(BEGINNING)
        if not is_ours and self.settings.keys == "auto" and is_local(request):
            return Caller("")
        if text is None:
            raise RequestError("http.no_key", 401, _CHALLENGE)
        key = await self._find(text)
        if key is None or not key.is_valid(self.clock()):
            # An ended key is told apart from a wrong one only to its owner, who knows when.
            raise RequestError("http.bad_key", 401, _CHALLENGE)
        if not key.may(need):
            raise RequestError("http.scope", 403, need=need, has=", ".join(key.scopes))
        return Caller(key.public, "publishable" in key.scopes)

    async def _find(self, text: str) -> ApiKey | None:
        digest, now = hashlib.sha256(text.encode("utf-8", "replace")).digest(), monotonic()
        since, key = self._known.get(digest, (0.0, None))
        if key is not None and now - since < REMEMBERED_SECONDS:
            return key
        found = await to_thread.run_sync(self.access.find, text)
        self._known.pop(digest, None)
        if found is not None:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[digest] = (now, found)
        return found


def presented(request: Request) -> str | None:
    """The key that a request shows: Bearer, Basic (Segment's writeKey) or X-API-Key (Gorse).

    Raises RequestError 401 for another scheme.
    """
    scheme, _, value = request.headers.get("authorization", "").strip().partition(" ")
    if not scheme:
        return request.headers.get("x-api-key")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode().partition(":")[0]
        except (binascii.Error, ValueError):
            pass
    raise RequestError("http.bad_key", 401, _CHALLENGE)


def is_local(request: Request) -> bool:
    """Whether this machine asks itself, and no page of another site asks through it."""
    headers = request.headers
    if request.client is None or not is_loopback(request.client.host):
        return False
    if any(name in headers for name in _FORWARDED):
        return False
    origin = headers.get("origin")
    if origin is not None and not is_loopback(_host(origin)):
        return False
    return is_loopback(_host(f"//{headers.get('host', '')}"))


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine alone.

    >>> [is_loopback(host) for host in ("localhost", "127.8.0.1", "::1", "evil.example", "")]
    [True, True, True, False, False]
    """
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""

"""Tombstones: what came from a user who was forgotten does not come back with a late retry.

Nothing that tells who it was is kept: a tombstone is a keyed hash, and the key lies outside the
database. An event that was erased is refused by its (source, id) for ever; any other event or
consent of the user is refused where it happened before the user was forgotten. What the same
user does later is new, and needs a consent of its own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeAlias

from sqlalchemy import Connection, func, select

from upwell.store import schema as sql
from upwell.store.veil import Veil

Sent: TypeAlias = tuple[str, str, str, int]
"""Source, id, user and time (microseconds) of an event; a consent has no source."""
_LOOKUP = 500
_CACHED = 65_536


class Tombstones:
    """Tells what must not come back; safe among threads and processes."""

    def __init__(self, key: bytes, veil: Veil | None = None) -> None:
        self._key = key
        self._veil = veil or Veil()
        self._known: tuple[int, Mapping[bytes, int]] = (0, {})
        self.of_user = lru_cache(_CACHED)(self._of_user)

    def _of_user(self, user: str) -> bytes:
        """The tombstone of a user: 16 bytes."""
        return self._hash("user", user)

    def of_event(self, source: str, id: str) -> bytes:
        """The tombstone of an event: 16 bytes.

        >>> Tombstones(bytes(32)).of_event("web", "1").hex()
        'ec81fe7e2f01d74bb03d939b549ec674'
        """
        return self._hash("event", f"{len(source)} {source} {id}")

    def refused(self, connection: Connection, sent: Sequence[Sent]) -> set[int]:
        """The places of what must not come back; call inside the transaction that would keep it."""
        forgotten = self._forgotten(connection)
        if not forgotten:
            return set()
        erased = self._erased(connection, sent)
        return {
            place
            for place, (source, event, user, at) in enumerate(sent)
            if at <= forgotten.get(self.of_user(user), at - 1)
            or (erased and self.of_event(source, event) in erased)
        }

    def _erased(self, connection: Connection, sent: Sequence[Sent]) -> set[bytes]:
        """Those events' tombstones that stand."""
        asked = [self.of_event(source, event) for source, event, _, _ in sent]
        digest, found = sql.erased_events.c.digest, set()
        for start in range(0, len(asked), _LOOKUP):
            chosen = select(digest).where(digest.in_(asked[start : start + _LOOKUP]))
            found |= {bytes(one) for one in connection.execute(chosen).scalars()}
        return found

    def _forgotten(self, connection: Connection) -> Mapping[bytes, int]:
        """Users' tombstones and when each was last forgotten; read again only where one is new."""
        erasures = sql.erasures.c
        newest = connection.execute(select(func.max(erasures.seq))).scalar() or 0
        if newest != self._known[0]:
            rows = connection.execute(
                select(erasures.digest, func.max(erasures.asked)).group_by(erasures.digest)
            )
            self._known = (newest, {bytes(digest): asked for digest, asked in rows})
        return self._known[1]

    def _hash(self, what: str, text: str) -> bytes:
        told = f"upwell erased {what} {text}".encode("utf-8", "surrogatepass")
        return self._veil.over(hmac.digest(self._key, told, hashlib.sha256)[:16])

"""Keys to the service: who may send, who may ask. Kept as digests, ended but never removed.

A key is ``up-<public>-<secret>``: twelve characters that name it and 43 that are 256 random bits.
Only the SHA-256 of the whole is stored; a secret of such length needs no slow hash. Rows are only
ever added: a key ends at the earliest of its expiry and of the ends recorded for it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select

from upwell.errors import StoreError
from upwell.store import schema as sql
from upwell.store.database import reading, writing
from upwell.store.journal import Journal
from upwell.tables import canonical_json, micros, moment

PUBLISHABLE, WRITE, READ, ADMIN = SCOPES = ("publishable", "write", "read", "admin")
CAPTURE = "capture"
"""What a route may ask for beside a scope: a key that writes, publishable or not."""
RANDOM_BYTES = 40
LONGEST_NAME = 64
BEGINNING = "up-"
"""Of every key."""
_KEY = re.compile(rf"{BEGINNING}([a-z2-7]{{12}})-[A-Za-z0-9_-]{{43}}")
_OPENS = {CAPTURE: {PUBLISHABLE, WRITE}, WRITE: {WRITE}, READ: {READ}, ADMIN: set[str]()}
_NOBODY = bytes(32)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is known: everything but its secret."""

    public: str
    name: str
    scopes: tuple[str, ...]
    since: datetime
    until: datetime | None

    def is_valid(self, now: datetime) -> bool:
        """Whether it opens anything at this moment."""
        return self.until is None or now < self.until

    def may(self, need: str) -> bool:
        """Whether its scopes are enough for ``need``: a scope, or ``CAPTURE``.

        >>> day = datetime(2026, 1, 1)
        >>> key = ApiKey("a", "web", ("publishable",), day, None)
        >>> [key.may(need) for need in ("capture", "write")]
        [True, False]
        """
        return ADMIN in self.scopes or bool(_OPENS[need] & set(self.scopes))


class Access:
    """The keys of one project; safe among threads and processes."""

    def __init__(self, journal: Journal) -> None:
        self._engine = journal.engine

    def create(
        self,
        name: str,
        scopes: Sequence[str],
        now: datetime,
        until: datetime | None,
        random: bytes,
    ) -> tuple[str, ApiKey]:
        """A new key made of ``RANDOM_BYTES`` random bytes: its text, which is kept nowhere, and it.

        Raises StoreError ``access.bad_scopes`` or ``access.bad_name``.
        """
        made = ApiKey("", name, _checked(scopes), now, until)
        if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
            raise StoreError("access.bad_name", name=ascii(name[:80]), longest=LONGEST_NAME)
        text = _text(random)
        public = text.split("-")[1]
        row = {
            "public": public,
            "digest": _digest(text),
            "name": name,
            "scopes": canonical_json(list(made.scopes)),
            "since": micros(now),
            "until": None if until is None else micros(until),
        }
        with writing(self._engine) as connection:
            connection.execute(insert(sql.api_keys).values(**row))
        return text, ApiKey(public, name, made.scopes, now, until)

    def find(self, text: str) -> ApiKey | None:
        """The key with this text, valid or ended; None where there is none.

        Takes the same time however much of a wrong secret is right.
        """
        match = _KEY.fullmatch(text)
        public = match[1] if match else ""
        columns = sql.api_keys.c
        with reading(self._engine) as connection:
            row = connection.execute(
                select(sql.api_keys, _ended()).where(columns.public == public)
            ).first()
        kept = _NOBODY if row is None else bytes(row.digest)
        is_it = hmac.compare_digest(kept, _digest(text))
        return _key(row) if row is not None and is_it else None

    def all(self) -> list[ApiKey]:
        """Every key there ever was, oldest first."""
        order = (sql.api_keys.c.since, sql.api_keys.c.public)
        with reading(self._engine) as connection:
            rows = connection.execute(select(sql.api_keys, _ended()).order_by(*order)).fetchall()
        return [_key(row) for row in rows]

    def named(self, public: str) -> ApiKey:
        """The key with this public part. Raises StoreError ``access.no_key``."""
        found = next((key for key in self.all() if key.public == public), None)
        if found is None:
            raise StoreError("access.no_key", key=ascii(public[:80])[1:-1])
        return found

    def end(self, public: str, at: datetime) -> ApiKey:
        """Let a key open nothing from ``at`` on. Raises StoreError ``access.no_key``."""
        self.named(public)
        with writing(self._engine) as connection:
            connection.execute(insert(sql.api_key_ends).values(public=public, at=micros(at)))
        return self.named(public)


def _checked(scopes: Sequence[str]) -> tuple[str, ...]:
    """Scopes in one order. What is publishable is public, so it opens nothing else."""
    chosen = tuple(scope for scope in SCOPES if scope in scopes)
    alone = PUBLISHABLE not in chosen or len(chosen) == 1
    if not chosen or len(chosen) != len(set(scopes)) or not alone:
        raise StoreError(
            "access.bad_scopes", scopes=ascii(", ".join(scopes)[:80]), known=", ".join(SCOPES)
        )
    return chosen


def _text(random: bytes) -> str:
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a key needs {RANDOM_BYTES} random bytes, not {len(random)}")
    public = base64.b32encode(random[:8]).decode().lower()[:12]
    secret = base64.urlsafe_b64encode(random[8:]).decode().rstrip("=")
    return f"{BEGINNING}{public}-{secret}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _ended() -> Any:
    ends = sql.api_key_ends.c
    return (
        select(func.min(ends.at)).where(ends.public == sql.api_keys.c.public).scalar_subquery()
    ).label("ended")


def _key(row: Any) -> ApiKey:
    ends = [at for at in (row.until, row.ended) if at is not None]
    until = moment(min(ends)) if ends else None
    return ApiKey(row.public, row.name, tuple(json.loads(row.scopes)), moment(row.since), until)

"""A key for each user, for what cannot be written anew: who deletes the key shreds what it closed.

Backups lie where no erasure reaches. What they hold of a user is closed with a key of that user
alone (AES-256-GCM, NIST SP 800-38D). The keys lie in a database of their own beside the project's
key, wrapped by it, and never in a backup. When a user is forgotten their key is deleted, and every
backup that was ever made is without them; their tombstone stays, for a restored one must know it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, Table, Text, delete, select

from upwell.store.database import connect, insert_new, make_tables, reading, writing
from upwell.store.emptied import emptied

FILE = "users.db"
_NONCE, _LENGTH, _LOOKUP = 12, 32, 500
_metadata = MetaData()
_keys = Table(
    "keys",
    _metadata,
    Column("user", Text, primary_key=True),
    Column("key", LargeBinary, nullable=False),
)
_shredded = Table(
    "shredded",
    _metadata,
    Column("user", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("asked", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Shredded:
    """A user whose key is deleted: pseudonym, tombstone, and when they asked (microseconds).

    In ``UserKeys`` both are as the project's key alone makes them.
    """

    user: str
    digest: bytes
    asked: int


class UserKeys:
    """The users' keys in ``folder``; wrapped by the project's ``key``.

    Users go by what that key alone makes of them, so every backup finds them for ever; who can
    read this folder can tell them anyway.
    """

    def __init__(self, folder: Path, key: bytes) -> None:
        self._engine = connect(f"sqlite:///{FILE}", folder)
        make_tables(self._engine, _metadata)
        self._wrapping = hmac.digest(key, b"upwell user keys", hashlib.sha256)

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()

    def of(self, users: Sequence[str]) -> dict[str, bytes]:
        """The key of each user; who has none gets one."""
        found = self.known(users)
        new = [user for user in dict.fromkeys(users) if user not in found]
        if new:
            made = [(user, closed(os.urandom(_LENGTH), self._wrapping, user)) for user in new]
            with writing(self._engine) as connection:
                statement = insert_new(self._engine, _keys, ("user", "key"))
                connection.exec_driver_sql(statement, made)
            found |= self.known(new)
        return found

    def known(self, users: Sequence[str]) -> dict[str, bytes]:
        """The keys of those users that have one."""
        found: dict[str, bytes] = {}
        with reading(self._engine) as connection:
            for start in range(0, len(users), _LOOKUP):
                part = _keys.c.user.in_(users[start : start + _LOOKUP])
                rows = connection.execute(select(_keys).where(part)).fetchall()
                keys = ((row.user, opened(row.key, self._wrapping, row.user)) for row in rows)
                found |= {user: key for user, key in keys if key is not None}
        return found

    def shred(self, users: Sequence[Shredded]) -> None:
        """Delete the keys of these users, to the last byte."""
        rows = [(one.user, one.digest, one.asked) for one in users]
        with writing(self._engine) as connection:
            for one in users:
                connection.execute(delete(_keys).where(_keys.c.user == one.user))
            statement = insert_new(self._engine, _shredded, ("user", "digest", "asked"))
            connection.exec_driver_sql(statement, rows)
        emptied(self._engine)

    def shredded(self) -> list[Shredded]:
        """Every user whose key was deleted, in order of their pseudonyms."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(_shredded).order_by(_shredded.c.user)).fetchall()
        return [Shredded(row.user, bytes(row.digest), row.asked) for row in rows]


def closed(content: bytes, key: bytes, user: str) -> bytes:
    """``content`` closed with a key, for one user: a nonce of 12 bytes, and the rest."""
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, content, user.encode())


def opened(box: bytes, key: bytes, user: str) -> bytes | None:
    """What was closed with ``key`` for ``user``; None where it was not, or was altered.

    >>> box = closed(b"mine", bytes(32), "ann")
    >>> opened(box, bytes(32), "ann"), opened(box, bytes(32), "bob")
    (b'mine', None)
    """
    try:
        return AESGCM(key).decrypt(box[:_NONCE], box[_NONCE:], user.encode())
    except InvalidTag:
        return None

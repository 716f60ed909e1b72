"""Pseudonyms: who a user is stays in the journal; all that learns sees a keyed hash.

HMAC-SHA256 with the project's key: the same user has the same pseudonym in every turn, another
project's pseudonyms share nothing with it, and without the key not even a guessed user id can be
checked. What a database or a lake tells, therefore, is not who. A second layer over the hash can
be changed, so that a key that got about recognises nobody in what is stored.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

import pyarrow as pa

Step = Callable[[pa.Table], pa.Table]
Over = Callable[[bytes], bytes]
"""A permutation of 16 bytes."""
_LENGTH = 16
"""Bytes kept: 128 bits, so that two users never meet in practice."""


class Pseudonyms:
    """Replaces users by pseudonyms, after any other ``steps`` of protection (such as redaction).

    ``over`` is the layer that lies over the hashes, if there is one.
    """

    def __init__(self, key: bytes, steps: Sequence[Step] = (), over: Over = bytes) -> None:
        self._key = key
        self._over = over
        self._steps = (*steps, self._replace_users)

    def of(self, user: str) -> str:
        """The pseudonym of one user: 32 hex digits; '' (no user) stays ''.

        >>> Pseudonyms(bytes(32)).of("alice")
        'ce3837f76a54a635191b1704ac767226'
        """
        if not user:
            return ""
        digest = hmac.digest(self._key, user.encode(), hashlib.sha256)[:_LENGTH]
        return self._over(digest).hex()

    def protect(self, rows: pa.Table) -> pa.Table:
        """Rows (with a ``user`` column) as they may leave the journal, in the same order."""
        for step in self._steps:
            rows = step(rows)
        return rows

    def _replace_users(self, rows: pa.Table) -> pa.Table:
        place = rows.schema.get_field_index("user")
        users = rows.column(place).combine_chunks().dictionary_encode()
        hidden = pa.array([self.of(user) for user in users.dictionary.to_pylist()], pa.string())
        return rows.set_column(place, rows.schema.field(place), hidden.take(users.indices))

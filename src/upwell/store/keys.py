"""Secrets of a project: 32 random bytes each, outside the database.

Pseudonyms depend on the project's key: who has only the database or the lake cannot tell users
from their pseudonyms. A secret lies in a file of its own that its owner alone may read.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import suppress
from pathlib import Path

from upwell.errors import StoreError
from upwell.store.files import private_folder, publish, staging, sync

FILE = "project.key"
LENGTH = 32


def project_key(folder: Path, given: bytes = b"") -> bytes:
    """The project's key in ``folder`` (see ``secret``)."""
    return secret(folder, FILE, given)


def secret(folder: Path, file: str, given: bytes = b"") -> bytes:
    """A secret in ``folder`` (file 0600, folder 0700); on first use ``given``, else a random one.

    Raises StoreError ``key.damaged`` when the file does not hold 32 bytes.
    """
    path = private_folder(folder) / file
    if not path.exists():
        _make(path, given or secrets.token_bytes(LENGTH))
    key = path.read_bytes()
    if len(key) != LENGTH:
        raise StoreError("key.damaged", file=path)
    path.chmod(0o600)
    return key


def fingerprint(key: bytes) -> str:
    """Names a key without telling it: 128 bits of a keyed hash, in hex.

    >>> fingerprint(bytes(32))[:8]
    '7d2ddc7a'
    """
    return hmac.digest(key, b"upwell project key", hashlib.sha256).hex()[:32]


def _make(path: Path, key: bytes) -> None:
    """Make the key whole or not at all; where two make it, the first to link it wins."""
    with staging(path.parent) as temporary:
        fresh = temporary / "fresh"
        fresh.write_bytes(key)
        publish(fresh, temporary / path.name)
        with suppress(FileExistsError):
            path.hardlink_to(temporary / path.name)
        sync(path.parent)

"""The layer over users' pseudonyms that can be changed: one keyed permutation of 16 bytes.

What the project's key makes of a user, or of what is refused for ever, is made once and cannot be
made again where only the hash is left. So it is never stored as it is once a layer lies over it:
AES-256 (FIPS 197) of that one block, with a key of its own. A new layer takes the place of the
old one without anybody's id being known, and who holds an older key can recognise nobody. Before
the first change there is no layer.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

from upwell.errors import StoreError
from upwell.store.files import sync
from upwell.store.keys import LENGTH, fingerprint

FILE, NEXT = "names.key", "names.next"
_FORMER = "names-{}.key"
_NAME = re.compile("[0-9a-f]{32}")
# One block after nothing is that block alone, so the mode changes nothing of the permutation.
_NOTHING = bytes(16)


class Veil:
    """The layer of one key; with an empty key there is none."""

    def __init__(self, key: bytes = b"") -> None:
        self._key = key
        self._cipher = Cipher(AES256(key), CBC(_NOTHING)) if key else None
        self.fingerprint = fingerprint(key) if key else ""

    def over(self, block: bytes) -> bytes:
        """What is stored for the 16 bytes that the project's key made.

        >>> Veil(bytes(32)).over(bytes(16)).hex(), Veil().over(b"as it is")
        ('dc95c078a2408989ad48a21492842087', b'as it is')
        """
        return block if self._cipher is None else self._cipher.encryptor().update(block)

    def off(self, block: bytes) -> bytes:
        """The 16 bytes that the project's key made, of what is stored for them."""
        return block if self._cipher is None else self._cipher.decryptor().update(block)

    def sealing(self, key: bytes) -> bytes:
        """What closes a backup under this layer for whom ``key`` is: neither key alone opens it."""
        return hmac.digest(self._key, b"upwell backup" + key, hashlib.sha256) if self._key else key


@dataclass(frozen=True, slots=True)
class Change:
    """From one layer to another."""

    old: Veil
    new: Veil

    def block(self, stored: bytes) -> bytes:
        """What is to be stored instead of 16 bytes."""
        return self.new.over(self.old.off(stored))

    def name(self, user: str) -> str:
        """A pseudonym under the new layer; '' and what is no pseudonym stay.

        >>> Change(Veil(), Veil(bytes(32))).name("0" * 32), Change(Veil(), Veil()).name("~label")
        ('dc95c078a2408989ad48a21492842087', '~label')
        """
        return self.block(bytes.fromhex(user)).hex() if _NAME.fullmatch(user) else user


def key_in(folder: Path, file: str = FILE) -> bytes:
    """The layer's key in ``folder``; empty where there is none yet.

    Raises StoreError ``key.damaged`` where the file does not hold 32 bytes.
    """
    path = folder / file
    key = path.read_bytes() if path.exists() else b""
    if path.exists() and len(key) != LENGTH:
        raise StoreError("key.damaged", file=path)
    return key


def veil_named(folder: Path, name: str) -> Veil | None:
    """The layer with this fingerprint, of today or of before; None where its key is not there."""
    files = (FILE, _FORMER.format(name)) if name else ("",)
    found = (Veil(key_in(folder, file) if file else b"") for file in files)
    return next((veil for veil in found if veil.fingerprint == name), None)


def put_in_force(folder: Path) -> None:
    """Let the next key be the key; the one before stays under its fingerprint, for old backups."""
    if key := key_in(folder):
        former = folder / _FORMER.format(fingerprint(key))
        former.unlink(missing_ok=True)
        former.hardlink_to(folder / FILE)
    (folder / NEXT).replace(folder / FILE)
    sync(folder)

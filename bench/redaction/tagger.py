"""A tagger of names, places and organisations from CoNLL-2003, made once and kept in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from importlib import import_module
from inspect import getsource
from pathlib import Path
from shutil import rmtree

import torch

from bench import tagging as news
from bench.datasets import data_folder
from bench.peers.environment import folder
from bench.spans import Passage, conll, labels, passages
from upwell.settings import TuneSettings
from upwell.store.files import staging
from upwell.tables import canonical_json
from upwell.tasks import tagging

LONGEST_TRAINED = 40
"""Words of a passage: messages are shorter than articles."""
LOWERED = 10
"""One passage in so many is read in lower case as well, as people type."""


def tagger(epochs: int, documents: int, seed: int = 0) -> Path:
    """Where what ``epochs`` on the first ``documents`` of ``train`` make lies; all where 0."""
    code = [getsource(import_module(f"upwell.tasks.{name}")) for name in news.PARTS]
    told = canonical_json([epochs, documents, seed, LONGEST_TRAINED, LOWERED, *code])
    home = folder().parent / "redact"
    place = home / sha256(told.encode()).hexdigest()[:16]
    if not place.exists():
        torch.set_num_threads(1)
        known = conll(data_folder(), "train")[: documents or None]
        rows = labels(_typed(passages(known, LONGEST_TRAINED)))
        settings = TuneSettings(seed=seed, epochs=epochs)
        model, _ = news.learn(rows, settings, seed)
        _keep(model, home, place)
    return place


def _typed(found: Sequence[Passage]) -> list[Passage]:
    """Passages, and some of them as people type them."""
    return [*found, *(replace(one, text=one.text.lower()) for one in found[::LOWERED])]


def _keep(model: tagging.Tagger, home: Path, place: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    with staging(home) as aside:
        (aside / "model").mkdir()
        tagging.save(model, aside / "model")
        rmtree(place, ignore_errors=True)
        (aside / "model").rename(place)

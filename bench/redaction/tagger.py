"""A tagger of names, places and organisations from CoNLL-2003, made once and kept in the cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from importlib import import_module
from inspect import getsource
from pathlib import Path
from shutil import rmtree

import torch

from bench import tagging as news
from bench.datasets import data_folder
from bench.peers.environment import folder
from bench.spans import Passage, conll, labels, passages, spans
from upwell.settings import TuneSettings
from upwell.store.files import staging
from upwell.tables import canonical_json
from upwell.tasks import tagging

KINDS = {"PER": "name", "LOC": "place", "ORG": "organisation", "MISC": "group"}
"""What is redacted of what the news tell apart."""
LONGEST_TRAINED = 40
"""Words of a passage: messages are shorter than articles."""
Spans = list[tuple[int, int, str]]


def tagger(epochs: int, documents: int, seed: int = 0) -> tagging.Tagger:
    """What ``epochs`` on the first ``documents`` of ``train`` make; all of them where 0."""
    code = [getsource(import_module(f"upwell.tasks.{name}")) for name in news.PARTS]
    told = canonical_json([epochs, documents, seed, LONGEST_TRAINED, *code])
    home = folder().parent / "redact"
    place = home / sha256(told.encode()).hexdigest()[:16]
    if not place.exists():
        torch.set_num_threads(1)
        known = conll(data_folder(), "train")[: documents or None]
        rows = labels(passages(known, LONGEST_TRAINED))
        settings = TuneSettings(seed=seed, epochs=epochs)
        model, _ = news.learn(rows, settings, seed)
        _keep(model, home, place)
    return tagging.load(place)


def detector(model: tagging.Tagger) -> Callable[[Sequence[str]], list[Spans]]:
    """The model as what the redactor calls: texts to spans with the names of their types."""

    def detect(texts: Sequence[str]) -> list[Spans]:
        asked = labels([Passage(0, text, ()) for text in texts])
        said = tagging.answer(model, asked, 1)["output"].to_pylist()
        return [
            [(start, end, KINDS[kind]) for start, end, kind in spans(one[0]) if kind in KINDS]
            for one in said
        ]

    return detect


def _keep(model: tagging.Tagger, home: Path, place: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    with staging(home) as aside:
        (aside / "model").mkdir()
        tagging.save(model, aside / "model")
        rmtree(place, ignore_errors=True)
        (aside / "model").rename(place)

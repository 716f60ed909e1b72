"""The model tier: a token classifier as a detector, Upwell's own or in Hugging Face's layout."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from upwell.errors import StageError
from upwell.plugins import plugin
from upwell.stages.protect.redact.redactor import Detect
from upwell.stages.protect.redact.text import KINDS, listed

_LONGEST, _STRIDE, _AT_ONCE = 512, 64, 32
_OWN = "tagging.json"
"""What a folder has that Upwell's tagging wrote."""
Span = tuple[int, int, str]


def token_classifier(name: str, beside: Path = Path()) -> Detect:
    """The classifier ``name``, loaded when first asked; its labels may have B- and I-.

    ``name`` is a folder (a relative one begins at ``beside``) that Upwell's tagging or transformers
    wrote, or the hub's id of a model that was downloaded before: nothing is downloaded here. Labels
    are read as kinds where they are ones or are known by another name; others say nothing. The
    detector raises StageError ``protect.no_model`` where there is no classifier.
    """
    loaded = cache(_load)

    def detect(texts: Sequence[str]) -> Sequence[Iterable[Span]]:
        return loaded(name, beside)(texts)

    return detect


def _load(name: str, beside: Path) -> Callable[[Sequence[str]], list[list[Span]]]:
    folder = beside / name
    if (folder / _OWN).is_file():
        return _own(folder)
    return _foreign(str(folder) if folder.is_dir() else name)


def _own(folder: Path) -> Callable[[Sequence[str]], list[list[Span]]]:
    """A model that a project of the task tagging has trained."""
    task = plugin("tasks", "tagging")
    model = task.load(folder)

    def found(texts: Sequence[str]) -> list[list[Span]]:
        said = task.answer(model, pa.table({"input": pa.array(texts, pa.string())}), 1)
        answers = (json.loads(one[0])["spans"] for one in said["output"].to_pylist())
        return [[(a, b, _kind(label)) for a, b, label in one if _kind(label)] for one in answers]

    return found


def _foreign(place: str) -> Callable[[Sequence[str]], list[list[Span]]]:
    from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer

    try:
        config = AutoConfig.from_pretrained(place, local_files_only=True)
        # Without this, a model for something else would get a head of random weights.
        if not any("TokenClassification" in one for one in config.architectures or ()):
            raise StageError("protect.no_model", folder=place)
        tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=True)
        model = AutoModelForTokenClassification.from_pretrained(
            place, local_files_only=True, use_safetensors=True
        )
    except (OSError, ValueError) as error:
        raise StageError("protect.no_model", folder=place) from error
    model.eval()
    return lambda texts: _found(tokenizer, model, texts)


def _found(tokenizer: Any, model: Any, texts: Sequence[str]) -> list[list[Span]]:
    import torch

    longest = min(_LONGEST, model.config.max_position_embeddings)
    found: list[list[Span]] = [[] for _ in texts]
    for at in range(0, len(texts), _AT_ONCE):
        cut = tokenizer(
            list(texts[at : at + _AT_ONCE]), return_tensors="pt", padding=True, truncation=True,
            max_length=longest, stride=min(_STRIDE, longest // 4), return_offsets_mapping=True,
            return_overflowing_tokens=True,
        )  # fmt: skip
        places, of = (
            cut.pop("offset_mapping").tolist(),
            cut.pop("overflow_to_sample_mapping").tolist(),
        )
        with torch.no_grad():
            said = model(**cut).logits.argmax(-1).tolist()
        for row, tokens, numbers in zip(of, places, said, strict=True):
            labels = [model.config.id2label[number] for number in numbers]
            found[at + row] += _spans(tokens, labels)
    return found


def _spans(places: Sequence[Sequence[int]], labels: Sequence[str]) -> list[Span]:
    """Runs of tokens of one kind; B- begins another one only after a gap or another kind.

    >>> _spans([(0, 0), (0, 3), (3, 5), (6, 9)], ["O", "B-PER", "I-PER", "O"])
    [(0, 5, 'name')]
    """
    found: list[Span] = []
    for (start, end), label in zip(places, labels, strict=True):
        kind = _kind(label)
        if not kind or start == end:
            continue
        touches = found and found[-1][2] == kind and start <= found[-1][1] + 1
        if touches and not (label.startswith("B-") and start > found[-1][1]):
            found[-1] = (found[-1][0], max(end, found[-1][1]), kind)
        else:
            found.append((start, end, kind))
    return found


def _kind(label: str) -> str:
    """The kind that a label speaks of, by its own name or another one.

    >>> _kind("B-PER"), _kind("I-phone"), _kind("GIVENNAME"), _kind("O")
    ('name', 'phone', 'name', '')
    """
    plain = label.lower()
    plain = plain[2:] if plain[:2] in ("b-", "i-", "e-", "s-", "m-") else plain
    return plain if plain in KINDS else _said().get(plain, "")


@cache
def _said() -> dict[str, str]:
    """Kinds by the labels that public models and data have for them."""
    lines = (one.split(":") for one in listed("labels"))
    return {label: kind for kind, labels in lines for label in labels.split(",")}

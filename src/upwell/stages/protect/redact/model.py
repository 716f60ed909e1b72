"""The model tier: a token classifier in a folder, in Hugging Face's layout, as a detector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from upwell.errors import StageError
from upwell.stages.protect.redact.redactor import Detect
from upwell.stages.protect.redact.text import KINDS

_SAID = {
    "per": "name", "person": "name", "givenname": "name", "surname": "name", "name": "name",
    "loc": "place", "location": "place", "gpe": "place", "city": "place",
    "misc": "group", "norp": "group", "nrp": "group", "date": "date", "date_time": "date",
    "org": "organisation", "organization": "organisation", "company": "organisation",
    "street": "address", "address": "address", "street_address": "address",
    "phone": "phone", "phone_number": "phone", "telephonenum": "phone", "creditcardnumber": "card",
    "credit_card": "card", "email_address": "email", "ip_address": "ip", "us_ssn": "ssn",
    "socialnum": "ssn", "iban_code": "iban", "password": "secret",
}  # fmt: skip
_LONGEST, _STRIDE, _AT_ONCE = 512, 64, 32
Span = tuple[int, int, str]


def token_classifier(folder: Path) -> Detect:
    """The classifier in ``folder``, loaded when first asked; its labels may have B- and I-.

    Labels are read as kinds where they are ones or are known by another name; others say nothing.
    Nothing is downloaded. The detector raises StageError ``protect.no_model`` where there is none.
    """
    loaded = cache(_load)

    def detect(texts: Sequence[str]) -> Sequence[Iterable[Span]]:
        return _found(loaded(folder), texts)

    return detect


def _load(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    if not (folder / "config.json").is_file():
        raise StageError("protect.no_model", folder=folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForTokenClassification.from_pretrained(
        folder, local_files_only=True, use_safetensors=True
    )
    return tokenizer, model.eval()


def _found(loaded: tuple[Any, Any], texts: Sequence[str]) -> list[list[Span]]:
    import torch

    tokenizer, model = loaded
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
    plain = (
        label.lower().removeprefix("b-").removeprefix("i-").removeprefix("e-").removeprefix("s-")
    )
    return plain if plain in KINDS else _SAID.get(plain, "")

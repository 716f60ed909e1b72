"""Tagging: spans in a text, as names in news or slots in what a user asks for.

An input is a text of any length; a target says which spans there are, in characters:
``{"spans":[[0,4,"PER"],[15,19,"LOC"]]}``. That is a label, an answer, or feedback on the whole
answer, whose probability is that of all tags together. With ``"rest":0`` it speaks of the spans
named alone: of their words' tags, and that they end there. So a user may say ±1 to one span.
A span labelled '' says that nothing is there, and a fourth entry weighs a span's words: that is
how ``corrected`` writes what a user put right, with changes counting in full and the rest less.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from pyarrow import compute as pc
from safetensors.torch import load_file, save_file
from torch import Tensor

from upwell.errors import PluginError
from upwell.settings import TuneSettings
from upwell.tables import Dataset, canonical_json
from upwell.tasks import _encoder
from upwell.tasks._decode import best
from upwell.tasks._seen import found_again, remembered
from upwell.tasks._spans import (
    OUTSIDE,
    Target,
    covered,
    read,
    said,
    spans_of,
    tags,
    without,
    words,
    write,
)
from upwell.tasks._tag_marks import F1, METRIC, mark, strict_f1, tag_table
from upwell.tasks._tag_toy import toy
from upwell.tasks._tagger import Tagger, Text, tensors

__all__ = [
    "ABOUT", "BATCH_BY", "CHOOSES", "F1", "METRIC", "Tagger", "adapt", "answer", "baselines",
    "collate", "corrected", "load", "log_prob", "mark", "readable", "save", "spans_of", "start",
    "strict_f1", "tag_table", "tags", "toy", "words", "write",
]  # fmt: skip

BATCH_BY: Literal["row", "user"] = "row"
ABOUT: Literal["item", "answer", "value"] = "answer"
CHOOSES = ("tuning", "learning_rate", "epochs", "patience", "batch_rows", "weight_decay")
UNCHANGED = 0.3
"""How much what a user left as it was counts in a correction."""
UNKNOWN = -13.8
"""The log-probability of a tag that training rows never had: one in a million."""
PIECES_A_STEP, STEPS = 1024, 1500
"""Pieces that a step reads, and steps that an encoder needs to turn to tagging."""
PIECES_A_WORD = 1.3
FILES = ("tagging.json", "tagging.safetensors")
_AT_ONCE = 32

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Said = tuple[list[str], list[float], list[str]]


def start(base: str, data: Dataset, seed: int) -> Tagger:
    """A tagger on ``base`` for the labels of ``data.train``; what is new in it is from ``seed``.

    Raises PluginError ``tagging.no_labels``, ``tagging.bad_target``, ``task.no_encoder``.
    """
    rows = data.train.filter(pc.greater(data.train["weight"], 0.0))
    labels = sorted({label for one in rows["target"].to_pylist() for _, _, label in said(one)})
    if not labels:
        raise PluginError("tagging.no_labels", rows=rows.num_rows)
    encoder = _encoder.encoder(base, seed, rows["input"].to_pylist())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Tagger(encoder, labels).eval()


def adapt(model: Tagger, data: Dataset, settings: TuneSettings) -> TuneSettings:
    """Freeze layers or add adapters as ``settings`` say; ``auto`` lets everything learn.

    What nobody set follows from the encoder's width and from how long the texts are. Raises
    PluginError ``task.no_qlora``.
    """
    if settings.tuning == "qlora":
        raise PluginError("task.no_qlora")
    if settings.tuning == "lora":
        from upwell.tasks._adapters import add

        add(model.encoder, settings.rank)
    elif settings.tuning == "head":
        model.encoder.learns(False)
    _encoder.freeze(model.encoder, settings.freeze_layers)
    different = pc.unique(data.train["input"])
    inputs = different.slice(0, 1000).to_pylist()
    mean = sum(len(words(text)) for text in inputs) / max(len(inputs), 1)
    length = mean * PIECES_A_WORD + 2
    pieces = max(length * len(different), 1.0)
    rows_a_text = data.train.num_rows / max(len(different), 1)
    full = settings.tuning in ("auto", "full")
    small, tiny = model.encoder.width <= 384, model.encoder.width < 128
    suited = {
        "tuning": "full" if full else settings.tuning,
        "learning_rate": 3e-3 if tiny or not full else (3e-4 if small else 5e-5),
        "epochs": 30 if tiny else int(np.clip(STEPS * PIECES_A_STEP / pieces, 3, 20)),
        "patience": 5 if tiny else 3,
        "batch_rows": int(np.clip(PIECES_A_STEP / length, 4, 64) * rows_a_text),
        "weight_decay": 0.01,
    }
    return settings.filled(suited)


def readable(rows: pa.Table) -> pa.Array:
    """(n,) booleans: the target is one that ``_spans.read`` understands."""
    return pa.array([_is_read(target) for target in rows["target"].to_pylist()], pa.bool_())


def _is_read(target: str) -> bool:
    try:
        read(target)
    except PluginError:
        return False
    return True


def load(folder: Path) -> Tagger:
    """The model that ``save`` wrote. Raises PluginError ``task.no_encoder``."""
    config = json.loads((folder / FILES[0]).read_text(encoding="utf-8"))
    model = Tagger(_encoder.load(folder), config["labels"])
    model.load_state_dict(load_file(folder / FILES[1]), strict=False)
    return model.eval()


def save(model: Tagger, folder: Path) -> None:
    """The encoder in Hugging Face layout, and beside it what stands around it."""
    _encoder.save(model.encoder, folder)
    config = canonical_json({"labels": model.labels})
    (folder / FILES[0]).write_text(config, encoding="utf-8")
    own = {
        name: tensor.contiguous()
        for name, tensor in model.state_dict().items()
        if not name.startswith("encoder.")
    }
    save_file(own, folder / FILES[1])


def collate(model: Tagger, rows: pa.Table) -> dict[str, Tensor]:
    """Each different text once, and what the n rows say of its words.

    ``of`` (n,) is the row's text; ``tag`` (n, w) a tag or −1 where it is not known, ``weight``
    (n, w) how much it counts, ``not_tag`` (n, w) the tag that a word must not have because a
    span ends before it (0: none), counting ``not_weight``. Raises PluginError
    ``tagging.bad_target``.
    """
    inputs = rows["input"].to_pylist()
    place = {text: number for number, text in enumerate(dict.fromkeys(inputs))}
    texts = model.texts(list(place))
    seen = tensors(model, texts)
    width = seen["first"].shape[1]
    of = np.array([place[text] for text in inputs], np.int64)
    said_of = np.zeros((4, len(inputs), width), np.float32)
    for row, target in enumerate(rows["target"].to_pylist()):
        text = texts[of[row]]
        said_of[:, row, : len(text.words)] = _told(model, text, read(target))
    tag, weight, not_tag, not_weight = torch.from_numpy(said_of)
    return {
        **seen, "of": torch.from_numpy(of), "tag": tag.long(), "weight": weight,
        "not_tag": not_tag.long(), "not_weight": not_weight,
    }  # fmt: skip


def log_prob(model: Tagger, batch: Mapping[str, Tensor]) -> Tensor:
    """(n,): Σ w log p(tag) over the words that a row speaks of, and that its spans end there."""
    every = model(batch).float().log_softmax(dim=2)[batch["of"]]
    tag, not_tag = batch["tag"], batch["not_tag"]
    told = every.gather(2, tag.clamp(min=0)[..., None])[..., 0]
    told = torch.where(tag >= 0, told, UNKNOWN)
    goes_on = every.gather(2, not_tag[..., None])[..., 0].clamp(max=-1e-6)
    ended = torch.log(-torch.expm1(goes_on))
    return (told * batch["weight"] + ended * batch["not_weight"]).sum(dim=1)


def answer(model: Tagger, inputs: pa.Table, k: int) -> pa.Table:
    """The ``k`` most probable sets of spans (all, where fewer exist), each of the whole text."""
    if model.training:
        model.eval()
    asked = inputs["input"].to_pylist()
    found: list[Said] = [([], [], [])] * len(asked)
    order = sorted(range(len(asked)), key=lambda row: len(asked[row]))
    device = model.out.weight.device
    for at in range(0, len(order), _AT_ONCE):
        chosen = order[at : at + _AT_ONCE]
        texts = model.texts([asked[row] for row in chosen])
        seen = {name: part.to(device) for name, part in tensors(model, texts).items()}
        with torch.inference_mode():
            logits = model(seen).double().log_softmax(dim=2).cpu().numpy()
        for row, text, chance in zip(chosen, texts, logits, strict=True):
            found[row] = _best(model, text, chance[: len(text.words)], k)
    return _listed(found)


def baselines(data: Dataset, rows: pa.Table, k: int) -> dict[str, pa.Table]:
    """``seen``: names that were spans in training rows, wherever they occur again."""
    sure = pc.fill_null(pc.greater(data.train["sign"], 0), True)
    told = data.train.filter(pc.and_(sure, pc.greater(data.train["weight"], 0.0)))
    names = remembered(told["input"].to_pylist(), told["target"].to_pylist())
    found = [write(found_again(text, names)) for text in rows["input"].to_pylist()]
    return {"seen": _listed([([one], [1.0], ["tagging.seen\t"]) for one in found])}


def corrected(shown: str, right: str) -> str:
    """The target that teaches what a user made of ``shown``: changes in full, the rest less.

    One that says itself how much its parts count (spans named alone, say) stands as it is.

    >>> corrected('{"spans":[[0,4,"PER"],[9,12,"LOC"]]}', '{"spans":[[0,4,"PER"],[5,8,"ORG"]]}')
    '{"rest":0.3,"spans":[[0,4,"PER",0.3],[5,8,"ORG",1.0],[9,12,"",1.0]]}'
    """
    told = read(right)
    if {told.rest, *told.weights} != {1.0}:
        return right
    before, after = said(shown), said(right)
    gone = [
        (start, end, "")
        for span in before
        if span not in after
        for start, end in without(span, after)
    ]
    spans = [[*one, UNCHANGED if one in before else 1.0] for one in sorted([*after, *gone])]
    return canonical_json({"spans": spans, "rest": UNCHANGED})


def _told(model: Tagger, text: Text, target: Target) -> Floats:
    """(4, words): tag, how much it counts, tag that must not be, how much that counts."""
    named = tags(text.places, target.spans)
    found = np.zeros((4, len(named)), np.float32)
    tag, weight, not_tag, not_weight = found
    tag[:] = [model.index.get(name, -1) for name in named]
    weight[:] = target.rest
    for span, counts in zip(target.spans, target.weights, strict=True):
        first, last = covered(text.places, span)
        weight[first:last] = counts
        inside = model.index.get(f"I-{span[2]}", 0)
        if first < last < len(named) and named[last] == OUTSIDE and inside and not target.rest:
            not_tag[last], not_weight[last] = inside, counts
    # A word after a span may be spoken of itself: its own tag then says more.
    not_weight[weight > 0] = 0.0
    return found


def _best(model: Tagger, text: Text, chance: Doubles, k: int) -> Said:
    """Outputs, probabilities and reasons: the word that is least sure, or where answers part."""
    sequences, found = best(chance, k)
    named = [[model.names[tag] for tag in one] for one in sequences.tolist()]
    outputs = [write(spans_of(text.places, one)) for one in named]
    own = np.take_along_axis(chance, sequences[:1].T, axis=1)[:, 0]
    doubted = int(own.argmin()) if len(own) else None
    reasons = [_reason("tagging.doubt", text, doubted)]
    reasons += [
        _reason("tagging.instead", text, int((other != sequences[0]).argmax()))
        for other in sequences[1:]
    ]
    return outputs, np.exp(found).tolist(), reasons


def _reason(key: str, text: Text, word: int | None) -> str:
    return f"{key}\t" if word is None else f"{key}\t{text.words[word][:40]}"


def _listed(said_of: list[Said]) -> pa.Table:
    """The columns that ``answer`` promises."""
    kinds = {"output": pa.string(), "score": pa.float64(), "reason": pa.string()}
    return pa.table(
        {
            name: pa.array([row[place] for row in said_of], pa.list_(kind))
            for place, (name, kind) in enumerate(kinds.items())
        }
    )

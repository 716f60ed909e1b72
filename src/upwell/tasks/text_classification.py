"""Text classification: which of the classes does a text belong to?

A text is read by a pre-trained encoder; the mean of its states, or of its opening, meets a linear
head that begins as linear discriminant analysis of the labels (``_head``). ``adapt`` chooses what
learns: with few rows the head alone, on vectors that are made once; with more, the encoder too.

The classes are the targets of all training rows: of labels, of what was shown, of corrections. A
target that no training row had is impossible to it: log-probability log(1e-6), never an answer.
The embedded default reads Chinese one character at a time, and not all of them; for Chinese a
multilingual base is better.
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
from torch import Tensor, nn

from upwell.errors import PluginError
from upwell.settings import TuneSettings
from upwell.tables import Dataset
from upwell.tasks import _encoder, _labels
from upwell.tasks._encoder import Encoder
from upwell.tasks._head import Head, Line, discriminant
from upwell.tasks._labels import mark
from upwell.tasks._text_toy import toy

__all__ = [
    "ABOUT", "BATCH_BY", "CHOOSES", "METRIC", "Classifier", "adapt", "answer", "baselines",
    "collate", "load", "log_prob", "mark", "save", "start", "toy",
]  # fmt: skip

METRIC = "accuracy"
BATCH_BY: Literal["row", "user"] = "row"
ABOUT: Literal["item", "answer", "value"] = "answer"
LONGEST = 256
"""Tokens of a text that are read."""
UNKNOWN = float(np.log(_labels.LEAST))
"""The log-probability of a class that no training row had."""
DOUBT = 4.0
"""Nats by which all left-out rows together must be more probable by the openings of texts."""
FILE, WEIGHTS = "upwell.json", "head.safetensors"
_AT_ONCE = 64


class Classifier(nn.Module):
    """An encoder and a head.

    While the encoder does not learn it is no part of the module: models share one, and its
    vectors of texts are kept.
    """

    encoder: Encoder | None

    def __init__(self, reader: Encoder, classes: tuple[str, ...], views: tuple[int, ...]) -> None:
        super().__init__()
        self.classes, self.views = classes, views
        self.index = {name: place for place, name in enumerate(classes)}
        self.head = Head(len(classes), reader.width * len(views))
        self.pooled = nn.Identity()
        self.encoder = None
        self._still = [reader]

    @property
    def reader(self) -> Encoder:
        """The encoder, learning or not."""
        return self.encoder if self.encoder is not None else self._still[0]

    def learn_encoder(self) -> Encoder:
        """Give the model an encoder of its own, which can learn."""
        if self.encoder is None:
            self.encoder = self._still.pop().own()
        return self.encoder

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(n, classes) logits of a batch that ``collate`` made."""
        found: Tensor = self.head(self.pooled(self.read(batch)))
        return found

    def read(self, batch: Mapping[str, Tensor]) -> Tensor:
        """(n, width) vectors of length 1, in single precision."""
        if self.encoder is None:
            return batch["vectors"]
        found = _encoder.views(self.encoder, batch["ids"], batch["mask"])
        return _encoder.joined(found, self.views)


def start(base: str, data: Dataset, seed: int) -> Classifier:
    """A model whose head is fitted to the labels of ``data.train`` in closed form.

    From scratch (an empty base) the encoder learns from the beginning, and the head starts at
    zero. Raises PluginError ``text.one_class`` and ``task.no_encoder``.
    """
    rows = data.train.filter(pc.greater(data.train["weight"], 0.0))
    classes = _labels.classes(rows)
    if len(classes) < 2:
        known = ", ".join(classes)
        raise PluginError("text.one_class", classes=known, found=len(classes), rows=rows.num_rows)
    if not base:
        reader = _encoder.encoder("", seed, rows["input"].to_pylist())
        model = Classifier(reader, classes, (0,))
        model.learn_encoder()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            nn.init.normal_(model.head.weight, std=0.02)
        return model
    return _fitted(_encoder.shared(base), classes, rows)


def _fitted(reader: Encoder, classes: tuple[str, ...], rows: pa.Table) -> Classifier:
    """The closed-form head, from labels and from what users agreed with, as far as they count.

    Of a text all is read, or its opening where left-out rows are clearly more probable by it.
    The classes' names count as one more text each, where left-out rows are more probable by
    them, or where a class has nothing else.
    """
    index = {name: place for place, name in enumerate(classes)}
    told = rows.filter(pc.fill_null(pc.greater(rows["sign"], 0), True))
    numbers = _labels.numbers(told["target"], index)
    weight = np.asarray(told["weight"], np.float64) * np.where(
        np.asarray(told["sign"].is_null()), 1.0, np.asarray(told["reliability"], np.float64)
    )
    known = (numbers >= 0) & (weight > 0)
    if not known.any():
        return Classifier(reader, classes, (0,))
    texts = [text for text, use in zip(told["input"].to_pylist(), known, strict=True) if use]
    names = [name.replace("_", " ") for name in classes]
    seen = _encoder.read(reader, [*texts, *names], LONGEST)
    of = np.concatenate([numbers[known], np.arange(len(classes))])
    counts, n = np.concatenate([weight[known], np.ones(len(classes))]), len(texts)

    def line(view: int, rows: int) -> Line:
        vectors = _encoder.joined(seen[:rows], (view,))
        return discriminant(vectors, of[:rows], counts[:rows], len(classes), n)

    lines = [line(view, n) for view in range(len(_encoder.VIEWS))]
    view = int(n * (lines[1].likelihood - lines[0].likelihood) > DOUBT)
    named = line(view, len(of))
    thin = np.bincount(of[:n], minlength=len(classes)).min() == 0
    model = Classifier(reader, classes, (view,))
    model.head.put(named if thin or named.likelihood > lines[view].likelihood else lines[view])
    return model


def adapt(model: Classifier, data: Dataset, settings: TuneSettings) -> TuneSettings:
    """Choose what learns, by the number of rows, and how.

    ``head``: the head on the frozen encoder; ``lora``: low-rank adapters and the head; ``full``:
    everything but the lowest ``freeze_layers``. ``auto`` is ``head`` below ``FEW`` training rows
    and ``full`` from there on. Raises PluginError ``task.no_qlora``.
    """
    chosen = settings.tuning
    if chosen == "qlora":
        raise PluginError("task.no_qlora")
    if chosen == "auto":
        from_scratch = model.encoder is not None
        chosen = "full" if from_scratch or data.train.num_rows >= FEW else "head"
    if chosen == "head":
        if model.encoder is not None:
            model.encoder.learns(False)
    else:
        encoder = model.learn_encoder()
        if chosen == "lora":
            from upwell.tasks._adapters import add

            add(encoder, settings.rank)
        _encoder.freeze(encoder, settings.freeze_layers)
    suited = SUITED[chosen] | {"tuning": chosen}
    return settings.filled(suited)


FEW = 2000
SUITED: Mapping[str, dict[str, object]] = {
    "head": {
        "learning_rate": 0.003, "epochs": 40, "patience": 6, "batch_rows": 1024, "average": 0.0,
        "weight_decay": 0.0, "q": 0.3,
    },
    "lora": {
        "learning_rate": 1e-3, "epochs": 6, "patience": 2, "batch_rows": 32, "average": 0.98,
        "weight_decay": 0.01, "warmup": 0.1,
    },
    "full": {
        "learning_rate": 1e-4, "epochs": 4, "patience": 2, "batch_rows": 32, "average": 0.98,
        "weight_decay": 0.01, "warmup": 0.1,
    },
}  # fmt: skip
"""Settings that suit each way of tuning."""
CHOOSES = frozenset({"tuning"}.union(*SUITED.values()))


def load(folder: Path) -> Classifier:
    """The model that ``save`` wrote; its encoder does not learn any more."""
    told = json.loads((folder / FILE).read_text(encoding="utf-8"))
    reader = _encoder.load(folder)
    reader.learns(False)
    model = Classifier(reader, tuple(told["classes"]), tuple(told["views"]))
    model.head.load_state_dict(load_file(folder / WEIGHTS))
    return model.eval()


def save(model: Classifier, folder: Path) -> None:
    """The encoder in Hugging Face layout, the head beside it, and the classes in their order."""
    _encoder.save(model.reader, folder)
    tensors = {name: part.contiguous() for name, part in model.head.state_dict().items()}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    told = {"task": "text_classification", "classes": model.classes, "views": model.views}
    (folder / FILE).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")


def collate(model: Classifier, rows: pa.Table) -> dict[str, Tensor]:
    """``class`` (n,), −1 where unknown, and the texts.

    They are ``ids`` and ``mask`` (n, t), or ``vectors`` (n, width) where no encoder learns.
    """
    texts = rows["input"].to_pylist()
    numbers = torch.from_numpy(_labels.numbers(rows["target"], model.index))
    return {"class": numbers, **_read(model, texts)}


def _read(model: Classifier, texts: list[str]) -> dict[str, Tensor]:
    if model.encoder is None:
        found = _encoder.joined(_encoder.read(model.reader, texts, LONGEST), model.views)
        return {"vectors": torch.from_numpy(found)}
    ids, mask = _encoder.pad(_encoder.tokens(model.encoder, texts, LONGEST))
    return {"ids": ids, "mask": mask}


def log_prob(model: Classifier, batch: Mapping[str, Tensor]) -> Tensor:
    """(n,) log-probability of each row's class; ``UNKNOWN`` for one that the model never met."""
    number = batch["class"]
    found = model(batch).log_softmax(dim=1).gather(1, number.clamp(min=0)[:, None])[:, 0]
    return torch.where(number >= 0, found, found.new_tensor(UNKNOWN))


def answer(model: Classifier, inputs: pa.Table, k: int) -> pa.Table:
    """The ``k`` most probable classes of each text (all, where there are fewer)."""
    return _labels.best(model.classes, _probability(model, inputs), k, "text.likely")


def _probability(model: Classifier, inputs: pa.Table) -> npt.NDArray[np.float64]:
    """(n, classes), a few texts at a time, those of like length together."""
    texts = inputs["input"].to_pylist()
    order = np.argsort([len(text) for text in texts], kind="stable")
    found = np.zeros((len(texts), len(model.classes)))
    device = model.head.weight.device
    if model.training:
        model.eval()
    with torch.no_grad():
        for begin in range(0, len(texts), _AT_ONCE):
            places = order[begin : begin + _AT_ONCE]
            batch = _read(model, [texts[place] for place in places])
            logits = model({name: part.to(device) for name, part in batch.items()})
            found[places] = logits.double().softmax(dim=1).cpu().numpy()
    return found


def baselines(data: Dataset, rows: pa.Table, k: int) -> dict[str, pa.Table]:
    """``majority``: the most frequent class of the labels and likes of the training rows."""
    train = data.train.filter(pc.greater(data.train["weight"], 0.0))
    liked = train.filter(pc.fill_null(pc.greater(train["sign"], 0), True))
    told = [one for one in liked["target"].to_pylist() if one.strip()]
    return {"majority": _labels.most_frequent(told, rows.num_rows, k, "text.frequent")}

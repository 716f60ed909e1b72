"""Recommend: how probable is each item as the next one that a user will want?

The model (``_recommender``) mixes two towers with a closed-form neighbour matrix. A label's
probability is that of the item among all (a full softmax); a ±1 is about an item that was shown,
so its probability is that the user accepts it (see ``_chances.accepts``), which gives dislikes
a slope too. ``log_prob`` is that of the towers, the part that learns by gradient.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from pyarrow import compute as pc
from safetensors.torch import load_file, save_file
from torch import Tensor

from upwell.tables import Dataset
from upwell.tasks import _neighbours, _sequences, _text
from upwell.tasks._chances import NEVER, accepts
from upwell.tasks._neighbours import Neighbours
from upwell.tasks._recommender import Network, Shape
from upwell.tasks._toy import toy

__all__ = [
    "ABOUT", "BATCH_BY", "METRIC", "Recommender", "answer", "baselines", "collate", "load",
    "log_prob", "mark", "save", "start", "toy",
]  # fmt: skip

METRIC = "ndcg@10"
BATCH_BY: Literal["row", "user"] = "user"
ABOUT: Literal["item", "answer", "value"] = "item"
RECENT_DAYS = 30

IN_ORDER = Neighbours()
"""Where histories have an order; both chosen on validation of MovieLens-100K and Last.fm."""
WITHOUT_ORDER = Neighbours(ridge=80.0, reach=np.inf, floor=0.0, share=0.6)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The items that a model knows, in its own order, and what is known of them."""

    items: tuple[str, ...]
    texts: tuple[str, ...]

    def index(self) -> dict[str, int]:
        """Number of each item."""
        return {item: number for number, item in enumerate(self.items)}


class Recommender(Network):
    """The network with its catalogue and how it weighs what is older."""

    def __init__(
        self, shape: Shape, near: tuple[int, int], catalogue: Catalogue, reach: float, floor: float
    ) -> None:
        super().__init__(shape, near)
        self.items, self.texts = catalogue.items, catalogue.texts
        self.index = catalogue.index()
        self.reach, self.floor = reach, floor


def start(base: str, data: Dataset, seed: int) -> Recommender:
    """Towers with random weights from ``seed``; neighbours already fitted to the training rows.

    Where the histories have no order, next items cannot be learned from them: the neighbours
    answer alone, and nothing is left to train.
    """
    catalogue = _catalogue(data)
    text = _centred(_text.embed(base, catalogue.texts))
    liked = _liked(data.train)
    in_order = _has_order(liked)
    how = IN_ORDER if in_order else WITHOUT_ORDER
    near, rows, columns = _near(liked, catalogue, text, how)
    shape = Shape(
        items=len(catalogue.items),
        text=text.shape[1],
        features=_width(data.train),
        share=0.5 if in_order else 1.0,
    )
    reach, floor = (10.0, 0.1) if in_order else (np.inf, 0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Recommender(shape, (len(rows) + 1, len(columns)), catalogue, reach, floor)
    model.text.copy_(torch.from_numpy(text))
    model.near[:-1].copy_(torch.from_numpy(near))
    model.row.fill_(len(rows))
    model.row[torch.from_numpy(rows)] = torch.arange(len(rows))
    model.column.copy_(torch.from_numpy(columns))
    met = _sequences.numbers(liked["target"], model.index)
    model.known.copy_(torch.from_numpy(np.bincount(met, minlength=shape.items + 1)[:-1] > 0))
    return model if in_order else model.requires_grad_(False)


def load(folder: Path) -> Recommender:
    """The model that ``save`` wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    catalogue = Catalogue(tuple(config["items"]), tuple(config["texts"]))
    tensors = load_file(folder / "model.safetensors")
    height, width = tensors["near"].shape
    reach = np.inf if config["reach"] is None else config["reach"]
    model = Recommender(
        Shape(**config["shape"]), (height, width), catalogue, reach, config["floor"]
    )
    model.load_state_dict(tensors)
    return model.eval()


def save(model: Recommender, folder: Path) -> None:
    """``config.json`` and ``model.safetensors``."""
    config = {
        "model_type": "upwell-recommend",
        "shape": asdict(model.shape),
        "reach": model.reach if np.isfinite(model.reach) else None,
        "floor": model.floor,
        "items": model.items,
        "texts": model.texts,
    }
    text = json.dumps(config, ensure_ascii=False)
    (folder / "config.json").write_text(text, encoding="utf-8")
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        folder / "model.safetensors",
    )


def collate(model: Recommender, rows: pa.Table) -> dict[str, Tensor]:
    """Sequences of users and the places in them that the rows ask about."""
    return _sequences.to_learn(rows, model.index, model.shape.length, model.shape.features)


def log_prob(model: Recommender, batch: Mapping[str, Tensor]) -> Tensor:
    """(n,) ``log p(target)`` for labels, ``log p(accepted)`` of the target for ±1 rows."""
    chosen = model.target(batch)
    return torch.where(batch["signed"], accepts(chosen), chosen)


def answer(model: Recommender, inputs: pa.Table, k: int) -> pa.Table:
    """The ``k`` items most probable next, each with its reason; fewer where fewer are unseen."""
    batch = _sequences.to_answer(
        inputs, model.index, model.shape.length, model.shape.features, model.reach, model.floor
    )
    if model.training:
        model.eval()
    with torch.inference_mode():
        log_prob, items = model.best(batch, k)
        because = model.because(batch, items)
    fresh = (log_prob > NEVER / 2).numpy()
    sizes, chosen = fresh.sum(1), items.numpy()[fresh]
    outputs = [model.items[number] for number in chosen.tolist()]
    scores = log_prob.exp().double().numpy()[fresh]
    return pa.table(
        {
            "output": _listed(pa.array(outputs, pa.string()), sizes),
            "score": _listed(pa.array(scores), sizes),
            "reason": _listed(
                pa.array(_reasons(model, because.numpy()[fresh]), pa.string()), sizes
            ),
        }
    )


def mark(rows: pa.Table, answers: pa.Table) -> pa.Table:
    """``ndcg@10`` and ``hr@10`` of the row's target among the first ten answers.

    NDCG of one relevant item at rank r is 1 / log2(r + 1) (Järvelin and Kekäläinen 2002).
    """
    listed = _sequences.lists(answers["output"])
    values = listed.values.to_numpy(zero_copy_only=False)
    targets = rows["target"].to_numpy()
    gain = np.zeros(rows.num_rows)
    for row, (start, end) in enumerate(zip(listed.starts, listed.ends, strict=True)):
        hits = np.flatnonzero(values[start : min(end, start + 10)] == targets[row])
        if len(hits):
            gain[row] = 1.0 / np.log2(hits[0] + 2)
    return pa.table({METRIC: gain, "hr@10": (gain > 0).astype(np.float64)})


def baselines(data: Dataset, rows: pa.Table, k: int) -> dict[str, pa.Table]:
    """``popular``: most often chosen in training; ``recent_popular``: in its last 30 days."""
    liked = _liked(data.train)
    last = pc.max(liked["at"])
    begin = pc.subtract(last, pa.scalar(RECENT_DAYS * 86_400_000_000, pa.duration("us")))
    recent = liked.filter(pc.greater(liked["at"], begin))
    return {
        "popular": _most_chosen(liked, rows, k),
        "recent_popular": _most_chosen(recent, rows, k),
    }


def _most_chosen(chosen: pa.Table, rows: pa.Table, k: int) -> pa.Table:
    """The ``k`` most chosen items that the user of each row has not seen."""
    counts = pc.value_counts(chosen["target"].combine_chunks())
    sizes = np.asarray(counts.field("counts"))
    order = np.argsort(-sizes, kind="stable")
    items = np.asarray(counts.field("values").to_pylist(), dtype=object)[order]
    shares = sizes[order] / max(int(sizes.sum()), 1)
    past = _sequences.lists(rows["history"])
    seen = np.asarray(past.values.to_pylist(), dtype=object)
    outputs, scores = [], []
    for start, end in zip(past.starts, past.ends, strict=True):
        known = set(seen[start:end])
        fresh = [
            place for place in range(min(len(items), k + len(known))) if items[place] not in known
        ][:k]
        outputs.append(items[fresh].tolist())
        scores.append(shares[fresh].tolist())
    reasons = [["recommend.popular\t"] * len(output) for output in outputs]
    return pa.table({"output": outputs, "score": scores, "reason": reasons})


def _catalogue(data: Dataset) -> Catalogue:
    """All items that are described or chosen, in order of their names."""
    texts = dict(zip(data.items["item"].to_pylist(), data.items["text"].to_pylist(), strict=True))
    chosen = pc.unique(data.train["target"]).to_pylist()
    items = tuple(sorted({*texts, *chosen}))
    return Catalogue(items, tuple(texts.get(item) or item for item in items))


def _liked(rows: pa.Table) -> pa.Table:
    """Rows that say what a user wants: labels and +1, context and dislikes left out."""
    wanted = pc.fill_null(pc.greater(rows["sign"], 0), True)
    return rows.filter(pc.and_(pc.greater(rows["weight"], 0.0), wanted))


def _has_order(rows: pa.Table) -> bool:
    """Whether users did things one after the other, as far as their times tell."""
    spans = rows.group_by("user").aggregate([("at", "min"), ("at", "max")])
    return bool(pc.any(pc.not_equal(spans["at_min"], spans["at_max"])).as_py())


def _near(
    liked: pa.Table, catalogue: Catalogue, text: npt.NDArray[np.float32], how: Neighbours
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """B, the items of its rows, and of its columns; new items are reached by their texts."""
    users = np.asarray(liked["user"].combine_chunks().dictionary_encode().indices, dtype=np.int64)
    numbers = _sequences.numbers(liked["target"], catalogue.index())
    weight = np.asarray(liked["weight"], dtype=np.float32)
    count = len(catalogue.items)
    near, rows = _neighbours.fit_neighbours(users, numbers, weight, count, how)
    new = np.setdiff1d(np.arange(count), numbers)
    if not len(new) or not np.isfinite(how.reach):
        return near, rows, rows
    bridged = _neighbours.bridge(near, rows, text, new, how.spread)
    return np.concatenate([near, bridged], axis=1), rows, np.concatenate([rows, new])


def _centred(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Vectors without what all of them share, of length 1."""
    apart = vectors - vectors.mean(0)
    length = np.linalg.norm(apart, axis=1, keepdims=True)
    return np.asarray(apart / np.maximum(length, 1e-9), np.float32)


def _width(rows: pa.Table) -> int:
    return int(pc.max(pc.list_value_length(rows["features"])).as_py() or 0)


def _reasons(model: Recommender, because: npt.NDArray[np.int64]) -> list[str]:
    """Word keys with the title of the item that speaks most for each answer, where one does."""
    return [
        f"recommend.because\t{model.texts[item].split(' | ')[0]}"
        if item >= 0
        else "recommend.popular\t"
        for item in because
    ]


def _listed(values: pa.Array, sizes: npt.NDArray[np.int64]) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)

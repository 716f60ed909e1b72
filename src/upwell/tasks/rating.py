"""Rating: the number somebody would give an item, and how sure that is.

A Bayesian factorization machine (``_factorization``) is fitted to the labels when a model starts;
a small part on top (``_rating_net``) learns by gradient, from labels and feedback alike. Few
distinct numbers are ordered levels (ordinal probit); many are real (normal). A ±1 is about a
number that was shown: +1 'as good or better', −1 'lower', a censored observation whose chance is
Φ((μ − shown) / s). A correction is a label. Users and items nobody knows are answered from their
features and from what holds for all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from pyarrow import compute as pc
from safetensors.torch import load_file, save_file
from scipy.special import ndtr
from torch import Tensor

from upwell.errors import PluginError
from upwell.settings import TuneSettings
from upwell.tables import Dataset
from upwell.tasks import _rating_fit as fitting
from upwell.tasks import _rating_rows as told
from upwell.tasks._factorization import Recipe
from upwell.tasks._rating_net import DIRECTION, Net, Shape
from upwell.tasks._rating_rows import Floats, Ints, Scale
from upwell.tasks._rating_toy import toy
from upwell.tasks._side_information import scaled
from upwell.tasks._sittings import PAUSE, Stretches

__all__ = [
    "ABOUT", "BATCH_BY", "CHOOSES", "METRIC", "Rater", "adapt", "answer", "baselines", "collate",
    "load", "log_prob", "mark", "rmse", "save", "start", "toy",
]  # fmt: skip

METRIC = "negative_squared_error"
BATCH_BY: Literal["row", "user"] = "row"
ABOUT: Literal["item", "answer", "value"] = "value"
OURS = {"learning_rate": 0.002, "weight_decay": 0.01, "batch_rows": 2400, "epochs": 8}
CHOOSES = frozenset(OURS)
ABSOLUTE = "negative_absolute_error"
PRIOR = 5.0
"""Ratings of the mean over all that each mean of the baselines begins with."""


class Rater(Net):
    """The network with the names it knows and the scale it answers on."""

    def __init__(
        self, shape: Shape, users: tuple[str, ...], items: tuple[str, ...], scale: Scale
    ) -> None:
        super().__init__(shape)
        self.users, self.items, self.scale = users, items, scale
        self.user_index = {name: place for place, name in enumerate(users)}
        self.item_index = {name: place for place, name in enumerate(items)}


def start(base: str, data: Dataset, seed: int, recipe: Recipe | None = None) -> Rater:
    """A model whose factorization is fitted to the labels of ``data.train``.

    Raises PluginError ``rating.no_rows`` and ``rating.bad_target``.
    """
    if not pc.any(pc.greater(data.train["weight"], 0.0)).as_py():
        raise PluginError("rating.no_rows", rows=data.train.num_rows)
    found = fitting.learn(base, data, seed, recipe or Recipe())
    model = Rater(fitting.shape_of(found), found.users, found.items, found.scale)
    fitting.fill(model, found)
    return model


def adapt(model: Rater, data: Dataset, settings: TuneSettings) -> TuneSettings:
    """Small steps and some decay where nobody set them: the factorization knows the labels."""
    return settings.filled(OURS)


def load(folder: Path) -> Rater:
    """The model that ``save`` wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    scale = Scale(tuple(config["scale"].pop("levels")), **config["scale"])
    model = Rater(Shape(**config["shape"]), tuple(config["users"]), tuple(config["items"]), scale)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def save(model: Rater, folder: Path) -> None:
    """``config.json`` and ``model.safetensors``."""
    config = {
        "model_type": "upwell-rating",
        "shape": asdict(model.shape),
        "scale": asdict(model.scale),
        "users": model.users,
        "items": model.items,
    }
    text = json.dumps(config, ensure_ascii=False)
    (folder / "config.json").write_text(text, encoding="utf-8")
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        folder / "model.safetensors",
    )


def collate(model: Rater, rows: pa.Table) -> dict[str, Tensor]:
    """What is known of each row, with its target. Raises PluginError ``rating.bad_target``."""
    kinds = told.kinds(rows)
    batch = _known(model, rows, labelled=kinds != DIRECTION)
    value = (told.targets(rows) - model.scale.centre) / model.scale.unit
    batch["value"] = torch.from_numpy(value.astype(np.float32))
    batch["kind"] = torch.from_numpy(kinds)
    return batch


def log_prob(model: Rater, batch: Mapping[str, Tensor]) -> Tensor:
    """(n,) log p of a label's level (or cell), or of 'as good as shown, or better'."""
    return model.log_prob(batch)


def answer(model: Rater, inputs: pa.Table, k: int) -> pa.Table:
    """The expected number first, then the numbers of the scale nearest to it.

    A score is the probability that the user's number lies within half a step of the output, by a
    normal distribution with the predictive mean and deviation, so scores fall with distance.
    """
    if model.training:
        model.eval()
    with torch.inference_mode():
        batch = _known(model, inputs, labelled=np.zeros(inputs.num_rows, bool))
        mean, spread = (tensor.numpy() for tensor in model.told(batch))
    step = model.scale.step
    digits = int(np.clip(2 - np.floor(np.log10(step)), 0, 12))
    outputs, scores = [], []
    for expected, deviation in zip(mean.tolist(), spread.tolist(), strict=True):
        first = f"{expected:.{digits}f}"
        others = [x for x in _near(model.scale, expected, k) if told.as_number(first) != x]
        near = np.array([expected, *others])[:k]
        ends = (near[:, None] + np.array([-step, step]) / 2 - expected) / max(deviation, 1e-9)
        outputs.append([first, *(f"{x:.12g}" for x in others)][:k])
        # Equally far numbers are equally probable, but for the last bit.
        found = np.minimum.accumulate(ndtr(ends[:, 1]) - ndtr(ends[:, 0]))
        scores.append(found.tolist())
    reasons = _reasons(model, inputs, [f"{one:.{max(digits - 1, 0)}f}" for one in spread])
    return pa.table(
        {
            "output": pa.array(outputs, pa.list_(pa.string())),
            "score": pa.array(scores, pa.list_(pa.float64())),
            "reason": pa.array(
                [[why] * len(said) for why, said in zip(reasons, outputs, strict=True)],
                pa.list_(pa.string()),
            ),
        }
    )


def mark(rows: pa.Table, answers: pa.Table) -> pa.Table:
    """Minus the squared and the absolute error of the first output.

    A row that says 'as good or better' counts what the answer is too low by.
    """
    wanted = told.targets(rows)
    given = np.array([told.as_number(said[0]) for said in answers["output"].to_pylist()], float)
    wrong = given - wanted
    wrong = np.where(told.kinds(rows) == DIRECTION, np.minimum(wrong, 0.0), wrong)
    return pa.table({METRIC: -(wrong**2), ABSOLUTE: -np.abs(wrong)})


def rmse(marks: pa.Table) -> float:
    """Root of the mean squared error of what ``mark`` gave.

    >>> rmse(pa.table({METRIC: [-1.0, -4.0, -4.0]}))
    1.7320508075688772
    """
    return float(np.sqrt(-np.mean(marks[METRIC].to_numpy())))


def baselines(data: Dataset, rows: pa.Table, k: int) -> dict[str, pa.Table]:
    """``item_mean`` and ``user_mean`` of the training labels, drawn to the mean of all."""
    labels = data.train.filter(
        pc.and_(pc.greater(data.train["weight"], 0.0), pc.is_null(data.train["sign"]))
    )
    values = told.targets(labels)
    overall = float(values.mean()) if len(values) else 0.0
    found = {}
    for name, column in (("item_mean", "input"), ("user_mean", "user")):
        index = {one: place for place, one in enumerate(labels[column].unique().to_pylist())}
        code = told.codes(labels[column], index)
        sums = np.bincount(code, values, len(index) + 1) + PRIOR * overall
        means = sums / (np.bincount(code, minlength=len(index) + 1) + PRIOR)
        said = [[f"{mean:.6g}"] for mean in means[told.codes(rows[column], index)]]
        found[name] = pa.table(
            {
                "output": pa.array(said, pa.list_(pa.string())),
                "score": pa.array([[1.0]] * len(said), pa.list_(pa.float64())),
                "reason": pa.array([[f"rating.{name}\t"]] * len(said), pa.list_(pa.string())),
            }
        )
    return found


def _known(model: Rater, rows: pa.Table, *, labelled: np.ndarray) -> dict[str, Tensor]:
    """What the network reads of each row but its target."""
    user = told.codes(rows["user"], model.user_index)
    item = told.codes(rows["input"], model.item_index)
    features = _scaled(model, rows)
    mean = _means(model, user, item, features, told.seconds(rows))
    _leave_out(model, mean, labelled, user, item, told.seconds(rows))
    counts = model.get_buffer("counts").numpy()
    seen = np.stack([counts[user], counts[len(model.users) + 1 + item]], 1)
    numbers = {"mean": mean, "features": features, "rarity": 1 / np.sqrt(1 + seen)}
    return {
        "user": torch.from_numpy(user),
        "item": torch.from_numpy(item),
        **{name: torch.from_numpy(found.astype(np.float32)) for name, found in numbers.items()},
    }


def _means(model: Rater, user: Ints, item: Ints, features: Floats, when: Ints) -> Floats:
    """(n,) posterior means; somebody new is what their features make them."""
    table = model.get_buffer("user").double().numpy()
    who = table[user]
    new = np.flatnonzero(user == len(model.users))
    if len(new) and model.shape.user_side:
        along = features[new] @ model.get_buffer("user_side").double().numpy()
        who[new] += along @ table[len(model.users) + 1 :]
    what = model.get_buffer("item").double().numpy()[item]
    mean = np.einsum("nk,nk->n", who[:, :-1], what[:, :-1]) + who[:, -1] + what[:, -1]
    for name, pause in (("day", 0), ("sitting", PAUSE)):
        whose, first, last = model.get_buffer(f"{name}s").numpy()
        stretches = Stretches(whose, first, last, pause)
        mean += model.get_buffer(f"{name}_effect").double().numpy()[stretches.find(user, when)]
    return np.asarray(mean)


def _leave_out(
    model: Rater, mean: Floats, labelled: np.ndarray, user: Ints, item: Ints, when: Ints
) -> None:
    """Means of the rows that the factorization has met, in place, as if it had not."""
    pairs, times = model.get_buffer("seen").numpy()
    if not len(pairs):
        return
    asked = user * len(model.items) + item
    place = np.minimum(np.searchsorted(pairs, asked), len(pairs) - 1)
    for _ in range(4):  # a pair may have been rated a few times; later ones keep their mean
        step = (pairs[place] == asked) & (times[place] < when) & (place < len(pairs) - 1)
        place = place + step
    met = labelled & (pairs[place] == asked) & (times[place] == when)
    met &= (user < len(model.users)) & (item < len(model.items))
    mean[met] = model.get_buffer("left_out").numpy()[place[met]]


def _scaled(model: Rater, rows: pa.Table) -> Floats:
    """(n, m) features on the scale of training, as many as the model knows."""
    mean, scale = model.get_buffer("feature_scale").double().numpy()
    found = told.features(rows)[:, : len(mean)]
    short = np.zeros((len(found), len(mean) - found.shape[1]))
    return scaled(np.concatenate([found, short], 1), mean, np.where(scale > 0, scale, np.inf))


def _near(scale: Scale, expected: float, k: int) -> list[float]:
    """Up to ``k`` numbers of the scale, nearest first."""
    if scale.levels:
        return sorted(scale.levels, key=lambda level: (abs(level - expected), level))[:k]
    return [expected + scale.step * ((n + 1) // 2) * (1 if n % 2 else -1) for n in range(1, k)]


def _reasons(model: Rater, rows: pa.Table, spread: list[str]) -> list[str]:
    users, items = rows["user"].to_pylist(), rows["input"].to_pylist()
    return [
        ("rating.new_user" if user not in model.user_index else
         "rating.new_item" if item not in model.item_index else "rating.spread") + f"\t{give}"
        for user, item, give in zip(users, items, spread, strict=True)
    ]  # fmt: skip

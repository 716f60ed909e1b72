"""Tabular: a class or a number from a row of mixed columns, as in risk and health.

An input is a JSON object, column name to value; a missing column is a missing value. The target
is a class, or a number where all targets are numbers and they are many or not whole. How columns
become numbers is learned from the training rows alone (``_columns``). A ±1 on a class says
whether it was right; on a number it says a direction: +1 that the value is above what was shown,
−1 that it is below, a censored normal observation. A corrected number is accepted within a
quarter of the targets' standard deviation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
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

from upwell.errors import PluginError
from upwell.settings import TuneSettings
from upwell.tables import CORRECTED, Dataset
from upwell.tasks import _columns
from upwell.tasks._columns import Column
from upwell.tasks._tabular_answers import METRIC, Listed, baseline, listed, mark
from upwell.tasks._tabular_net import Net, Shape, log_above, log_cell
from upwell.tasks._tabular_rows import MOST_CLASSES, readable
from upwell.tasks._tabular_toy import toy

__all__ = [
    "ABOUT", "BATCH_BY", "CHOOSES", "METRIC", "Tabular", "Target", "adapt", "answer", "baselines",
    "begin", "collate", "load", "log_prob", "mark", "number", "readable", "save", "start", "toy",
]  # fmt: skip

BATCH_BY: Literal["row", "user"] = "row"
ABOUT: Literal["item", "answer", "value"] = "answer"
CHOOSES = ("learning_rate", "batch_rows", "epochs", "patience", "weight_decay", "average", "q")
UNKNOWN = math.log(1e-6)
"""The log-probability of a class that training rows never had."""
NEAR = 0.25
"""Standard deviations of the target within which a corrected number is accepted."""
CELLS = 50
"""Cells of the grid of answers to a standard deviation, at least."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is told: one of ``classes``, or, where there are none, a number.

    A number is scaled to (value − center) / scale; answers lie on multiples of ``cell``.
    """

    classes: tuple[str, ...] = ()
    center: float = 0.0
    scale: float = 1.0
    cell: float = 1.0


class Tabular(Net):
    """The network with the columns it reads and the target it tells."""

    mean: Tensor

    def __init__(self, shape: Shape, columns: Sequence[Column], target: Target) -> None:
        super().__init__(shape)
        self.columns, self.target = tuple(columns), target
        self.index = {name: place for place, name in enumerate(target.classes)}
        self.register_buffer("mean", torch.zeros(shape.inputs))

    def distribution(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n,) mean and () scale of the number, in its own unit."""
        mean = self(x)[:, 0] * self.target.scale + self.target.center
        return mean, self.log_scale.exp() * self.target.scale


def start(base: str, data: Dataset, seed: int) -> Tabular:
    """A network with random weights from ``seed`` for the columns and targets of ``data.train``.

    There is nothing pre-trained for tables, so every ``base`` is the same. Raises PluginError
    ``tabular.no_rows``, ``tabular.no_columns``, ``tabular.one_class``, ``tabular.bad_target``,
    ``tabular.not_columns``.
    """
    rows = data.train.filter(pc.greater(data.train["weight"], 0.0))
    if not rows.num_rows:
        raise PluginError("tabular.no_rows")
    return begin(rows["input"].to_pylist(), _target(rows), seed)


def begin(inputs: Sequence[str], target: Target, seed: int) -> Tabular:
    """A network that tells ``target`` from inputs like these. Raises as ``start`` does."""
    parsed = _columns.parse(inputs)
    columns = _columns.learn(parsed)
    if not columns:
        raise PluginError("tabular.no_columns", rows=len(inputs))
    x = _columns.encode(columns, parsed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Tabular(Shape(x.shape[1], len(target.classes) or 1), columns, target)
    model.mean.copy_(torch.from_numpy(x.mean(axis=0)))
    return model


def adapt(model: Tabular, data: Dataset, settings: TuneSettings) -> TuneSettings:
    """Fill in what suits a small network; every weight learns, whatever ``tuning`` says."""
    many = data.train.num_rows > 8192
    # About eight steps an epoch, however few rows there are.
    eighth = 2 ** round(math.log2(max(data.train.num_rows / 8, 1)))
    suited = {
        "learning_rate": 3e-3,
        "batch_rows": min(max(eighth, 16), 512),
        "epochs": 30 if many else 60,
        "patience": 6 if many else 15,
        "weight_decay": 0.02,
        "average": 0.97,
        "q": 0.3,
    }
    return settings.filled(suited)


def load(folder: Path) -> Tabular:
    """The model that ``save`` wrote."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    columns = [_columns.restored(plain) for plain in config["columns"]]
    target = config["target"]
    told = Target(**target | {"classes": tuple(target["classes"])})
    model = Tabular(Shape(**config["shape"]), columns, told)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()


def save(model: Tabular, folder: Path) -> None:
    """``config.json`` with columns and target, ``model.safetensors`` with the weights."""
    config = {
        "model_type": "upwell-tabular",
        "shape": asdict(model.shape),
        "columns": [asdict(column) for column in model.columns],
        "target": asdict(model.target),
    }
    text = json.dumps(config, ensure_ascii=False)
    (folder / "config.json").write_text(text, encoding="utf-8")
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        folder / "model.safetensors",
    )


def collate(model: Tabular, rows: pa.Table) -> dict[str, Tensor]:
    """``x`` (n, inputs), ``target`` (n,), and which rows are ``signed`` or ``corrected`` (n,).

    A class never seen in training is −1. Raises PluginError ``tabular.not_columns`` and, where a
    number is told, ``tabular.bad_target``.
    """
    signed = torch.from_numpy(rows["sign"].is_valid().to_numpy())
    corrected = torch.from_numpy(pc.ends_with(rows["id"], CORRECTED).to_numpy())
    targets = rows["target"].to_pylist()
    if model.index:
        target = torch.tensor([model.index.get(one, -1) for one in targets], dtype=torch.int64)
    else:
        target = torch.from_numpy(_finite(rows)).float()
    return {"x": _encoded(model, rows), "target": target, "signed": signed, "corrected": corrected}


def log_prob(model: Tabular, batch: Mapping[str, Tensor]) -> Tensor:
    """(n,): log p(class); for numbers, of the target's cell, or of 'above what was shown'."""
    target = batch["target"]
    if model.index:
        chosen = model(batch["x"]).log_softmax(dim=1).gather(1, target.clamp(min=0)[:, None])[:, 0]
        return torch.where(target >= 0, chosen, UNKNOWN)
    mean, scale = model.distribution(batch["x"])
    told = log_cell(target, mean, scale, model.target.cell / 2)
    near = log_cell(target, mean, scale, NEAR * model.target.scale)
    shown = torch.where(batch["corrected"], near, log_above(target, mean, scale))
    return torch.where(batch["signed"], shown, told)


def answer(model: Tabular, inputs: pa.Table, k: int) -> pa.Table:
    """The ``k`` most probable classes, or the ``k`` cells around the most probable number."""
    if model.training:
        model.eval()
    x = _encoded(model, inputs)
    if not model.index:
        with torch.inference_mode():
            mean, scale = model.distribution(x)
        return _values(model.target, mean, scale, k)
    x.requires_grad_()
    log_chance = model(x).double().log_softmax(dim=1)
    # A stable order, so that equal chances rank alike in every company.
    order = log_chance.detach().argsort(dim=1, descending=True, stable=True)[:, :k]
    chances = log_chance.detach().gather(1, order).exp()
    (slope,) = torch.autograd.grad(log_chance.gather(1, order[:, :1]).sum(), x)
    reasons = _because(model, inputs, slope * (x.detach() - model.mean), order.shape[1])
    names = [[model.target.classes[place] for place in row] for row in order.tolist()]
    return listed(Listed(names, chances.tolist(), reasons))


def baselines(data: Dataset, rows: pa.Table, k: int) -> dict[str, pa.Table]:
    """``usual``: the training labels' classes by frequency, or the cells around their mean."""
    known = data.train.filter(pc.greater(data.train["weight"], 0.0))
    target = _target(known)
    told = _told(known)
    if target.classes:
        return {"usual": baseline(told["target"].to_pylist(), rows.num_rows, k)}
    mean = torch.full((rows.num_rows,), target.center, dtype=torch.float64)
    return {"usual": _values(target, mean, torch.tensor(target.scale), k)}


def _encoded(model: Tabular, rows: pa.Table) -> Tensor:
    return torch.from_numpy(
        _columns.encode(model.columns, _columns.parse(rows["input"].to_pylist()))
    )


def _told(rows: pa.Table) -> pa.Table:
    """Rows whose target is right: labels, and what was liked or put right."""
    return rows.filter(pc.fill_null(pc.greater(rows["sign"], 0), True))


def _target(rows: pa.Table) -> Target:
    """Which kind of target ``rows`` have, and its classes or its scale."""
    labels = rows.filter(pc.is_null(rows["sign"]))
    told = _told(rows)
    targets = (labels if labels.num_rows else told)["target"].to_pylist()
    values = np.array([_columns.number(one) for one in targets], np.float64)
    finite = np.isfinite(values)
    distinct = np.unique(values[finite])
    many = len(distinct) > MOST_CLASSES or bool((distinct != np.round(distinct)).any())
    if many and finite.mean() >= _columns.MOSTLY:
        _finite(rows)
        return number(values[finite])
    empty = pc.or_(pc.equal(told["target"], ""), pc.equal(pc.utf8_lower(told["target"]), "nan"))
    if pc.any(empty).as_py():
        _refuse(told, np.asarray(empty))
    classes = sorted(set(told["target"].to_pylist()))
    if len(classes) < 2:
        raise PluginError("tabular.one_class", classes=", ".join(classes) or "–")
    return Target(tuple(classes))


def number(values: _columns.Doubles) -> Target:
    """The scale of a number, and a grid of round cells (powers of ten) fine enough for it."""
    scale = float(values.std()) or 1.0
    cell = 10.0 ** math.floor(math.log10(scale / CELLS))
    whole = bool((values == np.round(values)).all())
    return Target((), float(values.mean()), scale, max(cell, 1.0) if whole and scale > 1 else cell)


def _finite(rows: pa.Table) -> _columns.Doubles:
    """Targets as numbers. Raises PluginError ``tabular.bad_target`` where one is none."""
    values = np.array([_columns.number(one) for one in rows["target"].to_pylist()], np.float64)
    if not np.isfinite(values).all():
        _refuse(rows, ~np.isfinite(values))
    return values


def _refuse(rows: pa.Table, bad: npt.NDArray[np.bool_]) -> None:
    first = rows.slice(int(bad.argmax()), 1).to_pylist()[0]
    raise PluginError(
        "tabular.bad_target", rows=int(bad.sum()), id=first["id"], target=first["target"][:40]
    )


def _values(target: Target, mean: Tensor, scale: Tensor, k: int) -> pa.Table:
    """The ``k`` cells nearest to each mean (n,), nearest first."""
    cell = target.cell
    middle = torch.round(mean.double() / cell)
    side = torch.where(mean.double() >= middle * cell, 1.0, -1.0)
    step = torch.arange(1, k + 1) // 2 * torch.where(torch.arange(k) % 2 == 1, 1.0, -1.0)
    places = middle[:, None] + side[:, None] * step
    chances = log_cell(places * cell, mean.double()[:, None], scale.double(), cell / 2).exp()
    decimals = max(0, -math.floor(math.log10(cell) + 1e-9))
    names = [[f"{place * cell:.{decimals}f}" for place in row] for row in places.tolist()]
    detail = f"tabular.value\t{float(scale):.3g}"
    return listed(Listed(names, chances.tolist(), [[detail] * k for _ in names]))


def _because(model: Tabular, inputs: pa.Table, pull: Tensor, k: int) -> list[list[str]]:
    """Reasons: the column that pulls most towards the first answer, against the usual row."""
    owner = torch.tensor([n for n, one in enumerate(model.columns) for _ in one.places()])
    by_column = torch.zeros(len(pull), len(model.columns)).index_add_(1, owner, pull.float())
    rows = _columns.parse(inputs["input"].to_pylist())
    found = []
    for row, place in zip(rows, by_column.argmax(dim=1).tolist(), strict=True):
        name = model.columns[place].name
        cell = json.dumps(row.get(name), ensure_ascii=False)
        found.append([f"tabular.because\t{name}: {cell[:40]}"] + ["tabular.less\t"] * (k - 1))
    return found

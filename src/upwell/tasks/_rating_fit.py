"""From training rows to the posterior of the factorization, and into the tensors of a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from upwell.tables import Dataset
from upwell.tasks import _rating_rows as told
from upwell.tasks import _side_information as side
from upwell.tasks import _text
from upwell.tasks._factorization import Known, Posterior, Recipe, fit
from upwell.tasks._rating_net import DIRECTION, Net, Shape
from upwell.tasks._rating_rows import Floats, Ints, Scale
from upwell.tasks._side_information import Basis
from upwell.tasks._sittings import PAUSE, Stretches

WORK = 40_000_000
"""Rows times draws of a fit at most, draws being between 80 and those of the recipe."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A fitted factorization and all that is needed to read it."""

    users: tuple[str, ...]
    items: tuple[str, ...]
    scale: Scale
    posterior: Posterior
    known: Known
    when: Ints
    stretches: tuple[Stretches, Stretches]
    text: Floats
    features: tuple[Floats, Floats, Basis | None]


def learn(base: str, data: Dataset, seed: int, recipe: Recipe) -> Learned:
    """Fit the labels and corrections of ``data.train``. Raises ``rating.bad_target``."""
    rows = data.train.filter(pa.compute.greater(data.train["weight"], 0.0))
    values, kinds = told.targets(rows), told.kinds(rows)
    exact = kinds != DIRECTION
    scale = told.scale_of(values[exact] if exact.any() else values)
    users = tuple(sorted(set(rows["user"].to_pylist())))
    texts = dict(zip(data.items["item"].to_pylist(), data.items["text"].to_pylist(), strict=True))
    items = tuple(sorted({*texts, *rows["input"].to_pylist()}))
    user = told.codes(rows["user"], {name: place for place, name in enumerate(users)})
    item = told.codes(rows["input"], {name: place for place, name in enumerate(items)})
    when = told.seconds(rows)
    scaled, mean, width = side.standardised(_by_user(told.features(rows), user, len(users)))
    about_user = side.of_features(scaled)
    vectors, about_items = _texts(base, [texts.get(name) or name for name in items])
    user, item, when, kept = user[exact], item[exact], when[exact], values[exact]
    stretches = (Stretches.of(user, when, 0), Stretches.of(user, when, PAUSE))
    known = Known(user, item, _latent(kept, scale), len(scale.levels),
                  tuple((s.find(user, when), len(s.user)) for s in stretches))  # fmt: skip
    sets = side.of_sets(user, item, len(users), len(items))
    rated = side.of_sets(item, user, len(items), len(users))
    posterior = fit(
        known,
        (len(users), tuple(one for one in (sets, about_user) if one)),
        (len(items), tuple(one for one in (rated, *about_items) if one)),
        _within(recipe, len(kept)),
        seed,
    )
    return Learned(users, items, scale, posterior, known, when, stretches, vectors,
                   (mean, width, about_user))  # fmt: skip


def shape_of(found: Learned) -> Shape:
    """The sizes of the model's tensors."""
    basis = found.features[2]
    return Shape(
        users=len(found.users),
        items=len(found.items),
        user_rows=len(found.posterior.user),
        item_rows=len(found.posterior.item),
        rank=found.posterior.user.shape[1] - 1,
        user_side=len(basis.spread) if basis else 0,
        features=len(found.features[0]),
        text=found.text.shape[1],
        levels=len(found.scale.levels),
        days=len(found.stretches[0].user),
        sittings=len(found.stretches[1].user),
        seen=len(found.when),
    )


def fill(model: Net, found: Learned) -> None:
    """Give a new model the posterior's numbers."""
    after, known, basis = found.posterior, found.known, found.features[2]
    counts = [np.bincount(known.user, minlength=len(found.users) + 1),
              np.bincount(known.item, minlength=len(found.items) + 1)]  # fmt: skip
    pairs = known.user * len(found.items) + known.item
    order = np.lexsort((found.when, pairs))
    width = np.where(np.isfinite(found.features[1]), found.features[1], 0.0)
    numbers = {
        "user": after.user,
        "item": after.item,
        "user_side": basis.right if basis and basis.right is not None else None,
        "feature_scale": np.stack([found.features[0], width]),
        "text": np.concatenate([found.text, np.zeros((1, found.text.shape[1]))]),
        "counts": np.concatenate(counts),
        "values": np.array(found.scale.levels),
        "unit": np.array([found.scale.centre, found.scale.unit]),
        "days": _stacked(found.stretches[0]),
        "sittings": _stacked(found.stretches[1]),
        "day_effect": np.append(after.effects[0], 0.0),
        "sitting_effect": np.append(after.effects[1], 0.0),
        "seen": np.stack([pairs[order], found.when[order]]),
        "left_out": after.loo[order, 0],
    }
    with torch.no_grad():
        for name, values in numbers.items():
            if values is not None:
                model.get_buffer(name).copy_(torch.from_numpy(np.ascontiguousarray(values)))
        if len(after.cuts):
            model.first_cut.fill_(float(after.cuts[0]))
            model.log_gaps.copy_(torch.from_numpy(np.log(np.diff(after.cuts))))
        model.log_scale.copy_(torch.from_numpy(_spread(after, known, counts)))


def _spread(after: Posterior, known: Known, counts: list[Ints]) -> Floats:
    """Logarithm of the predictive scale as a line in how rare user and item are."""
    log_scale = np.log(after.noise + after.loo[:, 1]) / 2
    if len(log_scale) < 30:
        return np.array([np.log(max(after.noise, 1e-4)) / 2, 0.2, 0.2])
    rare = [1 / np.sqrt(1 + count[code])
            for count, code in zip(counts, (known.user, known.item), strict=True)]  # fmt: skip
    design = np.stack([np.ones(len(log_scale)), *rare], 1)
    ridge = design.T @ design + np.diag([1e-6, 1.0, 1.0])
    return np.linalg.solve(ridge, design.T @ log_scale)


def _within(recipe: Recipe, rows: int) -> Recipe:
    """The recipe with as many draws as the rows allow; few rows need few."""
    draws = min(recipe.draws, max(80, WORK // max(rows, 1)), 100 + rows // 20)
    return Recipe(recipe.rank, draws, recipe.warm, recipe.kept_rank, recipe.every)


def _texts(base: str, texts: list[str]) -> tuple[Floats, list[Basis | None]]:
    """Vectors of the texts without what all share, and bases of these and of plain facts.

    What stands behind the first bar of a text (``title | genres | year``) are facts about the
    item: its words count apart from those of the title, which say less.
    """
    facts = [text.partition(" | ")[2] for text in texts]
    found = [_text.embed(base, texts)]
    if base or any(facts):
        found.append(_text.embed("", facts if any(facts) else texts))
    apart = [(vectors - vectors.mean(0)).astype(np.float64) for vectors in found]
    return apart[0], [side.of_features(vectors) for vectors in apart]


def _by_user(features: Floats, user: Ints, users: int) -> Floats:
    """(users, m) the mean of each user's rows."""
    size = np.maximum(np.bincount(user, minlength=users), 1)
    sums = [np.bincount(user, column, users) for column in features.T]
    return np.stack(sums, 1) / size[:, None] if sums else np.zeros((users, 0))


def _latent(values: Floats, scale: Scale) -> Floats:
    if scale.levels:
        return np.searchsorted(np.array(scale.levels), values).astype(np.float64)
    return (values - scale.centre) / scale.unit


def _stacked(one: Stretches) -> Ints:
    return np.stack([one.user, one.first, one.last])

"""Tables with scikit-learn's conventions: a transformer of columns, a classifier, a regressor.

They need the package scikit-learn. Cells may be numbers, text, dates as text, or missing; what
is fitted is the task ``tabular`` with the shared trainer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from upwell.ports import Task
from upwell.records import Example
from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import train
from upwell.tables import Dataset, canonical_json, schema
from upwell.tasks import tabular
from upwell.tasks._columns import encode, learn

HELD_OUT, FEWEST_HELD_OUT = 0.15, 10
"""Share of the rows that early stopping is judged on; none where that would be too few."""

CHECKS: dict[str, Any] = {"dtype": None, "ensure_all_finite": "allow-nan"}

Cells = list[dict[str, object]]


ONE_CLASS = "Classifier can't train when only one class is present."
"""The words that scikit-learn's own checks look for."""


class _Mixed(BaseEstimator):
    """What all three share: tables of mixed cells."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _cells(self, X: Any, *, reset: bool) -> Cells:
        """Rows as columns by name, validated as scikit-learn does."""
        return self._named(validate_data(self, X, reset=reset, **CHECKS))

    def _named(self, found: Any) -> Cells:
        names = self._names()
        return [dict(zip(names, map(_plain, row), strict=True)) for row in found.tolist()]

    def _names(self) -> list[str]:
        named = getattr(self, "feature_names_in_", None)
        return [f"x{n}" for n in range(self.n_features_in_)] if named is None else list(named)


class Columns(TransformerMixin, _Mixed):
    """Mixed columns to numbers: scaled, winsorised, piecewise linear, one-hot, hashed.

    >>> Columns().fit_transform([[20, "cook"], [40, "smith"]]).tolist()
    [[-1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]]
    """

    def fit(self, X: Any, y: object = None) -> Self:
        """Learn how to read the columns of ``X``."""
        self.columns_ = learn(self._cells(X, reset=True))
        return self

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """(n, features) numbers."""
        check_is_fitted(self)
        return encode(self.columns_, self._cells(X, reset=False))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[np.object_]:
        """Names of the numbers, each beginning with its column's."""
        check_is_fitted(self)
        names = [place for column in self.columns_ for place in column.places()]
        return np.array(names, dtype=object)


class _Tabular(_Mixed):
    """What classifier and regressor share: training and reading the network."""

    def __init__(self, epochs: int = 60, random_state: int = 0) -> None:
        self.epochs = epochs
        self.random_state = random_state

    def _learn(
        self, cells: Cells, targets: Sequence[str], target: tabular.Target, weight: Any
    ) -> None:
        rows = _examples(cells, targets, weight)
        order = np.random.default_rng(self.random_state).permutation(rows.num_rows)
        held = int(len(order) * HELD_OUT)
        held = held if held >= FEWEST_HELD_OUT else 0
        none = pa.table({"item": pa.array([], pa.string()), "text": pa.array([], pa.string())})
        data = Dataset(rows.take(order[held:]), rows.take(order[:held]), rows[:0], none)
        model = tabular.begin(rows["input"].to_pylist(), target, self.random_state)
        settings = tabular.adapt(model, data, TuneSettings(epochs=self.epochs))
        trained = train(
            cast("Task", tabular), model, data, settings, label_share=1.0, seed=self.random_state
        )
        # In double precision a row's answer does not depend on the rows beside it.
        self.model_, self.n_iter_ = model.double(), max(trained.curve.num_rows - 1, 1)

    def _inputs(self, X: Any) -> torch.Tensor:
        check_is_fitted(self)
        cells = self._cells(X, reset=False)
        return torch.from_numpy(encode(self.model_.columns, cells)).double()


class TabularClassifier(ClassifierMixin, _Tabular):
    """Classes from mixed columns."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn; rows of weight 0 count for nothing. Raises ValueError on one class only."""
        X, y = validate_data(self, X, y, ensure_min_samples=2, **CHECKS)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        if len(np.unique(codes[weight > 0])) < 2:
            raise ValueError(ONE_CLASS)
        names = [f"class {n:06}" for n in range(len(self.classes_))]
        self._learn(self._named(X), [names[n] for n in codes], tabular.Target(tuple(names)), weight)
        return self

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """(n, classes) probabilities."""
        x = self._inputs(X)
        with torch.inference_mode():
            found: npt.NDArray[np.float64] = self.model_(x).softmax(dim=1).numpy()
        return found

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """(n,) the most probable classes."""
        check_is_fitted(self)
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])


class TabularRegressor(RegressorMixin, _Tabular):
    """A number from mixed columns."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Learn; rows of weight 0 count for nothing."""
        X, y = validate_data(self, X, y, ensure_min_samples=2, y_numeric=True, **CHECKS)
        values = np.asarray(y, np.float64)
        weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        self._learn(
            self._named(X), [repr(float(v)) for v in values], tabular.number(values), weight
        )
        return self

    def predict(self, X: Any) -> npt.NDArray[np.float64]:
        """(n,) expected numbers."""
        x = self._inputs(X)
        with torch.inference_mode():
            mean, _ = self.model_.distribution(x)
        return np.asarray(mean.numpy(), np.float64)


def _plain(cell: Any) -> object:
    return None if isinstance(cell, float) and np.isnan(cell) else cell


def _examples(cells: Cells, targets: Sequence[str], weight: Any) -> pa.Table:
    count = len(cells)
    columns: dict[str, Any] = {
        "id": [str(n) for n in range(count)], "user": [str(n) for n in range(count)],
        "task": ["tabular"] * count, "input": [canonical_json(row) for row in cells],
        "target": targets, "sign": [None] * count, "weight": weight,
        "reliability": [1.0] * count, "propensity": [None] * count, "group": [""] * count,
        "at": [0] * count, "sources": [[]] * count, "features": [[]] * count,
    }  # fmt: skip
    return pa.table(columns, schema=schema(Example))

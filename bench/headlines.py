"""Which of the headlines that were shown is clicked? A task of the bench, on Upwell's ports.

Arms of a randomised test share readers, so clicks c among n readers follow log-rate = test +
f(headline) + image + noise, with f a Gaussian process over what a headline means (layers of a
frozen encoder) and how it is written. ``start`` solves it in closed form; ``log_prob`` is that
of a click falling on an arm, given that the test got one: n·e^f over the sum of the arms. A row
is one headline of a test: ``user`` is the test, ``input`` the headline, ``weight`` the clicks,
``features`` the impressions, the images shown with it, and 1 where the test has several images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from scipy.linalg import cho_factor, cho_solve
from torch import Tensor, nn

from upwell.tables import Dataset
from upwell.tasks import _encoder

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
LONGEST, AT_ONCE = 64, 64
"""Tokens of a headline that are read, and headlines at once."""
TEST_VARIANCE = 1.0
"""Of a test's own log-rate: wide, since tests differ in what they are about."""


@dataclass(frozen=True, slots=True)
class Process:
    """Layers read; variance and reach of what is meant; variances of style, images and noise."""

    layers: tuple[int, ...] = (0, 4, 5)
    variance: float = 0.3
    reach: float = 0.5
    style: float = 0.005
    image: float = 0.05
    noise: float = 0.1


class Scores(nn.Module):
    """f(headline): a weighted sum of nearnesses to the ``known`` headlines learned from.

    A headline is (meaning + style) numbers side by side; ``center`` and ``scale`` are those of
    the known ones, and ``spread`` is the mean squared distance of their meanings.
    """

    known: Tensor
    center: Tensor
    scale: Tensor

    def __init__(self, process: Process, raw: Tensor, meaning: int) -> None:
        super().__init__()
        self.process, self.meaning = process, meaning
        center = raw.mean(dim=0)
        layers = (raw - center)[:, :meaning].reshape(len(raw), len(process.layers), -1)
        # Layers count alike, however far apart their vectors lie.
        length = layers.square().sum(dim=2).mean(dim=0).sqrt()
        wide = length.repeat_interleave(layers.shape[2])
        scale = torch.cat([wide, raw[:, meaning:].std(dim=0)]) + 1e-6
        self.register_buffer("center", center)
        self.register_buffer("scale", scale)
        self.register_buffer("known", (raw - self.center) / scale)
        # Two points are on average twice as far apart, squared, as each is from their mean.
        self.spread = 2 * float(self.known[:, :meaning].square().sum(dim=1).mean())
        self.weight = nn.Parameter(torch.zeros(len(raw)))

    def kernel(self, raw: Tensor) -> Tensor:
        """(n, known) covariances of f at ``raw`` headlines and at the known ones."""
        x, at = (raw - self.center) / self.scale, self.meaning
        near = torch.cdist(
            x[:, :at], self.known[:, :at], compute_mode="use_mm_for_euclid_dist"
        ).square()
        alike = x[:, at:] @ self.known[:, at:].T / max(x.shape[1] - at, 1)
        meant = self.process.variance * torch.exp(-near / (self.process.reach * self.spread))
        return meant + self.process.style * alike

    def forward(self, raw: Tensor) -> Tensor:
        """(n, d) headlines to (n,) scores."""
        scores: Tensor = self.kernel(raw) @ self.weight
        return scores


@dataclass(frozen=True, slots=True)
class Headlines:
    """The task, over read headlines: ``vectors`` (texts, layers, d), ``styles`` (texts, s)."""

    texts: Mapping[str, int]
    vectors: Floats
    styles: Floats
    process: Process = Process()

    METRIC = "clicked"
    BATCH_BY = "user"
    ABOUT = "item"

    def start(self, base: str, data: Dataset, seed: int) -> Scores:
        """The process given all rows of ``data.train``; nothing is drawn from ``seed``."""
        rows = data.train
        tests = rows["user"].combine_chunks().dictionary_encode().indices.to_numpy()
        clicks = rows["weight"].to_numpy()
        shown, images, several = np.array(rows["features"].to_pylist()).T
        inputs = rows["input"].to_pylist()
        names = sorted(set(inputs))
        place = {name: number for number, name in enumerate(names)}
        at = np.array([place[name] for name in inputs])
        raw = self._read(names)
        model = Scores(self.process, raw, raw.shape[1] - self.styles.shape[1])
        with torch.inference_mode():
            near = model.kernel(raw).numpy()
        covariance = near[np.ix_(at, at)]
        covariance += np.float32(TEST_VARIANCE) * (tests[:, None] == tests[None])
        noise = 1 / (clicks + 0.5) + self.process.noise + self.process.image * several / images
        covariance[np.diag_indices(len(at))] += noise
        rate = np.log((clicks + 0.5) / (shown + 1))
        factor = cho_factor(covariance, lower=True, overwrite_a=True, check_finite=False)
        solved = cho_solve(factor, (rate - rate.mean()).astype(np.float32), check_finite=False)
        weight = np.bincount(at, solved, len(names)).astype(np.float32)
        model.weight.data.copy_(torch.from_numpy(weight))
        return model

    def collate(self, model: Scores, rows: pa.Table) -> dict[str, Tensor]:
        """Vectors ``x`` (n, d), the test's number and the log of the impressions, each (n,)."""
        tests = rows["user"].combine_chunks().dictionary_encode().indices.to_numpy()
        shown = np.array(rows["features"].to_pylist())[:, 0]
        return {
            "x": self._read(rows["input"].to_pylist()),
            "test": torch.from_numpy(tests.astype(np.int64)),
            "log_shown": torch.from_numpy(np.log(shown)).float(),
        }

    def log_prob(self, model: Scores, batch: Mapping[str, Tensor]) -> Tensor:
        """(n,) log-probabilities that a click in the row's test falls on the row's headline."""
        score = model(batch["x"]) + batch["log_shown"]
        tests = int(batch["test"].max()) + 1
        # One shift for all keeps the sums in range: scores differ by little.
        total = torch.zeros(tests).index_add(0, batch["test"], (score - score.max()).exp())
        found: Tensor = score - score.max() - total.log()[batch["test"]]
        return found

    def _read(self, inputs: Sequence[str]) -> Tensor:
        """(n, layers · d + s): each layer at length 1, side by side, and the style."""
        chosen = [self.texts[text] for text in inputs]
        found = self.vectors[chosen][:, list(self.process.layers)]
        found = found / np.linalg.norm(found, axis=2, keepdims=True)
        flat = found.reshape(len(inputs), -1)
        return torch.from_numpy(np.concatenate([flat, self.styles[chosen]], axis=1))


def encode(texts: Sequence[str], base: str = _encoder.MINILM) -> Floats:
    """(n, layers, d) mean-pooled outputs of every layer of the encoder, embeddings first."""
    model = _encoder.encoder(base, 0)
    ids = _encoder.tokens(model, texts, LONGEST)
    order = sorted(range(len(texts)), key=lambda place: len(ids[place]))
    found: list[Floats | None] = [None] * len(texts)
    with torch.inference_mode():
        for start in range(0, len(order), AT_ONCE):
            places = order[start : start + AT_ONCE]
            padded, mask = _encoder.pad([ids[place] for place in places])
            said = model.body(input_ids=padded, attention_mask=mask, output_hidden_states=True)
            pooled = [_encoder.mean_pool(hidden, mask) for hidden in said.hidden_states]
            for place, vectors in zip(places, torch.stack(pooled, dim=1).numpy(), strict=True):
                found[place] = vectors
    return np.stack([vectors for vectors in found if vectors is not None])


def data_file(folder: Path) -> Path:
    """Where the tests lie."""
    return folder / "upworthy-ab" / "packages.parquet"

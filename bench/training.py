"""Upwell's trainer beside transformers' own: examples a second on the same model, data and machine.

The model is MiniLM with ``BertForSequenceClassification``'s head and the same weights for all, the
data are SST-2's sentences, tokenised before any clock runs; batch, epochs, peak learning rate,
seed and number of threads (one) are the same. Timed is the whole of ``train`` (planning, collating,
diagnostics, steps, averages) against the whole of ``Trainer.train``. Three ways to train:

* ``upwell``: its settings as they are.
* ``trainer``: ``TrainingArguments`` as they are: fp32, rows in random order, each batch padded to
  its longest row by the default collator of a trainer that has a tokenizer, fused AdamW.
* ``trainer, best``: also bf16 and ``group_by_length``.

They take turns, in another order each time, and a ratio is taken within a turn: whatever else the
machine does is then in both. Ratios by CPU seconds are told beside those by the clock.
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from bench.datasets import data_folder
from bench.rows import Row, publish
from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import train
from upwell.tables import Dataset
from upwell.tasks import _encoder

BATCH, RATE, LONGEST = 32, 1e-4, 128
WAYS = ("upwell", "trainer", "trainer, best")
TARGETS = {"trainer": 1.5, "trainer, best": 1.0}
MARGIN = 0.02
"""Accuracies closer than this are equal: less cannot be told with so few test rows."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Sentences as tokens, with their classes."""

    tokens: list[list[int]]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, slots=True)
class Run:
    """One training: its seconds by the clock and of the CPU, and which test rows it got right."""

    seconds: float
    cpu: float
    right: NDArray[np.float64]


class Classifier:
    """The model as one of Upwell's tasks; inputs are tokens written as JSON."""

    METRIC = "accuracy"
    BATCH_BY = "row"
    ABOUT = "answer"

    def collate(self, model: Any, rows: pa.Table) -> Mapping[str, Tensor]:
        """Tokens padded to the longest row, their mask and the classes."""
        ids, mask = _padded([json.loads(text) for text in rows["input"].to_pylist()])
        target = torch.tensor([int(text) for text in rows["target"].to_pylist()])
        return {"ids": ids, "mask": mask, "target": target}

    def log_prob(self, model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        """(n,) log-probability of each row's class."""
        scores: Tensor = model(batch["ids"], batch["mask"]).logits.float().log_softmax(-1)
        return scores.gather(1, batch["target"][:, None])[:, 0]


def main() -> None:
    """Train in turns, compare, and print the table."""
    parse = argparse.ArgumentParser()
    parse.add_argument("--rows", type=int, default=2048)
    parse.add_argument("--epochs", type=int, default=1)
    parse.add_argument("--repeats", type=int, default=4)
    parse.add_argument("--test", type=int, default=1821, help="rows that accuracy is taken on")
    asked = parse.parse_args()
    torch.set_num_threads(1)
    train_rows, test_rows = _sentences(asked.rows, asked.test)
    start = {name: tensor.clone() for name, tensor in _model(0).state_dict().items()}
    runs: dict[str, list[Run]] = {way: [] for way in WAYS}
    ways: dict[str, Callable[[nn.Module, Texts, int, int], None]] = {
        "upwell": _upwell,
        "trainer": _trainer,
        "trainer, best": _best,
    }
    for way in WAYS:
        _timed(ways[way], start, _few(train_rows, BATCH), _few(test_rows, BATCH), 1, 0)
    for turn in range(asked.repeats):
        for way in np.random.default_rng(turn).permutation(WAYS):
            run = _timed(ways[way], start, train_rows, test_rows, asked.epochs, turn)
            runs[str(way)].append(run)
            print(f"{turn} {way}: {run.seconds:.1f} s, CPU {run.cpu:.1f} s, {run.right.mean():.4f}")
    publish("training", _rows(runs, asked.rows * asked.epochs))


def _timed(
    way: Callable[[nn.Module, Texts, int, int], None],
    start: Mapping[str, Tensor],
    rows: Texts,
    test: Texts,
    epochs: int,
    seed: int,
) -> Run:
    model = _model(0)
    model.load_state_dict(dict(start))
    gc.collect()
    began, cpu = perf_counter(), process_time()
    way(model, rows, epochs, seed)
    seconds, used = perf_counter() - began, process_time() - cpu
    return Run(seconds, used, _right(model, test))


def _upwell(model: nn.Module, rows: Texts, epochs: int, seed: int) -> None:
    settings = TuneSettings(
        epochs=epochs, patience=epochs, batch_rows=BATCH, learning_rate=RATE, seed=seed
    )
    table = pa.table(
        {
            "id": [f"r{number}" for number in range(len(rows))],
            "input": [json.dumps(ids) for ids in rows.tokens],
            "target": [str(label) for label in rows.label],
            "sign": pa.nulls(len(rows), pa.int64()),
            "weight": np.ones(len(rows)),
            "reliability": np.ones(len(rows)),
            "propensity": pa.nulls(len(rows), pa.float64()),
        }
    )
    task: Any = Classifier()
    train(
        task, model, Dataset(table, table.slice(0, 0), table.slice(0, 0), pa.table({})), settings,
        label_share=1.0, seed=seed,
    )  # fmt: skip


def _trainer(model: nn.Module, rows: Texts, epochs: int, seed: int, **more: Any) -> None:
    from transformers import Trainer, TrainingArguments

    data = [
        {"input_ids": ids, "labels": int(label)}
        for ids, label in zip(rows.tokens, rows.label, strict=True)
    ]
    with TemporaryDirectory() as folder:
        settings = TrainingArguments(
            folder, per_device_train_batch_size=BATCH, learning_rate=RATE, num_train_epochs=epochs,
            seed=seed, use_cpu=True, save_strategy="no", report_to="none", disable_tqdm=True,
            dataloader_pin_memory=False, **more,
        )  # fmt: skip
        Trainer(model, settings, train_dataset=data, processing_class=_tokenizer()).train()


def _best(model: nn.Module, rows: Texts, epochs: int, seed: int) -> None:
    _trainer(model, rows, epochs, seed, bf16=True, train_sampling_strategy="group_by_length")


def _rows(runs: Mapping[str, Sequence[Run]], examples: int) -> list[Row]:
    rows = []
    for way in WAYS:
        speeds = [examples / run.seconds for run in runs[way]]
        rows.append(Row(f"{way}: examples/s", *_interval(speeds)))
        right = np.concatenate([run.right for run in runs[way]])
        rows.append(Row(f"{way}: accuracy", *_interval(right)))
    for way, target in TARGETS.items():
        ours, theirs = runs["upwell"], runs[way]
        clock = _ratio([b.seconds / a.seconds for a, b in zip(ours, theirs, strict=True)])
        words = f"at least {target}" if target != 1 else "not below 1"
        rows.append(Row(f"speed: upwell / {way}", *clock, words, clock[0] >= target))
        cpu = _ratio([b.cpu / a.cpu for a, b in zip(ours, theirs, strict=True)])
        rows.append(Row(f"speed by CPU seconds: upwell / {way}", *cpu))
        # A test row counts once, however many trainings answered it.
        ahead = np.mean([a.right - b.right for a, b in zip(ours, theirs, strict=True)], axis=0)
        gain = _interval(ahead)
        words = f"equal: interval above -{MARGIN}"
        rows.append(Row(f"accuracy: upwell - {way}", *gain, words, gain[1] > -MARGIN))
    return rows


def _interval(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean with its 95 % interval by Student's t."""
    mean, n = float(np.mean(values)), len(values)
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5) if n > 1 else np.nan
    return mean, mean - half, mean + half


def _ratio(ratios: Sequence[float]) -> tuple[float, float, float]:
    """Geometric mean with its 95 % interval."""
    middle, low, high = np.exp(_interval(np.log(ratios)))
    return float(middle), float(low), float(high)


def _right(model: Any, test: Texts) -> NDArray[np.float64]:
    """(n,) 1 where the most probable class is the right one."""
    right = np.zeros(len(test))
    order = np.argsort([len(ids) for ids in test.tokens], kind="stable")
    model.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for places in np.split(order, range(64, len(order), 64)):
            ids, mask = _padded([test.tokens[place] for place in places])
            right[places] = model(ids, mask).logits.argmax(-1).numpy() == test.label[places]
    return right


def _padded(tokens: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    return _encoder.pad([np.asarray(ids, np.int32) for ids in tokens])


def _sentences(rows: int, test: int) -> tuple[Texts, Texts]:
    """The first ``rows`` training rows and ``test`` test rows in a fixed random order."""
    table = pq.read_table(data_folder() / "text-en" / "text_en.parquet")
    table = table.filter(pc.equal(table["set"], "sst2"))
    parts = []
    for split, count in (("train", rows), ("test", test)):
        part = table.filter(pc.equal(table["split"], split))
        ids = _tokenizer()(part["text"].to_pylist(), truncation=True, max_length=LONGEST)
        label = np.asarray([int(text) for text in part["label"].to_pylist()])
        order = np.random.default_rng(0).permutation(len(label))[:count]
        parts.append(Texts([ids["input_ids"][place] for place in order], label[order]))
    return parts[0], parts[1]


def _few(rows: Texts, count: int) -> Texts:
    return Texts(rows.tokens[:count], rows.label[:count])


def _tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(_encoder.home(_encoder.MINILM))


def _model(seed: int) -> Any:
    from transformers import AutoModelForSequenceClassification
    from transformers.utils import logging

    quiet: Any = logging
    quiet.set_verbosity_error()
    quiet.disable_progress_bar()
    torch.manual_seed(seed)
    home = Path(_encoder.home(_encoder.MINILM))
    return AutoModelForSequenceClassification.from_pretrained(
        home, num_labels=2, dtype=torch.float32
    )


if __name__ == "__main__":
    main()

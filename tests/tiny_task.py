"""Two tiny tasks to test the loop with: bags of hashed words to a class, and stars of items.

Each is a task in itself (``ANSWER``, ``VALUE``), as a module would be.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast

import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from upwell import plugins
from upwell.records import Example
from upwell.tables import Dataset, to_table

DAY = datetime(2024, 1, 1, tzinfo=UTC)
WORDS = 64


class Net(nn.Module):
    """Log-probabilities of the labels from counts of hashed words."""

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__()
        self.labels = list(labels)
        self.layer = nn.Linear(WORDS, len(self.labels))
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.layer(inputs).log_softmax(1)
        return found


def row(n: int, part: str, input: str, target: str, sign: int | None) -> Example:
    at = DAY + timedelta(hours=n)
    return Example(
        f"{part}{n}", f"u{n % 8}", "tiny", input, target, sign, 1.0, 1.0, None, "", at, ()
    )


@dataclass(frozen=True)
class Tiny:
    """A task over ``words``, each of which belongs to one of the ``labels``."""

    ABOUT: Literal["item", "answer", "value"]
    labels: tuple[str, ...]
    words: tuple[str, ...]
    METRIC: str = "accuracy"
    BATCH_BY: Literal["row", "user"] = "row"

    def toy(self, seed: int) -> Dataset:
        """Texts of one telling word; every fourth row is a −1 on a wrong label."""
        parts = []
        for part, size in (("train", 48), ("validation", 16), ("test", 16)):
            rows = []
            for n in range(size):
                place = (n + seed) % len(self.words)
                right = self.labels[place % len(self.labels)]
                wrong = self.labels[(place + 1) % len(self.labels)]
                text = self.words[place]
                asked = text if self.ABOUT == "value" else f"{text} {part} {seed} {n}"
                sign = -1 if n % 4 == 3 else None
                rows.append(row(n, part, asked, wrong if sign else right, sign))
            parts.append(to_table(Example, rows))
        empty = pa.table({"item": pa.array([], pa.string()), "text": pa.array([], pa.string())})
        train, validation, test = parts
        return Dataset(train, validation, test, empty)

    def start(self, base: str, data: Dataset, seed: int) -> Net:
        torch.manual_seed(seed)
        known = {t for t, s in zip(*columns(data.train, "target", "sign"), strict=True) if s != -1}
        return Net(sorted(known or set(self.labels)))

    def load(self, folder: Path) -> Net:
        found = Net(json.loads((folder / "config.json").read_text(encoding="utf-8"))["labels"])
        found.load_state_dict(load_file(folder / "model.safetensors"))
        return found

    def save(self, model: Net, folder: Path) -> None:
        config = json.dumps({"labels": model.labels})
        (folder / "config.json").write_text(config, encoding="utf-8")
        save_file(model.state_dict(), folder / "model.safetensors")

    def collate(self, model: Net, rows: pa.Table) -> Mapping[str, Tensor]:
        (targets,) = columns(rows, "target")
        places = [model.labels.index(t) if t in model.labels else -1 for t in targets]
        return {"inputs": bags(rows), "target": torch.tensor(places, dtype=torch.long)}

    def log_prob(self, model: Net, batch: Mapping[str, Tensor]) -> Tensor:
        found = model(batch["inputs"])
        chosen = found.gather(1, batch["target"].clamp(min=0)[:, None])[:, 0]
        return torch.where(batch["target"] < 0, torch.full_like(chosen, -14.0), chosen)

    def answer(self, model: Net, inputs: pa.Table, k: int) -> pa.Table:
        with torch.no_grad():
            found = model(bags(inputs)).exp().sort(dim=1, descending=True, stable=True)
        size = min(k, len(model.labels))
        texts, numbers = pa.list_(pa.string()), pa.list_(pa.float64())
        output = [[model.labels[p] for p in row[:size]] for row in found.indices.tolist()]
        score = [row[:size] for row in found.values.tolist()]
        reason = [["answer.no_input\t"] * size for _ in output]
        return pa.table(
            {"output": pa.array(output, texts), "score": pa.array(score, numbers),
             "reason": pa.array(reason, texts)}
        )  # fmt: skip

    def mark(self, rows: pa.Table, answers: pa.Table) -> pa.Table:
        (targets,), (said,) = columns(rows, "target"), columns(answers, "output")
        right = [float(s[:1] == [t]) for s, t in zip(said, targets, strict=True)]
        return pa.table({"accuracy": pa.array(right, pa.float64())})


def columns(table: pa.Table, *names: str) -> list[list[Any]]:
    return [table[name].to_pylist() for name in names]


def bags(rows: pa.Table) -> Tensor:
    """(n, WORDS) counts of hashed words."""
    found = torch.zeros(rows.num_rows, WORDS)
    for place, text in enumerate(rows["input"].to_pylist()):
        for word in text.split():
            found[place, zlib.crc32(word.encode()) % WORDS] += 1.0
    return found


ANSWER = Tiny("answer", ("fruit", "metal"), ("apple", "iron", "pear", "zinc", "plum", "gold"))
VALUE = Tiny("value", ("1.0", "5.0"), tuple(f"item{n}" for n in range(6)))


def install(patch: pytest.MonkeyPatch) -> None:
    """Let discovery find ``tiny_answer`` and ``tiny_value`` as it finds another package's tasks."""
    real, mine = plugins.locations, {"tiny_answer": ANSWER, "tiny_value": VALUE}
    for name, task in mine.items():
        patch.setitem(sys.modules, f"found_{name}", cast("ModuleType", task))
    found = {name: f"found_{name}" for name in mine}
    patch.setattr(
        plugins, "locations", lambda kind: {**real(kind), **(found if kind == "tasks" else {})}
    )

"""The promises of tasks hold for an honest task, and each catches the bug it is there for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from upwell.checks import Promise, promises, tasks
from upwell.errors import PluginError
from upwell.ports import Task
from upwell.records import Example
from upwell.settings import TuneSettings
from upwell.tables import Dataset, to_table

COLOURS = ("blue", "green", "red", "white")
START = datetime(2026, 1, 1, tzinfo=UTC)


class HonestTask:
    """The smallest task that keeps every promise: which of four colours a word stands for."""

    METRIC = "accuracy"
    BATCH_BY: Literal["row", "user"] = "row"
    ABOUT: Literal["item", "answer", "value"] = "answer"

    def toy(self, seed: int) -> Dataset:
        order = np.random.default_rng(seed).permutation(48)
        rows = to_table(Example, [_row(int(number)) for number in order])
        return Dataset(
            rows.slice(0, 32), rows.slice(32, 8), rows.slice(40), pa.table({"item": COLOURS})
        )

    def start(self, base: str, data: Dataset, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Embedding(len(COLOURS), len(COLOURS))

    def load(self, folder: Path) -> nn.Module:
        model = nn.Embedding(len(COLOURS), len(COLOURS))
        model.load_state_dict(load_file(folder / "model.safetensors"))
        return model.eval()

    def save(self, model: nn.Module, folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps({"colours": COLOURS}), encoding="utf-8")
        save_file(model.state_dict(), folder / "model.safetensors")

    def collate(self, model: nn.Module, rows: pa.Table) -> Mapping[str, Tensor]:
        words = [int(text) for text in rows["input"].to_pylist()]
        targets = [COLOURS.index(text) for text in rows["target"].to_pylist()]
        return {"word": torch.tensor(words, dtype=torch.long), "target": torch.tensor(targets)}

    def log_prob(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        known: Tensor = model(batch["word"]).log_softmax(-1)
        return known.gather(1, batch["target"][:, None])[:, 0]

    def answer(self, model: nn.Module, inputs: pa.Table, k: int) -> pa.Table:
        words = torch.tensor([int(text) for text in inputs["input"].to_pylist()], dtype=torch.long)
        with torch.no_grad():
            best = model(words).softmax(-1).topk(k)
        shown = [[COLOURS[place] for place in row] for row in best.indices.tolist()]
        why = [["cli.row\t1"] * k for _ in shown]
        return answers(shown, best.values.tolist(), why)

    def mark(self, rows: pa.Table, answers: pa.Table) -> pa.Table:
        pairs = zip(rows["target"].to_pylist(), answers["output"].to_pylist(), strict=True)
        hits = [float(shown[0] == target) for target, shown in pairs]
        return pa.table({"accuracy": pa.array(hits, pa.float64())})

    def baselines(self, data: Dataset, rows: pa.Table, k: int) -> Mapping[str, pa.Table]:
        n = rows.num_rows
        return {"always": answers([["red"]] * n, [[1.0]] * n, [["cli.row\t1"]] * n)}


def answers(output: list[list[str]], score: list[list[float]], why: list[list[str]]) -> pa.Table:
    return pa.table(
        {
            "output": pa.array(output, pa.list_(pa.string())),
            "score": pa.array(score, pa.list_(pa.float64())),
            "reason": pa.array(why, pa.list_(pa.string())),
        }
    )


def _row(number: int) -> Example:
    word = number % len(COLOURS)
    return Example(
        id=f"e{number}",
        user=f"u{number % 5}",
        task="honest",
        input=str(word),
        target=COLOURS[word],
        sign=None,
        weight=1.0,
        reliability=1.0,
        propensity=None,
        group="",
        at=START + timedelta(hours=number),
        sources=(f"toy/{number}",),
    )


@pytest.mark.parametrize("promise", promises("tasks"))
def test_an_honest_task_keeps_every_promise(promise: Promise, tmp_path: Path) -> None:
    promise(HonestTask(), tmp_path)


class Leaky(HonestTask):
    def toy(self, seed: int) -> Dataset:
        toy = super().toy(seed)
        return Dataset(toy.train, toy.validation, toy.train, toy.items)


class Moody(HonestTask):
    calls = 0

    def toy(self, seed: int) -> Dataset:
        self.calls += 1
        return super().toy(self.calls)


class Positive(HonestTask):
    def log_prob(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        return -super().log_prob(model, batch)


class Square(HonestTask):
    def log_prob(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        return super().log_prob(model, batch)[:, None]


class Deaf(HonestTask):
    def log_prob(self, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
        return 0.0 * super().log_prob(model, batch) - 1.0


class Forgetful(HonestTask):
    def load(self, folder: Path) -> nn.Module:
        model = super().load(folder)
        with torch.no_grad():
            for weights in model.parameters():
                weights.mul_(0.5)
        return model


class Pickler(HonestTask):
    def save(self, model: nn.Module, folder: Path) -> None:
        super().save(model, folder)
        torch.save(model.state_dict(), folder / "model.pt")


class Rising(HonestTask):
    def answer(self, model: nn.Module, inputs: pa.Table, k: int) -> pa.Table:
        said = super().answer(model, inputs, k)
        turned = [row[::-1] for row in said["score"].to_pylist()]
        return said.set_column(1, "score", pa.array(turned))


class Mute(HonestTask):
    def answer(self, model: nn.Module, inputs: pa.Table, k: int) -> pa.Table:
        said = super().answer(model, inputs, k)
        return said.set_column(2, "reason", pa.array([["because\t"] * k] * said.num_rows))


class Fickle(HonestTask):
    def answer(self, model: nn.Module, inputs: pa.Table, k: int) -> pa.Table:
        said = super().answer(model, inputs, k)
        turned = [row[::-1] if k > 2 else row for row in said["output"].to_pylist()]
        return said.set_column(0, "output", pa.array(turned))


class Sociable(HonestTask):
    def answer(self, model: nn.Module, inputs: pa.Table, k: int) -> pa.Table:
        first = inputs.num_rows % len(COLOURS)
        shown = [[*COLOURS, *COLOURS][first : first + k]] * inputs.num_rows
        return super().answer(model, inputs, k).set_column(0, "output", pa.array(shown))


class Unmarked(HonestTask):
    def mark(self, rows: pa.Table, answers: pa.Table) -> pa.Table:
        return pa.table({"accuracy": np.full(rows.num_rows, np.nan)})


class Contrary(HonestTask):
    def mark(self, rows: pa.Table, answers: pa.Table) -> pa.Table:
        return pa.table({"accuracy": -np.asarray(super().mark(rows, answers)["accuracy"])})


class Secretive(HonestTask):
    def adapt(self, model: nn.Module, data: Dataset, settings: TuneSettings) -> TuneSettings:
        return settings.model_copy(update={"epochs": 9})


class Eager(HonestTask):
    def answer(self, model: nn.Module, inputs: pa.Table, k: int) -> pa.Table:
        said = super().answer(model, inputs, k)
        return said if said.num_rows else answers([["red"]], [[1.0]], [["cli.row\t1"]])


class Boastful(HonestTask):
    def baselines(self, data: Dataset, rows: pa.Table, k: int) -> Mapping[str, pa.Table]:
        return {"champion": super().baselines(data, rows, k)["always"]}


class Stubborn(HonestTask):
    def corrected(self, shown: str, right: str) -> str:
        return shown


@pytest.mark.parametrize(
    ("promise", "task"),
    [
        (tasks.toy_is_examples, Leaky()),
        (tasks.toy_follows_the_seed, Moody()),
        (tasks.log_prob_is_a_log_probability, Positive()),
        (tasks.log_prob_is_a_log_probability, Square()),
        (tasks.toy_can_be_learned, Deaf()),
        (tasks.what_is_saved_is_what_is_loaded, Forgetful()),
        (tasks.saved_files_hold_no_code, Pickler()),
        (tasks.answers_are_ranked, Rising()),
        (tasks.reasons_are_words, Mute()),
        (tasks.fewer_answers_are_the_first_of_more, Fickle()),
        (tasks.answers_do_not_depend_on_company, Sociable()),
        (tasks.marks_are_aligned, Unmarked()),
        (tasks.the_right_answer_marks_best, Contrary()),
        (tasks.nothing_in_nothing_out, Eager()),
        (tasks.baselines_are_answers, Boastful()),
        (tasks.what_a_correction_teaches_is_right, Stubborn()),
        (tasks.what_it_chooses_is_named, Secretive()),
    ],
)
def test_a_promise_catches_its_bug(
    promise: Callable[[Task, Path], None], task: Task, tmp_path: Path
) -> None:
    with pytest.raises(PluginError) as caught:
        promise(task, tmp_path)
    assert caught.value.code == "check.broken"
    assert str(caught.value.details["found"])


def test_an_undeclared_batching_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(HonestTask, "BATCH_BY", "column")
    with pytest.raises(PluginError, match="column"):
        tasks.batches_are_declared(HonestTask(), tmp_path)

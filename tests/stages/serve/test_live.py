from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event as Flag
from time import perf_counter, sleep
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import Tensor, nn

from upwell.errors import StageError, StoreError
from upwell.stages.serve.live import KEPT, Live
from upwell.tables import Dataset

ASKED = pa.table({"input": ["a", "b"]})


class Named(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Echo:
    """Answers with the name of its model; a folder called ``broken`` cannot be loaded."""

    METRIC = "hit"
    BATCH_BY: Literal["row", "user"] = "row"
    ABOUT: Literal["item", "answer", "value"] = "answer"
    loads = 0

    def toy(self, seed: int) -> Dataset:
        return Dataset(ASKED, ASKED, ASKED, pa.table({}))

    def start(self, base: str, data: Dataset, seed: int) -> Named:
        return Named(base)

    def load(self, folder: Path) -> Named:
        self.loads += 1
        if folder.name == "broken":
            raise StoreError("settings.no_project", folder=folder, file="model.safetensors")
        sleep(0.001)
        return Named(folder.name)

    def save(self, model: Named, folder: Path) -> None:
        (folder / "config.json").write_text("{}", encoding="utf-8")

    def collate(self, model: Named, rows: pa.Table) -> Mapping[str, Tensor]:
        return {"rows": torch.zeros(rows.num_rows)}

    def log_prob(self, model: Named, batch: Mapping[str, Tensor]) -> Tensor:
        return batch["rows"]

    def answer(self, model: Named, inputs: pa.Table, k: int) -> pa.Table:
        first = model.name
        sleep(0.0005)
        outputs = [[first, model.name]] * inputs.num_rows
        n = inputs.num_rows
        return pa.table({"output": outputs, "score": [[0.5, 0.5]] * n, "reason": [["", ""]] * n})

    def mark(self, rows: pa.Table, answers: pa.Table) -> pa.Table:
        return pa.table({"hit": [0.0] * rows.num_rows})


def ask(live: Live) -> tuple[str, list[list[str]]]:
    version, table = live.answer(ASKED, 2, 0.0, np.random.default_rng(0))
    return version, table["output"].to_pylist()


def test_before_the_first_champion_there_is_no_answer() -> None:
    live = Live(Echo())
    assert live.version is None
    with pytest.raises(StageError, match=r"serve\.no_champion"):
        ask(live)


def test_what_was_loaded_serves_from_the_next_answer_on() -> None:
    live = Live(Echo())
    live.serve("m-1", Path("m-1"))
    assert ask(live) == ("m-1", [["m-1", "m-1"]] * 2)
    live.serve("m-2", Path("m-2"))
    assert live.version == "m-2"
    assert ask(live) == ("m-2", [["m-2", "m-2"]] * 2)


def test_the_version_that_serves_is_not_loaded_again() -> None:
    task = Echo()
    live = Live(task)
    live.serve("m-1", Path("m-1"))
    live.serve("m-1", Path("m-1"))
    assert task.loads == 1


def test_a_version_that_cannot_be_loaded_changes_nothing() -> None:
    live = Live(Echo())
    live.serve("m-1", Path("m-1"))
    with pytest.raises(StoreError):
        live.serve("m-2", Path("broken"))
    assert ask(live)[0] == "m-1"


def test_flips_under_load_fail_no_answer_and_each_names_one_version() -> None:
    """More versions than are held ready, so that every flip loads one while answers go on."""
    live, done = Live(Echo()), Flag()
    live.serve("m-0", Path("m-0"))
    versions = [f"m-{n}" for n in range(KEPT + 2)]

    def asks() -> list[tuple[str, list[list[str]]]]:
        found = []
        while not done.is_set():
            found.append(ask(live))
        return found

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(asks) for _ in range(4)]
        started = perf_counter()
        for flip in range(100):
            version = versions[flip % len(versions)]
            live.serve(version, Path(version))
            sleep(0.002)
        took = perf_counter() - started
        done.set()
        answers = [answer for future in asking for answer in future.result()]
    assert {version for version, _ in answers} == set(versions)
    assert all(outputs == [[version] * 2] * 2 for version, outputs in answers)
    assert took < 100.0


def test_going_back_to_a_version_that_is_held_loads_nothing() -> None:
    task = Echo()
    live = Live(task)
    for number in range(KEPT):
        live.serve(f"m-{number}", Path(f"m-{number}"))
    for number in range(KEPT):
        live.serve(f"m-{number}", Path("broken"))
        assert ask(live)[0] == f"m-{number}"
    assert task.loads == KEPT
    live.serve("m-9", Path("m-9"))
    assert not live.holds("m-0")
    assert live.holds(f"m-{KEPT - 1}")


def test_a_version_that_was_taken_stays_whole_whatever_is_swapped(tmp_path: Path) -> None:
    task = Echo()
    live = Live(task)
    assert live.held("v0") is None
    taken = live.taken("v0", tmp_path / "v0")
    assert live.taken("v0", tmp_path / "broken") is taken is live.held("v0")
    for n in range(1, KEPT + 2):
        live.serve(f"v{n}", tmp_path / f"v{n}")
    assert live.held("v0") is None
    assert (taken.version, str(taken.model.name), task.loads) == ("v0", "v0", KEPT + 2)

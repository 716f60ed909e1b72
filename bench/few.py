"""Eight labels a class: Upwell's text classification beside SetFit, in one run.

Banking77 (77 intents) and TREC (6 kinds of question), the same shots of the training part, the
same MiniLM folder, the official test. SetFit runs by its documented defaults. On Banking77 these
would be some 375,000 pairs of texts (a day on one core), so there it is given ``num_iterations``
= 20, the number of its paper (Tunstall et al. 2022). Both use one thread. Intervals are paired
bootstraps over the test's texts, the means of the seeds; how many there were stands in each name.
The runs are kept in ``results/few-runs.json``, so that one set can be run again alone.

``python -m bench.few [--sets trec,banking77] [--seeds 3]``
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from pyarrow import compute as pc
from pyarrow import parquet as pq

from bench import protocol
from bench.peers import own
from bench.rows import RESULTS, Row, publish
from upwell.records import Example
from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import train
from upwell.tables import Dataset, schema
from upwell.tasks import _encoder, text_classification

Floats = npt.NDArray[np.float64]

SHOTS = 8
FILES = {
    "trec": ("text-en/text_en.parquet", "trec6"),
    "banking77": ("intents-en/intents.parquet", "banking77"),
}
OPTIONS: Mapping[str, Mapping[str, int]] = {"trec": {}, "banking77": {"num_iterations": 20}}
SEEDS: Mapping[str, int] = {"trec": 3, "banking77": 1}
"""SetFit takes about two CPU minutes a seed on TREC, and half an hour on Banking77."""
RUNS = RESULTS / "few-runs.json"
DATA = Path(os.environ.get("UPWELL_DATA") or Path(__file__).parents[2] / "shared" / "data")
_SCRIPT = Path(__file__).parent / "peers" / "run_setfit.py"
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True, slots=True)
class Mark:
    """What a method earned: right (m,) on the test's texts, and its training time."""

    right: Floats
    seconds: float
    cpu_seconds: float


def rows_of(name: str) -> pa.Table:
    """Columns ``split``, ``text`` and ``label`` of a set."""
    file, of = FILES[name]
    rows = pq.read_table(DATA / file)
    chosen = rows.filter(pc.equal(rows["set"], of))
    return chosen.set_column(
        chosen.schema.get_field_index("label"), "label", chosen["label"].cast(pa.string())
    )


def drawn(rows: pa.Table, seed: int) -> tuple[pa.Table, pa.Table]:
    """``SHOTS`` training rows of each class, and the official test."""
    train_rows = rows.filter(pc.equal(rows["split"], "train"))
    labels = np.asarray(train_rows["label"].to_pylist())
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(np.flatnonzero(labels == one))[:SHOTS] for one in np.unique(labels)]
    return train_rows.take(pa.array(np.concatenate(chosen))), rows.filter(
        pc.equal(rows["split"], "test")
    )


def examples(rows: pa.Table, part: str) -> pa.Table:
    """Labelled rows with the Example schema."""
    fixed: dict[str, object] = {
        "task": "text_classification", "sign": None, "weight": 1.0, "reliability": 1.0,
        "propensity": None, "group": "", "at": 0, "sources": [], "features": [],
    }  # fmt: skip
    listed = [
        {"id": f"{part}-{n}", "user": f"{part}-{n}", "input": row["text"], "target": row["label"]}
        | fixed
        for n, row in enumerate(rows.to_pylist())
    ]
    return pa.Table.from_pylist(listed, schema(Example))


def upwell(shots: pa.Table, test: pa.Table, seed: int) -> Mark:
    """Upwell's task by its own choices; nothing is held out of so few rows."""
    learned, asked = examples(shots, "train"), examples(test, "test")
    items = pa.table({"item": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    data = Dataset(learned, learned.slice(0, 0), asked, items)
    began, cpu = time.perf_counter(), time.process_time()
    model = text_classification.start("minilm", data, seed)
    settings = text_classification.adapt(model, data, TuneSettings())
    train(text_classification, model, data, settings, label_share=1.0, seed=seed)
    took, spent = time.perf_counter() - began, time.process_time() - cpu
    marks = text_classification.mark(asked, text_classification.answer(model, asked, 1))
    return Mark(np.asarray(marks["accuracy"], np.float64), took, spent)


def setfit(name: str, shots: pa.Table, test: pa.Table, seed: int) -> Mark:
    """SetFit on the same shots, in an environment of its own."""
    classes = sorted(set(shots["label"].to_pylist()))
    number = {label: place for place, label in enumerate(classes)}
    request = {
        "model": _encoder.home("minilm"), "seed": seed, "options": OPTIONS[name],
        "texts": shots["text"].to_pylist(), "asked": test["text"].to_pylist(),
        "labels": [number[label] for label in shots["label"].to_pylist()],
    }  # fmt: skip
    with TemporaryDirectory(prefix="upwell-setfit-") as folder:
        (Path(folder) / "request.json").write_text(json.dumps(request), encoding="utf-8")
        subprocess.run(
            [own.interpreter("setfit", ["setfit==1.2.0"], "setfit"), _SCRIPT, folder],
            env=os.environ | _ONE_THREAD, check=True, capture_output=True,
        )  # fmt: skip
        told = json.loads((Path(folder) / "answer.json").read_text(encoding="utf-8"))
    wanted = np.array([number[label] for label in test["label"].to_pylist()])
    right = (np.asarray(told["found"]) == wanted).astype(np.float64)
    return Mark(right, told["seconds"], told["cpu_seconds"])


def compared(name: str, ours: list[Mark], theirs: list[Mark]) -> list[Row]:
    """Accuracies, the paired difference with its interval, and training times of one set."""
    mine, other = (np.mean([mark.right for mark in marks], axis=0) for marks in (ours, theirs))
    gain = protocol.paired_interval(mine, other, 0)
    label = f"{name} {SHOTS} a class, {len(ours)} seed{'s' if len(ours) > 1 else ''}"
    rows = [
        Row(f"{label}, upwell accuracy", float(mine.mean())),
        Row(f"{label}, setfit accuracy", float(other.mean())),
        Row(
            f"{label}, gain over setfit", gain.gain, gain.low, gain.high,
            "at least 0", gain.gain >= 0,
        ),
    ]  # fmt: skip
    for method, marks in (("upwell", ours), ("setfit", theirs)):
        spent = float(np.median([mark.cpu_seconds for mark in marks]))
        rows.append(Row(f"{label}, {method} training, CPU s", spent))
    return rows


def run(name: str, seeds: int) -> dict[str, list[Mark]]:
    """Both methods on the same shots of a set, seed by seed."""
    table = rows_of(name)
    marks: dict[str, list[Mark]] = {"upwell": [], "setfit": []}
    for seed in range(seeds):
        shots, test = drawn(table, seed)
        marks["upwell"].append(upwell(shots, test, seed))
        print(f"{name} {seed}: upwell {marks['upwell'][-1].right.mean():.4f}", flush=True)
        marks["setfit"].append(setfit(name, shots, test, seed))
        print(f"{name} {seed}: setfit {marks['setfit'][-1].right.mean():.4f}", flush=True)
    return marks


def keep(name: str, marks: Mapping[str, list[Mark]]) -> None:
    """Write the runs of a set in place of its earlier ones; ``right`` is a text of 0 and 1."""
    told = json.loads(RUNS.read_text(encoding="utf-8")) if RUNS.exists() else {}
    told[name] = {
        method: [
            {
                "right": "".join(str(int(one)) for one in mark.right),
                "seconds": mark.seconds,
                "cpu_seconds": mark.cpu_seconds,
            }
            for mark in of
        ]
        for method, of in marks.items()
    }
    RUNS.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def kept() -> dict[str, dict[str, list[Mark]]]:
    """The runs on file, by set and method."""
    told = json.loads(RUNS.read_text(encoding="utf-8"))
    return {
        name: {
            method: [
                Mark(np.array(list(one["right"]), np.float64), one["seconds"], one["cpu_seconds"])
                for one in of
            ]
            for method, of in told[name].items()
        }
        for name in FILES
        if name in told
    }


def main() -> None:
    """Run the chosen sets, then publish them with those on file."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--sets", default=",".join(FILES))
    asked.add_argument("--seeds", type=int, help=f"of each set; {dict(SEEDS)} unless given")
    told = asked.parse_args()
    torch.set_num_threads(1)
    for name in told.sets.split(","):
        keep(name, run(name, told.seeds or SEEDS[name]))
    rows = [compared(name, of["upwell"], of["setfit"]) for name, of in kept().items()]
    publish("few", [row for of in rows for row in of])


if __name__ == "__main__":
    main()

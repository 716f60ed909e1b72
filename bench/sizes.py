"""How many rows does it take until learning the encoder pays? Head, adapters and full tuning.

Banking77 and TREC, MiniLM. Of the official training part a fixed draw of ``HELD`` rows validates,
the first rows of the rest are learned from. Each way trains by the settings that the task gives
it; which way, and which settings, is chosen by the validation rows. The official test is looked at
once a run, and decides nothing. ``auto`` is the way that the task takes where nothing is set. CPU
seconds are those of training when the frozen encoder has read every text once, as all ways need.

``python -m bench.sizes [--sets banking77,trec] [--seeds 1] [--ways head,lora,full] [--most 3000]``
keeps its runs in ``results/sizes-runs.json``: what is there is run again by ``--again`` alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from pyarrow import compute as pc

from bench import protocol
from bench.few import examples, rows_of
from bench.rows import RESULTS, Row, publish
from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import train
from upwell.tables import Dataset
from upwell.tasks import text_classification

Floats = npt.NDArray[np.float64]

SIZES: Mapping[str, Sequence[int]] = {
    "banking77": (616, 1500, 3000, 9000),
    "trec": (48, 500, 2000, 5000),
}
WAYS = ("head", "lora", "full")
HELD = 300
RUNS = RESULTS / "sizes-runs.json"


@dataclass(frozen=True, slots=True)
class Run:
    """One training: what it got right in validation, and on the test's rows (a text of 0 and 1).

    ``auto``: this is the way that the task takes by itself. ``epochs``: the epoch that was kept.
    """

    set: str
    rows: int
    seed: int
    way: str
    auto: bool
    validation: float
    right: str
    epochs: int
    cpu_seconds: float

    def marks(self) -> Floats:
        """(m,) 1 where the test's row was right."""
        return np.array(list(self.right), np.float64)


def parts(name: str, rows: int, seed: int) -> Dataset:
    """``rows`` training rows, the held ones, and the official test."""
    table = rows_of(name)
    whole = table.filter(pc.equal(table["split"], "train"))
    order = np.random.default_rng(seed).permutation(whole.num_rows)
    learned, held = order[HELD : HELD + rows], order[:HELD]
    items = pa.table({"item": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    return Dataset(
        examples(whole.take(pa.array(learned)), "train"),
        examples(whole.take(pa.array(held)), "validation"),
        examples(table.filter(pc.equal(table["split"], "test")), "test"),
        items,
    )


def trained(name: str, rows: int, seed: int, way: str, given: Mapping[str, object]) -> Run:
    """One way of learning; ``given`` are settings other than the task's own."""
    data = parts(name, rows, seed)
    # Reads the texts to learn from; the head also asks for vectors of those that validate.
    unset = text_classification.start("minilm", data, seed)
    text_classification.collate(unset, data.validation)
    auto = text_classification.adapt(unset, data, TuneSettings()).tuning
    cpu = time.process_time()
    model = text_classification.start("minilm", data, seed)
    asked = TuneSettings.model_validate({"tuning": way} | dict(given))
    settings = text_classification.adapt(model, data, asked)
    found = train(text_classification, model, data, settings, label_share=1.0, seed=seed)
    spent = time.process_time() - cpu
    held, test = (
        np.asarray(
            text_classification.mark(part, text_classification.answer(model, part, 1))["accuracy"],
            np.float64,
        )
        for part in (data.validation, data.test)
    )
    right = "".join(str(int(one)) for one in test)
    return Run(name, rows, seed, way, way == auto, float(held.mean()), right, found.best_epoch,
               spent)  # fmt: skip


def table(runs: Sequence[Run]) -> list[Row]:
    """Accuracies and seconds of every way, and the task's own beside the best of the others."""
    found = []
    for name, rows in sorted({(run.set, run.rows) for run in runs}):
        of = {
            way: [run for run in runs if (run.set, run.rows, run.way) == (name, rows, way)]
            for way in WAYS
        }
        ways = {way: some for way, some in of.items() if some}
        label = f"{name} {rows} rows"
        for way, some in ways.items():
            found += list(_told(f"{label}, {way}", some))
        auto = [way for way, some in ways.items() if some[0].auto]
        held = {way: np.mean([run.validation for run in some]) for way, some in ways.items()}
        rivals = sorted(set(ways) - set(auto), key=lambda way: held[way])
        if auto and rivals:
            mine, other = (_marks(ways[way]) for way in (auto[0], rivals[-1]))
            gain = protocol.paired_interval(mine, other, 0)
            found.append(
                Row(f"{label}, {auto[0]} (auto) over {rivals[-1]}, test", gain.gain, gain.low,
                    gain.high, "not below 0", gain.high >= 0)
            )  # fmt: skip
    return found


def _told(label: str, runs: Sequence[Run]) -> Iterator[Row]:
    yield Row(f"{label}, validation accuracy", float(np.mean([run.validation for run in runs])))
    yield Row(f"{label}, test accuracy", float(_marks(runs).mean()))
    yield Row(f"{label}, CPU s", float(np.median([run.cpu_seconds for run in runs])))


def _marks(runs: Sequence[Run]) -> Floats:
    found: Floats = np.mean([run.marks() for run in runs], axis=0)
    return found


def kept() -> dict[tuple[str, int, int, str], Run]:
    """The runs on file, by set, rows, seed and way."""
    told = json.loads(RUNS.read_text(encoding="utf-8")) if RUNS.exists() else []
    runs = [Run(**one) for one in told]
    return {(run.set, run.rows, run.seed, run.way): run for run in runs}


def keep(run: Run) -> None:
    """Write a run in place of an earlier one like it."""
    runs = kept() | {(run.set, run.rows, run.seed, run.way): run}
    text = json.dumps([asdict(runs[key]) for key in sorted(runs)], indent=1)
    RUNS.write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Run what is not on file, smallest first, then publish all of it."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--sets", default=",".join(SIZES))
    asked.add_argument("--seeds", type=int, default=1)
    asked.add_argument("--ways", default=",".join(WAYS))
    asked.add_argument("--most", type=int, default=max(max(sizes) for sizes in SIZES.values()))
    asked.add_argument("--again", action="store_true")
    asked.add_argument("--given", type=json.loads, help="other settings; nothing is kept")
    told = asked.parse_args()
    torch.set_num_threads(1)
    sets = told.sets.split(",")
    wanted = [
        (name, rows, seed, way)
        for rows, name in sorted((rows, name) for name in sets for rows in SIZES[name])
        for seed in range(told.seeds)
        for way in told.ways.split(",")
        if rows <= told.most
    ]
    for one in wanted:
        if told.given or told.again or one not in kept():
            run = trained(*one, told.given or {})
            spent = f"epoch {run.epochs}, {run.cpu_seconds:.0f} CPU s"
            print(*one, f"validation {run.validation:.4f}, {spent}", flush=True)
            if not told.given:
                keep(run)
    if not told.given:
        publish("sizes", table(list(kept().values())))


if __name__ == "__main__":
    main()

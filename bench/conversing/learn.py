"""Run in a process of its own: Upwell's training as ``request.json`` says, as its peers' is.

``python -m bench.conversing.learn FOLDER`` writes ``answer.json`` and the folder ``model``.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import pyarrow as pa
import torch
from pyarrow import parquet as pq

from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import train
from upwell.tables import Dataset
from upwell.tasks import chat


def main(folder: Path) -> None:
    """Seconds and CPU seconds are those from a loaded model to a trained one."""
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    torch.set_num_threads(request["threads"])
    rows = pq.read_table(folder / "rows.parquet")
    items = pa.table({"item": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    data = Dataset(rows, rows.slice(0, 0), rows.slice(0, 0), items)
    model = chat.start(request["model"], data, request["seed"])
    began, cpu = time.perf_counter(), time.process_time()
    settings = TuneSettings(threads=request["threads"], seed=request["seed"], **request["settings"])
    share = float(rows["sign"].null_count > 0)
    train(
        chat, model, data, chat.adapt(model, data, settings), label_share=share,
        seed=request["seed"],
    )  # fmt: skip
    took, spent = time.perf_counter() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (folder / "model").mkdir()
    chat.save(model, folder / "model")
    told = {"seconds": took, "cpu_seconds": spent, "peak_mib": peak}
    (folder / "answer.json").write_text(json.dumps(told), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

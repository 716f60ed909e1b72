"""Run the benchmark: every method in every world and noise, five seeds; then the rows and plots."""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context

from bench.feedback import divergence, table
from bench.feedback.runs import of_world
from bench.feedback.worlds import SOURCES
from bench.rows import RESULTS, publish


def main() -> None:
    """Two worlds at a time."""
    parser = argparse.ArgumentParser(description="Learning from ±1 feedback.")
    parser.add_argument("--worlds", nargs="+", default=list(SOURCES), choices=list(SOURCES))
    names = parser.parse_args().worlds
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = [run for part in pool.map(of_world, names) for run in part]
    RESULTS.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(asdict(run), ensure_ascii=False) for run in found)
    (RESULTS / "feedback-runs.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    cells = table.Cells([asdict(run) for run in found])
    table.plot(cells, RESULTS / "feedback.svg")
    print(cells.render())
    publish("feedback", [*table.rows(cells), *divergence.rows()])


if __name__ == "__main__":
    main()

"""``upwell demo chat`` as a user runs it: how long it takes, and what it shows."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from bench.conversing.pairs import DATA
from bench.rows import Row
from upwell.store.project import open_project
from upwell.tasks import chat

SECONDS = 300


def rows() -> Iterator[Row]:
    """Seconds, the gain on held-out people, and whether the gate lets the version serve."""
    with TemporaryDirectory(prefix="upwell-shown-") as name:
        folder = Path(name) / "demo"
        command = [sys.executable, "-m", "upwell.interfaces.cli", "demo", "chat", "--json"]
        began = perf_counter()
        done = subprocess.run(
            [*command, "--folder", str(folder)], capture_output=True, text=True, check=False,
            env=os.environ | {"UPWELL_DATA": str(DATA)},
        )  # fmt: skip
        seconds = perf_counter() - began
        if done.returncode:
            raise RuntimeError(done.stderr.strip()[-1500:] or done.stdout[-1500:])
        ledger = open_project(folder).ledger
        report, decision = ledger.reports("chat")[-1], ledger.decisions("chat")[-1]
    found = next(metric for metric in report.metrics if metric.name == chat.METRIC)
    yield Row("demo: seconds", seconds, target=f"≤ {SECONDS}", holds=seconds <= SECONDS)
    yield Row(
        f"demo: gain in {chat.METRIC}", found.gain or 0.0, found.low, found.high,
        "lower end above 0", (found.low or 0.0) > 0,
    )  # fmt: skip
    yield Row("demo: people held out", float(found.n))
    yield Row("demo: the gate lets it serve", float(decision.act == "promote"))

"""How far a turn has come, on stderr: bars in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from time import perf_counter
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from upwell.interfaces.cli.here import Here
from upwell.words import catalogue


class Bars:
    """A context to run something long in; call it with a stage, the share done and details.

    A stage that begins anew after it was done gets a bar of its own: turns follow each other.
    """

    def __init__(self, here: Here) -> None:
        self._here = here
        self._console = Console(stderr=True)
        self._live = self._console.is_terminal and not here.json
        self._bars = Progress(
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=32),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[told]}"),
            console=self._console,
            disable=not self._live,
        )
        self._open: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def __call__(self, stage: str, share: float, details: Mapping[str, object]) -> None:
        """Tell that ``share`` (0 to 1) of a stage is done."""
        self._began.setdefault(stage, perf_counter())
        told = " ".join(f"{name} {_short(value)}" for name, value in details.items())
        if self._live:
            self._draw(stage, share, told)
        if share >= 1.0:
            seconds = perf_counter() - self._began.pop(stage)
            self._open.pop(stage, None)
            if not self._live:
                done = self._here.say("cli.stage.done", stage=self._name(stage), seconds=seconds)
                print(f"{done} {told}".rstrip(), file=sys.stderr, flush=True)

    def _draw(self, stage: str, share: float, told: str) -> None:
        if stage not in self._open:
            self._open[stage] = self._bars.add_task(self._name(stage), total=1.0, told="")
        self._bars.update(self._open[stage], completed=min(share, 1.0), told=told)

    def _name(self, stage: str) -> str:
        return catalogue(self._here.lang).get(f"cli.stage.{stage}", stage)


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)[:40]

"""The model that serves: loaded whole, then put in place in one step, while answers go on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa

from upwell.errors import StageError
from upwell.ports import Model, Task
from upwell.stages.serve import engine


@dataclass(frozen=True, slots=True)
class Serving:
    """One model version, ready to answer."""

    version: str
    model: Model


class Live:
    """The champion of one task, for any number of threads.

    An answer reads the champion once and uses that one to its end, so it names exactly one
    version. A version that fails to load changes nothing.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._serving: Serving | None = None
        self._swapping = Lock()

    @property
    def version(self) -> str | None:
        """The version that serves now; None before the first."""
        serving = self._serving
        return serving.version if serving else None

    def serve(self, version: str, folder: Path) -> None:
        """Load a verified model folder and let it serve from the next answer on.

        Does nothing where that version serves already. Whatever ``task.load`` raises goes
        through; the version before goes on serving.
        """
        with self._swapping:
            if version != self.version:
                self._serving = Serving(version, self._task.load(folder))

    def answer(
        self,
        inputs: pa.Table,
        k: int,
        explore: float,
        rng: np.random.Generator,
        abstain: float = 0.0,
    ) -> tuple[str, pa.Table]:
        """The version that answered, and its answers (see ``engine.answer``).

        Raises StageError while no version serves.
        """
        serving = self._serving
        if serving is None:
            raise StageError("serve.no_champion")
        table = engine.answer(self._task, serving.model, inputs, k, explore, rng, abstain)
        return serving.version, table

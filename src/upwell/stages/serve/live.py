"""The models that serve: loaded whole, then put in place in one step, while answers go on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from upwell.errors import StageError
from upwell.ports import Model
from upwell.stages.serve import engine

KEPT = 3
"""Models held ready, the one that serves among them: going back to one of them takes no loading."""


@dataclass(frozen=True, slots=True)
class Serving:
    """One model version, ready to answer."""

    version: str
    model: Model


@dataclass(frozen=True, slots=True)
class Asking:
    """How a request is to be answered (see ``engine.answer``)."""

    k: int
    explore: float
    rng: np.random.Generator
    abstain: float = 0.0


@dataclass(frozen=True, slots=True)
class Split:
    """Which rows of a request a challenger answers, the ``champion`` all others.

    ``chosen`` (n,) says which, ``chance`` (n,) with what probability each row could have been
    one of them. With ``ask_both`` the logged propensity is that of what was shown over both
    versions, Σ P(version) · P(shown | version); else it is P(shown | the version that answered).
    """

    champion: str
    challenger: str
    chosen: npt.NDArray[np.bool_]
    chance: npt.NDArray[np.float64]
    ask_both: bool = False


class Live:
    """The champion of one task, and a challenger beside it, for any number of threads.

    An answer reads what serves once and uses that to its end, so it names exactly one version.
    A version that fails to load changes nothing.
    """

    def __init__(self, task: engine.Answering) -> None:
        self._task = task
        self._serving: Serving | None = None
        self._ready: dict[str, Serving] = {}
        self._swapping = Lock()

    @property
    def version(self) -> str | None:
        """The version that serves now; None before the first."""
        serving = self._serving
        return serving.version if serving else None

    def holds(self, version: str) -> bool:
        """Whether a version is loaded, so that its folder need not be read."""
        return version in self._ready

    def serve(self, version: str, folder: Path) -> None:
        """Load a verified model folder and let it serve from the next answer on.

        Does nothing where that version serves already. Whatever ``task.load`` raises goes
        through; the version before goes on serving.
        """
        with self._swapping:
            if version != self.version:
                self._serving = self._loaded(version, folder)

    def ready(self, version: str, folder: Path) -> None:
        """Load a verified model folder, to answer where ``answer_split`` names it."""
        if version not in self._ready:
            with self._swapping:
                self._loaded(version, folder)

    def held(self, version: str) -> Serving | None:
        """A version, if it is loaded; whoever has it may use it to the end, whatever is swapped."""
        return self._ready.get(version)

    def taken(self, version: str, folder: Path) -> Serving:
        """The same, loaded from its verified folder where it is not held."""
        found = self.held(version)
        if found is None:
            with self._swapping:
                found = self._loaded(version, folder)
        return found

    def drop(self, versions: Iterable[str]) -> None:
        """Hold versions no longer; an answer that has begun with one goes on to its end."""
        gone = self._ready.keys() & versions
        if gone:
            with self._swapping:
                self._ready = {name: one for name, one in self._ready.items() if name not in gone}

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

    def answer_split(
        self, inputs: pa.Table, asking: Asking, split: Split
    ) -> tuple[pa.Table, Exception | None]:
        """The answers with a column ``model``, in order, and what went wrong, if anything did.

        Where the challenger is not loaded or raises, the champion answers all rows and the
        exception is returned. Raises StageError while no version serves.
        """
        ready = self._ready
        champion, challenger = ready.get(split.champion, self._serving), ready.get(split.challenger)
        if champion is None:
            raise StageError("serve.no_champion")
        if challenger is None:
            missing = StageError("serve.no_challenger", version=split.challenger)
            return self._of(champion, inputs, asking), missing
        try:
            return self._mixed(champion, challenger, inputs, asking, split), None
        except Exception as problem:
            return self._of(champion, inputs, asking), problem

    def _mixed(
        self,
        champion: Serving,
        challenger: Serving,
        inputs: pa.Table,
        asking: Asking,
        split: Split,
    ) -> pa.Table:
        parts, places = [], []
        for one, other, rows in (
            (champion, challenger, ~split.chosen),
            (challenger, champion, split.chosen),
        ):
            place = np.flatnonzero(rows)
            if inputs.num_rows and not len(place):
                continue
            asked = inputs.take(pa.array(place))
            part = self._of(one, asked, asking)
            if split.ask_both:
                mine = split.chance[place] if one is challenger else 1.0 - split.chance[place]
                part = self._over_both(part, other, asked, asking, mine)
            parts.append(part)
            places.append(place)
        return pa.concat_tables(parts).take(pa.array(np.argsort(np.concatenate(places))))

    def _over_both(
        self,
        shown: pa.Table,
        other: Serving,
        inputs: pa.Table,
        asking: Asking,
        mine: npt.NDArray[np.float64],
    ) -> pa.Table:
        """The answers with their propensity over both versions; ``mine``: of who answered."""
        by_other = engine.chances(
            self._task, other.model, inputs, asking.k, asking.explore,
            shown["output"].to_pylist(), asking.abstain,
        )  # fmt: skip
        over = mine * shown["propensity"].to_numpy() + (1.0 - mine) * by_other
        place = shown.schema.get_field_index("propensity")
        return shown.set_column(place, "propensity", pa.array(over, pa.float64()))

    def _of(self, serving: Serving, inputs: pa.Table, asking: Asking) -> pa.Table:
        table = engine.answer(
            self._task, serving.model, inputs, asking.k, asking.explore, asking.rng, asking.abstain
        )
        named = pa.array([serving.version] * inputs.num_rows, pa.string())
        return table.append_column("model", named)

    def _loaded(self, version: str, folder: Path) -> Serving:
        """A version from what is held ready, else from its folder; the oldest makes room."""
        found = self._ready.get(version) or Serving(version, self._task.load(folder))
        rest = {name: one for name, one in self._ready.items() if name != version}
        spared = [name for name in rest if name != self.version]
        for name in spared[: max(0, len(rest) + 1 - KEPT)]:
            rest.pop(name)
        # One assignment: a thread that reads meanwhile finds all of the old or all of the new.
        self._ready = {**rest, version: found}
        return found

"""What a turn's version is judged by: the part of the frozen test that decides, and its looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pyarrow as pa

from upwell.ports import Task
from upwell.records import ModelVersion
from upwell.stages.evaluate.deciding import Look
from upwell.stages.evaluate.marks import Judged, judge, judged_rows, spread
from upwell.stages.evaluate.sealed import deciding, part_of, parts_of
from upwell.store.judged import recall, remember
from upwell.store.ledger import Turn
from upwell.store.project import Project
from upwell.store.renaming import named
from upwell.store.veil import Change, Veil
from upwell.tables import Dataset, canonical_json
from upwell.wiring.data import dataset
from upwell.wiring.learning import load, loaded
from upwell.wiring.turns import kept, task_of

WHOLE = ".whole"
"""Ends the id of a report that compares with the first version and decides nothing."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A turn's version, what it is measured against, and the rows that all are judged on.

    ``test`` is the hash of the frozen test, ``part`` names the part of it that decides and
    ``opened`` are all of that part's rows, judged or not. ``look`` is what this comparison may
    spend, ``looks`` how often its part was looked at.
    """

    project: Project
    turn: Turn
    task: Task
    data: Dataset
    rows: pa.Table
    opened: pa.Table
    test: str
    part: str
    look: Look
    looks: int
    version: ModelVersion
    champion: ModelVersion | None
    first: ModelVersion

    def judged(self, one: ModelVersion) -> Judged:
        """What a version answers to the rows and what that earns it; each is asked only once.

        A version's answers to a frozen test never change; only the newest are not known yet.
        """
        path = self._answers(one)
        if not path.exists():
            model = load(self.project, self.task, one)
            found = judge(self.task, model, self.rows, self.project.settings.serve.k, name=one.id)
            remember(path, found.answers, found.marks)
        return Judged(one.id, self.rows, *recall(path))

    def still_judged(self, one: ModelVersion) -> Judged | None:
        """The same; None where the version no longer loads and its answers are not known."""
        known = self._answers(one).exists() or loaded(self.project, self.task, one)[0] is not None
        return self.judged(one) if known else None

    def _answers(self, one: ModelVersion) -> Path:
        """Where the version's answers to the rows are kept."""
        k, size = self.project.settings.serve.k, self.rows.num_rows
        place = self.part.rpartition(":")[2]
        name = f"{one.digest[:16]}-{self.test[:16]}-{place}-{size}-{k}.parquet"
        return self.project.data / "judged" / name


def trial_of(project: Project, turn: Turn) -> Trial:
    """All that the turn's version is judged by. This is a look at the test, and is counted."""
    ledger = project.ledger
    version = ledger.version(str(kept(project, turn, "tune")["version"]))
    data, task = dataset(project, version.snapshot), task_of(turn)
    rows = spread(judged_rows(data.test, task), project.settings.gate.rows_per_user)
    names, place, before = _opened(project, turn, rows)
    looks = ledger.count_look(names[place], turn.id, turn.at)
    counts = [looks if one == names[place] else before.get(one, 0) for one in names]
    number, promotions = _spent(project, turn)
    return Trial(
        project=project,
        turn=turn,
        task=task,
        data=data,
        rows=_of_part(project, rows, len(names), place),
        opened=_of_part(project, data.test, len(names), place),
        test=str(kept(project, turn, "dataset")["test"]),
        part=names[place],
        look=Look(number, promotions, {"part": place, "looks": counts}),
        looks=looks,
        version=version,
        champion=ledger.champion(turn.task),
        first=ledger.versions(turn.task)[0],
    )


def _of_part(project: Project, rows: pa.Table, parts: int, place: int) -> pa.Table:
    """The rows of one part of the frozen test; those of the others stay sealed."""
    if parts == 1:
        return rows
    # By the name that no rotation changes, so that nobody moves into a part that was sealed.
    users = pa.chunked_array([named(rows["user"], Change(project.veil, Veil()).name)])
    return rows.filter(pa.array(part_of(users, parts) == place))


def _opened(
    project: Project, turn: Turn, rows: pa.Table
) -> tuple[list[str], int, Mapping[str, int]]:
    """Names of the test's parts, the place of the deciding one, and looks of other turns by name.

    How many parts there are is settled by the first look at a frozen part, for one that was
    looked at whole holds nothing sealed any more.
    """
    gate, split = project.settings.gate, project.settings.split
    told = [kept(project, turn, "dataset")["frozen"], split.model_dump(mode="json")]
    family = f"{turn.task}:{sha256(canonical_json(told).encode()).hexdigest()[:16]}:"
    looks = project.ledger.looks(turn.task, but=turn.id)
    known = [name.rpartition("of")[2] for name in looks if name.startswith(family)]
    parts = int(known[0]) if known else parts_of(rows["user"], gate.tests, gate.test_minimum)
    names = [f"{family}{place + 1}of{parts}" for place in range(parts)]
    place = deciding([looks.get(name, 0) for name in names], gate.looks_per_test)
    return names, place, looks


def _spent(project: Project, turn: Turn) -> tuple[int, int]:
    """The number of this comparison with a champion, and how many before it proved a gain."""
    others = [
        report
        for report in project.ledger.reports(turn.task)
        if report.champion and report.id != turn.id and not report.id.endswith(WHOLE)
    ]
    proved = [
        decision
        for decision in project.ledger.decisions(turn.task)
        if decision.act == "promote" and decision.id != turn.id
        if any(reason.get("key") == "gate.better.promote" for reason in decision.reasons)
    ]
    return len(others) + 1, len(proved)

"""A product that recommends films (MovieLens-100K), with attackers who push one film.

Each user's latest forty ratings, through intake; the first weeks are labels, the rest feedback.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree
from typing import get_args

import numpy as np
import pyarrow.parquet as pq

from bench.datasets import MOVIELENS, data_folder
from bench.poisoning.texts import Event
from upwell import loop, rows
from upwell.plugins import plugin
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.settings.guards import Guard
from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.store.project import Project, create_project, open_project
from upwell.store.template import Chosen
from upwell.wiring import load

TASK, LATEST, TOP = "recommend", 40, 10
ASKED = 300
"""Users whose recommendations are looked at."""
SENT = 10_000


@dataclass(frozen=True, slots=True)
class Shown:
    """What a turn with an attack recommends.

    The share of users who are shown the target, the deciding metric on the frozen part, and the
    users whom a crowd's doubt was told of.
    """

    exposure: float
    quality: float
    doubted: frozenset[str]


class Films:
    """One seed's product: its honest events, and what a turn makes of them and an attack."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.seed, self._folder, self._copies = seed, folder, 0
        self.events, self.users = _ratings()
        rng = np.random.default_rng([seed, 5])
        counts: dict[str, int] = {}
        for one in self.events:
            counts[str(one["item"])] = counts.get(str(one["item"]), 0) + 1
        rare = sorted(item for item, n in counts.items() if 3 <= n <= 8)
        popular = sorted(counts, key=lambda item: -counts[item])
        self.target, self.popular = str(rng.choice(rare)), popular[:60]
        self.until = max(one["at"] for one in self.events if isinstance(one["at"], datetime))
        self.asked = sorted(rng.choice(self.users, ASKED, replace=False).tolist())
        chosen: Chosen = {
            "project": {"task": TASK}, "guards": {"off": get_args(Guard)},
            "tune": {"base": "", "epochs": 4, "seed": seed}, "gate": {"resamples": 200},
        }  # fmt: skip
        place = create_project(folder / "films", "films", chosen, bytes(range(32)))
        upwell = Upwell(open_project(place))
        receipt = upwell.capture(self.events, now=self.until)
        if receipt.accepted != len(self.events):
            raise RuntimeError(f"{len(self.events) - receipt.accepted} events were refused")
        upwell.consent(self.users, PURPOSES, since=self.until - timedelta(days=400))

    def turn(self, attack: Iterable[Event], trust: Mapping[str, object] | None = None) -> Shown:
        """What is recommended after a turn over everything."""
        self._copies += 1
        copy = copytree(self._folder / "films", self._folder / f"films-{self._copies}")
        upwell, sent = Upwell(open_project(copy)), list(attack)
        events = [{"id": f"attack-{n}", **one} for n, one in enumerate(sent)]
        if events:
            upwell.capture(events, now=self.until)
            users = sorted({str(one["user"]) for one in sent})
            upwell.consent(users, PURPOSES, since=self.until - timedelta(days=400))
        project = upwell.project
        if trust is not None:
            changed = project.settings.trust.model_copy(update=dict(trust))
            settings = project.settings.model_copy(update={"trust": changed})
            project = replace(project, settings=settings)
        decision = loop.turn(project, now=self.until, seed=self.seed)
        return self._shown(project, decision.model, {str(one["user"]) for one in sent})

    def _shown(self, project: Project, version: str, attackers: set[str]) -> Shown:
        task = plugin("tasks", TASK)
        model = load(project, task, project.ledger.version(version))
        asked = rows.asking(project, self.asked, self.until)
        lists = task.answer(model, asked, TOP)["output"].to_pylist()
        report = project.ledger.report(version)
        quality = report.metrics[0].value if report else float("nan")
        crowds = ("clean.surge", "clean.ring")
        doubted = doubted_by(project, version, {*self.users, *attackers}, crowds)
        exposure = float(np.mean([self.target in one for one in lists]))
        return Shown(exposure, quality, frozenset(doubted))


def doubted_by(
    project: Project, version: str, users: Iterable[str], codes: Sequence[str]
) -> set[str]:
    """Those of the users whom a turn had one of these doubts about."""
    hidden = {Pseudonyms(project.key).of(user): user for user in users}
    told = pq.read_table(rows.doubts_path(project, version), columns=["user", "code"]).to_pylist()
    return {hidden[one["user"]] for one in told if one["code"] in codes and one["user"] in hidden}


def fanatic(films: Films) -> list[Event]:
    """P1: one user, 10,000 five-star ratings of one film over a month."""
    step = timedelta(days=30) / SENT
    begin = films.until - timedelta(days=70)
    return [
        {"user": "fanatic", "kind": "rating", "value": 5.0, "item": films.target,
         "at": begin + n * step} for n in range(SENT)
    ]  # fmt: skip


def sybils(films: Films, share: float) -> list[Event]:
    """P2: new accounts, all registered in two days, who praise one film and a few popular ones."""
    rng = np.random.default_rng([films.seed, 6])
    begin = films.until - timedelta(days=70)
    found: list[Event] = []
    for number in range(round(share * len(films.users))):
        at = begin + timedelta(days=2.0 * float(rng.random()))
        items = [films.target, *rng.choice(films.popular, int(rng.integers(4, 12)), replace=False)]
        for item in rng.permutation(items):
            stars = 5.0 if item == films.target else float(rng.integers(3, 6))
            found.append({"user": f"sybil{number}", "kind": "rating", "value": stars,
                          "item": str(item), "at": at})  # fmt: skip
            at += timedelta(minutes=3 + 60 * float(rng.random()))
    return found


def _ratings() -> tuple[list[Event], list[str]]:
    """Each user's latest ratings as events in order of time, and the users."""
    table = pq.read_table(data_folder() / MOVIELENS / "ratings.parquet").sort_by(
        [("user", "ascending"), ("ts", "descending"), ("item", "ascending")]
    )
    found: list[Event] = []
    seen: dict[int, int] = {}
    for row in table.to_pylist():
        seen[row["user"]] = seen.get(row["user"], 0) + 1
        if seen[row["user"]] <= LATEST:
            found.append({"id": f"{row['user']}-{row['item']}", "user": f"u{row['user']}",
                          "kind": "rating", "item": f"i{row['item']}",
                          "value": float(row["rating"]),
                          "at": datetime.fromtimestamp(row["ts"], UTC)})  # fmt: skip
    found.sort(key=lambda one: (str(one["at"]), str(one["id"])))
    return found, sorted(f"u{user}" for user in seen)

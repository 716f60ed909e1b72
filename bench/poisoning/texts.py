"""A product that answers questions (TREC), its honest users, and what a turn makes of them.

Everything goes the way it does in a product: labels through intake, a first turn, answers that are
recorded, users' thumbs and corrections about them, a second turn. An attack is more of the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from shutil import copytree
from typing import get_args

import numpy as np
import numpy.typing as npt

from bench.feedback.worlds import World, world
from upwell import loop, rows
from upwell.plugins import plugin
from upwell.ports import Model
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.settings.guards import Guard
from upwell.store.project import Project, create_project, open_project
from upwell.store.template import Chosen
from upwell.wiring import load

Ints = npt.NDArray[np.int64]
Event = dict[str, object]
TASK = "text_classification"
BEGIN = datetime(2026, 1, 1, 9, 0, 7, tzinfo=UTC)
DAYS, USERS, ASKED, JUDGED = 40, 80, 800, 300
NOW = BEGIN + timedelta(days=DAYS + 2)
GUARDS = get_args(Guard)
"""Left out: they note and hold, and would hide what cleaning alone does."""
OFF: Mapping[str, object] = {"about": "nothing"}
"""[trust] for a product without defence."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A question that a user asked, what was answered, and when."""

    user: str
    text: str
    truth: str
    answer: str
    prediction: str
    at: datetime


@dataclass(frozen=True)
class Learned:
    """A version after an attack, in its project."""

    project: Project
    version: str
    asked: World

    def answers(self, texts: Sequence[str]) -> list[str]:
        """What the version answers."""
        table = rows.questions(self.project, ["judge"] * len(texts), list(texts), NOW)
        found = plugin("tasks", TASK).answer(self._model, table, 1)
        return [one[0] for one in found["output"].to_pylist()]

    @property
    def judged_texts(self) -> Sequence[str]:
        """The questions of the official test that are judged."""
        return self.asked.test.inputs[:JUDGED]

    @property
    def truth(self) -> Sequence[str]:
        """Their right answers."""
        return self.asked.test.targets[:JUDGED]

    @cached_property
    def _model(self) -> Model:
        version = self.project.ledger.version(self.version)
        return load(self.project, plugin("tasks", TASK), version)

    @cached_property
    def said(self) -> list[str]:
        """What it answers to the official test (its first ``JUDGED`` questions)."""
        return self.answers(self.judged_texts)

    def accuracy(self) -> float:
        """Share of the official test that is answered rightly."""
        pairs = zip(self.said, self.truth, strict=True)
        return float(np.mean([one == other for one, other in pairs]))

    def share_of(self, answer: str) -> float:
        """Share of the official test that gets an answer."""
        return float(np.mean([one == answer for one in self.said]))


class Product:
    """One seed's product after its first turn, with the questions that honest users asked."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.seed, self._folder = seed, folder
        self.world = world("trec", seed)
        self.classes = sorted(set(self.world.labels.targets))
        rng = np.random.default_rng([seed, 77])
        chosen: Chosen = {
            "project": {"task": TASK}, "tune": {"tuning": "head", "seed": seed},
            "gate": {"promote": "not_worse", "resamples": 500}, "guards": {"off": GUARDS},
        }  # fmt: skip
        place = create_project(folder / "base", "answers", chosen, bytes(range(32)))
        upwell = Upwell(open_project(place))
        upwell.capture(
            [{"id": f"label-{n}", "kind": "label", "at": BEGIN, "user": "",
              "payload": {"input": text, "target": target}}
             for n, (text, target) in enumerate(
                 zip(self.world.labels.inputs, self.world.labels.targets, strict=True))],
            source="labels", now=BEGIN,
        )  # fmt: skip
        loop.turn(upwell.project, now=BEGIN + timedelta(hours=1), seed=seed)
        born = {f"u{user}": 1 + (DAYS - 5) * float(rng.random()) for user in range(USERS)}
        users = [f"u{n % USERS}" for n in range(ASKED)]
        days = [born[user] + (0.02 if n < USERS else (DAYS - born[user]) * float(rng.random()))
                for n, user in enumerate(users)]  # fmt: skip
        texts = list(zip(self.world.requests.inputs, self.world.requests.targets, strict=True))
        self.honest = ask(upwell, users, texts[:ASKED], days)
        self.spare = texts[ASKED:]
        self._copies = 0

    def attacked(self) -> Upwell:
        """The product as it was before any user said anything, in a folder of its own."""
        self._copies += 1
        copy = copytree(self._folder / "base", self._folder / f"{self._copies}")
        return Upwell(open_project(copy))

    def turn(
        self, upwell: Upwell, events: Iterable[Event], trust: Mapping[str, object] | None = None
    ) -> Learned:
        """All events taken in (everybody agrees to everything), and what a turn makes of them."""
        happened = [{"id": f"e{n}", **one} for n, one in enumerate(events)]
        receipt = upwell.capture(happened, now=NOW)
        if receipt.accepted != len(happened):
            raise RuntimeError(f"{len(happened) - receipt.accepted} events were refused")
        upwell.consent(sorted({str(one["user"]) for one in happened}), PURPOSES, since=BEGIN)
        project = upwell.project
        if trust is not None:
            changed = project.settings.trust.model_copy(update=dict(trust))
            project = replace(
                project, settings=project.settings.model_copy(update={"trust": changed})
            )
        decision = loop.turn(project, now=NOW, seed=self.seed)
        return Learned(project, decision.model, self.world)


def ask(
    upwell: Upwell,
    users: Sequence[str],
    texts: Sequence[tuple[str, str]],
    days: Sequence[float],
) -> list[Answered]:
    """Questions (text, truth) asked by users at days after ``BEGIN``, a batch a day."""
    found: list[Answered] = []
    order = np.argsort(np.asarray(days), kind="stable")
    for day in range(DAYS + 1):
        here = [int(n) for n in order if int(days[n]) == day]
        if not here:
            continue
        at = BEGIN + timedelta(days=float(min(days[n] for n in here)))
        said = upwell.predict_many(
            [texts[n][0] for n in here], [users[n] for n in here], now=at
        ).to_pylist()
        found += [
            Answered(users[n], *texts[n], row["answer"][0], row["prediction"],
                     BEGIN + timedelta(days=days[n], seconds=20))
            for n, row in zip(here, said, strict=True)
        ]  # fmt: skip
    return found


def thumb(one: Answered, sign: int) -> Event:
    """A thumb on what was answered."""
    return {"user": one.user, "kind": "thumbs", "value": sign, "at": one.at,
            "prediction": one.prediction}  # fmt: skip


def correction(one: Answered, answer: str) -> Event:
    """What a user says would have been right."""
    return {"user": one.user, "kind": "correction", "at": one.at, "prediction": one.prediction,
            "payload": {"correction": answer}}  # fmt: skip


def truthful(asked: Iterable[Answered], slips: float, rng: np.random.Generator) -> list[Event]:
    """Thumbs of users who are wrong now and then; half of the wrong answers are corrected."""
    found = []
    for one in asked:
        likes = (one.answer == one.truth) != bool(rng.random() < slips)
        corrects = rng.random() < 0.5 and not likes and one.answer != one.truth
        found.append(correction(one, one.truth) if corrects else thumb(one, 1 if likes else -1))
    return found

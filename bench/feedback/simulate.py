"""One world, one noise, all methods: serve, log what users say, learn, redeploy; turn by turn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from time import process_time

import numpy as np
import pyarrow as pa
import torch

from bench.feedback import users
from bench.feedback.methods import METHODS, NOTHING, Method
from bench.feedback.users import Floats, Ints
from bench.feedback.worlds import TABLE, Rows, World
from upwell.errors import StageError
from upwell.plugins import plugin
from upwell.ports import Adaptable, Model, Task
from upwell.records import Example
from upwell.settings import TuneSettings
from upwell.stages.clean.calibrate import calibrated
from upwell.stages.clean.reliability import reliability, thumbs
from upwell.stages.tune import weights
from upwell.stages.tune.objective import likelihood
from upwell.stages.tune.shown import Shown
from upwell.stages.tune.trainer import train
from upwell.tables import Dataset, schema

EXPLORE = 0.1
HELD_OUT = 5
"""Every fifth input's feedback is for early stopping."""
CAREFUL = TuneSettings().flip_rate
"""How often a wholly reliable user's sign is wrong, as Upwell is shipped."""
NOON = datetime(2026, 1, 1, tzinfo=UTC)
EMPTY = schema(Example).empty_table()


@dataclass(frozen=True, slots=True)
class Log:
    """n requests that were answered: which input, what was shown, by what chance, who said what."""

    input: Ints
    shown: Ints
    propensity: Floats
    belief: Floats
    user: Ints
    sign: Ints

    def then(self, later: Log | None) -> Log:
        """This log with a later one after it."""
        if later is None:
            return self
        names = ("input", "shown", "propensity", "belief", "user", "sign")
        return Log(*(np.concatenate([getattr(self, n), getattr(later, n)]) for n in names))


@dataclass(frozen=True, slots=True)
class Learned:
    """Accuracy of a method after its last turn, CPU seconds, and whether it ran away."""

    accuracy: float
    seconds: float
    diverged: bool


class Bench:
    """A world with its deployed start: the model that the few labels gave."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.seed = world, seed
        self.task: Task = plugin("tasks", world.task)
        self.labels = examples(world.task, world.labels, "label")
        self.test = examples(world.task, world.test, "test")
        self.truth = examples(world.task, world.requests, "request")
        data = Dataset(self.labels, EMPTY, EMPTY, EMPTY)
        self.first = self.model = self.task.start("minilm", data, seed)
        self.classes = sorted(set(world.labels.targets))
        if world.task == TABLE:
            settings = self.settings(Method(), data)
            train(self.task, self.first, data, settings, label_share=1.0, seed=seed)
        self.start = {n: t.clone() for n, t in self.first.state_dict().items()}

    def run(self, method: Method, noise: str, turns: int, per_turn: int) -> Learned:
        """Deploy, hear, learn, and again. Every method meets the same users with the same dice."""
        rng = np.random.default_rng([self.seed, list(users.NOISES).index(noise)])
        rates = users.flip_rates(noise, rng)
        self._reset()
        log, began, diverged = None, process_time(), False
        for turn in range(turns):
            asked = requests(len(self.world.requests), turn, turns, per_turn, rng)
            new = self.serve(asked, rates, rng)
            log = new if log is None else log.then(new)
            if method is not METHODS[NOTHING]:
                diverged |= self._learn(method, log)
        seconds = process_time() - began
        return Learned(self.accuracy(), seconds, diverged)

    def accuracy(self) -> float:
        """Share of the test that the deployed model answers rightly."""
        marks = self.task.mark(self.test, self.task.answer(self.model, self.test, 1))
        return float(np.asarray(marks["accuracy"]).mean())

    def serve(self, asked: Ints, rates: Floats, rng: np.random.Generator) -> Log:
        """What users say of the deployed model's answers to the requests ``asked``."""
        inputs = self.truth.take(pa.array(asked))
        said = self.task.answer(self.model, inputs, 1)["output"].to_pylist()
        code = {name: place for place, name in enumerate(self.classes)}
        best = np.array([code[one[0]] for one in said])
        shown, propensity = users.explored(best, len(self.classes), EXPLORE, rng)
        names = pa.array(np.asarray(self.classes)[shown])
        user = rng.integers(users.USERS, size=len(asked))
        right = np.asarray(inputs["target"]) == np.asarray(names)
        sign = users.signs(right, user, rates, rng)
        belief = self._belief(inputs, names)
        return Log(asked, shown, propensity, belief, user, sign)

    def _belief(self, inputs: pa.Table, shown: pa.Array) -> Floats:
        place = inputs.column_names.index("target")
        rows = inputs.set_column(place, "target", shown)
        self.model.eval()
        with torch.no_grad():
            found = self.task.log_prob(self.model, self.task.collate(self.model, rows))
        return np.asarray(found.double().exp().clamp(0, 1).numpy())

    def _learn(self, method: Method, log: Log) -> bool:
        """Teach all that was logged; whether the loss ran away."""
        rows = self.rows(method, log)
        held = log.input % HELD_OUT == 0
        learned = pa.concat_tables([self.labels, rows.filter(pa.array(~held))])
        data = Dataset(learned, rows.filter(pa.array(held)), EMPTY, EMPTY)
        deployed = self.model
        self._reset()
        if method.afresh:
            self.model = self.task.start("minilm", data, self.seed)
        settings = self.settings(method, data)
        share = weights.label_share(*weights.counts(learned))
        try:
            train(self.task, self.model, data, settings, label_share=share, seed=self.seed)
        except StageError:
            return True
        if method.afresh and self._fit(deployed, data, settings) <= self._fit(
            self.model, data, settings
        ):
            self.model = deployed
        return False

    def _fit(self, model: Model, data: Dataset, settings: TuneSettings) -> float:
        """Mean −log P of the held-out signs, by which early stopping chooses too."""
        held = data.validation
        model.eval()
        with torch.no_grad():
            log_prob = self.task.log_prob(model, self.task.collate(model, held)).double()
        sign, trust = (torch.tensor(np.asarray(held[n])).double() for n in ("sign", "reliability"))
        one = torch.ones_like(sign)
        return float(likelihood(Shown(log_prob, sign, one, trust, one), settings).mean())

    def _reset(self) -> None:
        self.model = self.first
        self.first.load_state_dict(self.start)

    def settings(self, method: Method, data: Dataset) -> TuneSettings:
        """The settings that suit the model of now, with the method's own."""
        rate = 0.0 if method.truth else CAREFUL
        named = {"objective": method.objective, "tuning": "head", "flip_rate": rate}
        settings = TuneSettings.model_validate({**named, **method.settings})
        if isinstance(self.task, Adaptable):
            settings = self.task.adapt(self.model, data, settings)
        return settings

    def rows(self, method: Method, log: Log) -> pa.Table:
        """What was logged as rows to learn from."""
        rows = self.truth.take(pa.array(log.input))
        size = len(log.input)
        columns: dict[str, object] = {
            "id": [f"feedback-{place}" for place in range(size)],
            "sign": np.ones(size, np.int64) if method.truth else log.sign,
            "propensity": log.propensity,
            "reliability": _reliability(method, log),
        }
        if not method.truth:
            columns["target"] = np.asarray(self.classes)[log.shown]
        for name, values in columns.items():
            field = rows.schema.field(name)
            place = rows.column_names.index(name)
            rows = rows.set_column(place, field, pa.array(values, field.type))
        return rows


def _reliability(method: Method, log: Log) -> Floats:
    """(n,) how far each sign is trusted."""
    size = len(log.sign)
    if method.truth or method.flips == "assumed":
        return np.ones(size)
    belief = calibrated(log.belief, log.sign, log.shown).belief
    found = thumbs(log.user, log.sign, belief, users=users.USERS, flip_rate=CAREFUL)
    if method.flips == "pooled":
        return np.asarray(reliability(np.full(size, found.pooled), CAREFUL))
    return np.asarray(found.reliability[log.user])


def requests(size: int, turn: int, turns: int, per_turn: int, rng: np.random.Generator) -> Ints:
    """Inputs of a turn: new ones where there are enough for all turns, else all come again."""
    if size >= turns * per_turn:
        return np.arange(turn * per_turn, (turn + 1) * per_turn)
    return rng.permutation(size)[:per_turn]


def examples(task: str, rows: Rows, name: str) -> pa.Table:
    """Labelled rows with the Example schema."""
    size = len(rows)
    columns = {
        "id": [f"{name}-{place}" for place in range(size)],
        "user": [name] * size,
        "task": [task] * size,
        "input": list(rows.inputs),
        "target": list(rows.targets),
        "sign": [None] * size,
        "weight": [1.0] * size,
        "reliability": [1.0] * size,
        "propensity": [None] * size,
        "group": [""] * size,
        "at": [NOON] * size,
        "sources": [[]] * size,
        "features": [[]] * size,
    }
    return pa.table(columns, schema=schema(Example))

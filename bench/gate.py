"""The gate in simulated loops whose truth is known: what it lets through, finds, and guards.

Users are right or wrong once each (the champion ``RIGHT`` of the time); a challenger and the
champion differ on ``APART`` of them. Marks are drawn, and all else is what a turn runs: ``compare``
makes the report and ``decide`` the decision.

The users that a gain takes are those of the power formula for paired answers,

    n = (z₁₋α + z_power)² · (p − g²) / g²,    p: share on whom both differ, g: the gain,

one-sided, with power 0.8 at α = 5 % for a single test, or at what a look may spend. For harm it is
the same with power 0.95, at 5 % over the number of groups (the first step of Holm's correction).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bench.rows import Row, publish
from upwell.records import Decision, Metric, Report
from upwell.settings import GateSettings
from upwell.stages.evaluate.compare import compare
from upwell.stages.evaluate.cumulative import anchors, drift
from upwell.stages.evaluate.deciding import Look
from upwell.stages.evaluate.marks import Judged
from upwell.stages.evaluate.paired import users_needed
from upwell.stages.evaluate.sealed import deciding, part_of, parts_of
from upwell.stages.evaluate.spending import level
from upwell.stages.release.gate import decide
from upwell.stages.release.reasons import number_of, numbers_of

LOOPS, TURNS, USERS, TRIALS = 200, 50, 2000, 600
RIGHT, APART, GAIN = 0.7, 0.10, 0.02
ALPHA, POWER, SPARE = 0.05, 0.8, 1.3
HARM, HARMED, HARM_APART, CAUGHT = 0.10, 0.10, 0.14, 0.95
STEP, STEP_APART, LOST, STEPS = 0.002, 0.02, 0.02, 20
COLUMN = ("harmed", "a", "b", "c", "d", "e")
FEATURES = ("events", "items", "gap", "spent")
OURS, NAIVE, BEFORE = "the gate", f"a paired test at {ALPHA:.0%} each turn", "the rule 'not_worse'"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
GATE = GateSettings(resamples=200)
NO_GAIN = Metric("accuracy", RIGHT, 0.0, 0.0, 0.0, USERS)
QUICK = GATE.model_copy(update={"resamples": 20})
NOT_WORSE = GATE.model_copy(update={"promote": "not_worse"})

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class World:
    """The rows that all are judged on, and answers that are the same for all."""

    rows: pa.Table
    answers: pa.Table

    def judged(self, name: str, marks: Floats) -> Judged:
        """A contender that earns ``marks`` (n,)."""
        return Judged(name, self.rows, self.answers, pa.table({"accuracy": marks}))

    def part(self, places: npt.NDArray[np.int64]) -> World:
        """Some of the rows."""
        return World(self.rows.take(places), self.answers.take(places))


def world(groups: Sequence[str], features: Floats | None = None) -> World:
    """A user for each of ``groups``, which names the profile's group; a row each."""
    size = len(groups)
    rows = pa.table(
        {
            "id": [f"r{n}" for n in range(size)],
            "user": [f"u{n}" for n in range(size)],
            "target": ["yes"] * size,
            "group": list(groups),
        }
    )
    if features is not None:
        rows = rows.append_column("features", pa.array(features.tolist(), pa.list_(pa.float64())))
    return World(rows, pa.table({"output": [["yes"]] * size, "score": [[RIGHT]] * size}))


def begun(size: int, rng: np.random.Generator) -> Floats:
    """(n,) marks of a champion."""
    return (rng.random(size) < RIGHT).astype(np.float64)


def changed(
    champion: Floats, gain: Floats | float, apart: Floats | float, rng: np.random.Generator
) -> Floats:
    """(n,) marks of one that is right more often by ``gain`` and differs on ``apart`` of users.

    The rates are those of the population, whatever the champion got right here by luck.
    """
    better, worse = (apart + gain) / 2 / (1 - RIGHT), (apart - gain) / 2 / RIGHT
    drawn = rng.random(len(champion))
    return np.where(champion > 0, drawn >= worse, drawn < better).astype(np.float64)


def report(
    here: World, champion: Floats, mine: Floats, look: Look, seed: int, gate: GateSettings = GATE
) -> Report:
    """The report on ``m-1`` against ``m-0``."""
    return compare(
        here.judged("m-1", mine), here.judged("m-0", champion), [],
        metric="accuracy", catalogue=0, settings=gate, rng=np.random.default_rng(seed),
        id="r", at=NOW, look=look, features=FEATURES,
    )  # fmt: skip


def decided(found: Report, settings: GateSettings = GATE) -> Decision:
    """What the gate does while ``m-0`` serves."""
    return decide(found, settings, id="d", task="bench", at=NOW, champion="m-0")


def stops(decision: Decision, check: str) -> bool:
    """Whether this check holds or rejects the challenger."""
    return any(
        one["check"] == check and one["verdict"] in ("hold", "reject") for one in decision.reasons
    )


def share(name: str, hits: Sequence[bool], word: str = "", bar: float = 0.0) -> Row:
    """A share with Wilson's interval; ``word`` is "at least", "at most", or empty: no target."""
    n, value, z = len(hits), float(np.mean(hits)), NormalDist().inv_cdf(0.975)
    middle = value + z * z / (2 * n)
    reach = z * math.sqrt(value * (1 - value) / n + (z / n) ** 2 / 4)
    low, high = (max(0.0, (middle + side * reach) / (1 + z * z / n)) for side in (-1, 1))
    holds = {"at least": value >= bar, "at most": value <= bar}.get(word)
    return Row(name, value, low, min(high, 1.0), f"{word} {bar:g}" if word else "", holds)


def unchanged(seed: int) -> dict[str, bool]:
    """Whether anything is promoted in a loop in which nothing gets better, by rule.

    Each look is at the part of the frozen test that decides then. Only the first promotion
    counts, so all rules can be read off the same turns.
    """
    rng, whole = np.random.default_rng([1, seed]), world([""] * USERS)
    parts = parts_of(whole.rows["user"], GATE.tests, GATE.test_minimum)
    part, looks, champion = part_of(whole.rows["user"], parts), [0] * parts, begun(USERS, rng)
    places = [np.flatnonzero(part == one) for one in range(parts)]
    worlds = [whole.part(chosen) for chosen in places]
    found = dict.fromkeys((OURS, NAIVE, BEFORE), False)
    for turn in range(1, TURNS + 1):
        place = deciding(looks, GATE.looks_per_test)
        looks[place] += 1
        marks = (champion[places[place]], changed(champion, 0.0, APART, rng)[places[place]])
        # Only the rule 'not_worse' reads the bootstrap, until it has promoted once.
        gate = QUICK if found[BEFORE] else GATE
        told = report(worlds[place], *marks, Look(turn), turn, gate)
        found[OURS] |= decided(told).act == "promote"
        found[NAIVE] |= number_of(numbers_of(told.guards["proof"]).get("p")) <= ALPHA
        found[BEFORE] |= decided(told, NOT_WORSE).act == "promote"
    return found


def unchanged_rows() -> Iterator[Row]:
    """Loops of no real change in which anything was promoted."""
    loops = [unchanged(seed) for seed in range(LOOPS)]
    for rule in (OURS, NAIVE, BEFORE):
        hits, target = [loop[rule] for loop in loops], ("at most", ALPHA) if rule == OURS else ()
        yield share(f"{TURNS} turns of no real change, any promotion by {rule}", hits, *target)


def gain_rows() -> Iterator[Row]:
    """A real gain in every group, at 1.3 × what the formula says, at early and late looks."""
    spread = math.sqrt(APART - GAIN**2)
    single = users_needed(spread, GAIN, ALPHA, POWER)
    for number in (1, 10, TURNS):
        alpha = ALPHA if number == 1 else level(ALPHA, number)
        said = users_needed(spread, GAIN, alpha, POWER)
        size, hits = math.ceil(SPARE * said), []
        for seed in range(TRIALS if number == 1 else LOOPS):
            rng = np.random.default_rng([2, number, seed])
            here, champion = world([COLUMN[n % 6] for n in range(size)]), begun(size, rng)
            mine = changed(champion, GAIN, APART, rng)
            hits.append(decided(report(here, champion, mine, Look(number), seed)).act == "promote")
        name = f"a real gain of 2 points at look {number} is promoted with {SPARE} × {said:,} users"
        yield share(f"{name} (α {alpha:.2g})", hits, "at least", POWER)
        if number > 1:
            yield Row(f"users that look {number} takes, times a single test's", said / single)


def harmed(size: int, seed: int, harm: float, deviations: float = 0.0) -> bool:
    """Whether a challenger that gains 2 points is stopped because a tenth of users lose ``harm``.

    The profile's column tells them among six groups, or, where ``deviations`` are given, nothing
    but their behaviour does: two of four features are so many standard deviations off.
    """
    rng = np.random.default_rng([3, seed])
    loses = np.arange(size) < round(HARMED * size)
    gain = np.where(loses, -harm, (GAIN + HARMED * harm) / (1 - HARMED))
    names = [COLUMN[0] if lost else COLUMN[1 + n % 5] for n, lost in enumerate(loses)]
    off = deviations * np.array([1.0, 0.0, -1.0, 0.0])
    features = rng.normal(size=(size, len(FEATURES))) + np.outer(loses, off)
    here = world([""] * size, features) if deviations else world(names)
    champion = begun(size, rng)
    mine = changed(champion, gain, np.where(loses, HARM_APART, APART), rng)
    return stops(decided(report(here, champion, mine, Look(), seed)), "slices")


def harm_rows() -> Iterator[Row]:
    """A group that loses while all gain, at 1.3 × what the formula says, and at fewer users."""
    alpha, spread = ALPHA / len(COLUMN), math.sqrt(HARM_APART - HARM**2)
    said = round(users_needed(spread, HARM, alpha, CAUGHT) / HARMED)
    single = users_needed(math.sqrt(APART - GAIN**2), GAIN, ALPHA, POWER)
    told = f"a {HARMED:.0%} group that loses 10 points while all gain 2 is caught with {SPARE} ×"
    for size, off in ((said, 0.0), (said, 3.0), (single, 0.0), (said, 2.0)):
        by = f"known by behaviour, {off:g} deviations off" if off else "a group of the profile"
        target = ("at least", CAUGHT) if size == said and off != 2.0 else ()
        hits = [harmed(math.ceil(SPARE * size), seed, HARM, off) for seed in range(LOOPS)]
        yield share(f"{told} {size:,} users ({by})", hits, *target)
    hits = [harmed(math.ceil(SPARE * said), seed, -GAIN) for seed in range(LOOPS)]
    yield share("all groups gain 2 points: held for one that seems to lose", hits, "at most", ALPHA)


def stopped(seed: int, step: float) -> int:
    """The step at which many small ones are stopped, if each is promoted until then; 0: none is."""
    rng, here = np.random.default_rng([4, seed]), world([""] * USERS)
    marks = [begun(USERS, rng)]
    for number in range(1, STEPS + 1):
        marks.append(changed(marks[-1], step, STEP_APART, rng))
        names = [f"m-{n}" for n in range(number)]
        others = [here.judged(one, marks[int(one[2:])]) for one in anchors(names, names[-1])]
        found = drift(here.judged("m-x", marks[-1]), others, "accuracy", GATE,
                      GATE.drift_margin, np.random.default_rng(seed))  # fmt: skip
        told = Report("r", "m-1", "m-0", NOW, (NO_GAIN,), {}, {"cumulative": found}, {})
        if stops(decided(told), "cumulative"):
            return number
    return 0


def drift_rows() -> Iterator[Row]:
    """Steps of −0.2 points, each taken whatever it loses, until they are seen to add up."""
    most = round(LOST / STEP)
    hits = [0 < stopped(seed, -STEP) <= most for seed in range(LOOPS)]
    name = f"steps of −0.2 points, all taken, are stopped before −2 points ({USERS:,} users)"
    yield share(name, hits, "at least", CAUGHT)
    for step, told in ((0.005, "+0.5 points"), (0.0, "no change")):
        hits = [stopped(seed, step) > 0 for seed in range(LOOPS)]
        yield share(f"{STEPS} steps of {told}, all taken: any is stopped", hits)


def main() -> None:
    """Simulate, measure, publish."""
    publish("gate", [*unchanged_rows(), *gain_rows(), *harm_rows(), *drift_rows()])


if __name__ == "__main__":
    main()

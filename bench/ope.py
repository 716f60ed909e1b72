"""Estimates from logs: error, bias and coverage against known truths, and beside obp.

**digits**: who names the digit in an image earns 1, else 0. Two classifiers name one digit each (a
regression that learned from 225 images, a kernel machine from 200), and each policy takes its own
with a probability that gives it the value it should have, else any of the ten: .514 for the one
that logs, .830 for the one on trial. Logs are drawn with replacement from the images that neither
learned from, so the truth is known exactly. The errors and the coverage to reach were measured
on such a bandit over 150 logs; a figure falls short where its interval leaves no room for them.

**obp**: the same logs and the same q̂ go through obp 0.5.7; where definitions agree, so must values.
Both make the values and 95 % intervals of all six estimators on a million rows from the matrices
of the policy and of q̂, one thread each: obp by its bootstrap with its default of 100 resamples.

**open bandit**: what users of a shop clicked while items were shown at random, three campaigns of
10,000 impressions. The policy on trial is Thompson sampling's, as often as it showed each item in
each place during its own 10,000; its own clicks are the truth. Coverage of rare rewards: the logs
are taken for the population, of which 500 samples are drawn.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import compute as pc

from bench.datasets import data_folder
from bench.peers.off_policy import Asked, ask
from bench.protocol import Floats, Ints
from bench.rows import Row, publish
from upwell.stages.evaluate.certainty import Estimate
from upwell.stages.evaluate.logged import DECIDES
from upwell.stages.evaluate.offpolicy import Found, clipped, dr, ips, slope, sndr, snips
from upwell.stages.evaluate.rewards import Beliefs, believed, every
from upwell.stages.evaluate.support import effective

SIZES, LOGS, CONFIDENCE = (250, 1000, 4000), 500, 0.95
LOGGED, TRIED, DIGITS = 0.514, 0.830, 10
KNOWN = {
    "snips": (0.026, 0.014, 0.007),
    "dr": (0.047, 0.018, 0.008),
    "sndr": (0.037, 0.016, 0.0075),
}
BESIDE = {"ips": (0.067, 0.034, 0.016), "dm": (0.209, 0.109, 0.074)}
COVERED = {"ips": (0.95, 0.95, 0.98), "snips": (0.91, 0.93, 0.95), "dr": (0.93, 0.94, 0.91)}
NOMINAL = 0.95
CLOSE, FASTER, MANY = 1e-6, 10.0, 1_000_000


@dataclass(frozen=True, slots=True)
class Bandit:
    """Contexts (n, d), the right action (n,), and both policies (n, actions)."""

    features: Floats
    right: Ints
    logging: Floats
    trial: Floats

    @property
    def truth(self) -> float:
        """What the policy on trial earns."""
        return float(self.trial[np.arange(len(self.right)), self.right].mean())

    def drawn(self, size: int, rng: np.random.Generator) -> Drawn:
        """A log of ``size`` rows."""
        row = rng.integers(0, len(self.right), size)
        action = (self.logging[row].cumsum(axis=1) < rng.random((size, 1))).sum(axis=1)
        reward = (action == self.right[row]).astype(np.float64)
        return Drawn(self.features[row], action, reward, self.logging[row, action], self.trial[row])


@dataclass(frozen=True, slots=True)
class Drawn:
    """A log (n,) and the policy on trial (n, actions)."""

    features: Floats
    action: Ints
    reward: Floats
    propensity: Floats
    policy: Floats

    @property
    def weight(self) -> Floats:
        """(n,) π/π₀."""
        chance = self.policy[np.arange(len(self.action)), self.action]
        return np.asarray(chance / self.propensity)


def digits() -> Bandit:
    """The bandit of scikit-learn's digits."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    images, right = load_digits(return_X_y=True)
    images = images / 16.0
    order = np.random.default_rng(0).permutation(len(right))
    rest = order[600:]
    named = []
    for model, size in ((LogisticRegression(max_iter=2000), 225), (SVC(C=10), 200)):
        model.fit(images[order[:size]], right[order[:size]])
        named.append(model.predict(images[rest]))
    logging, trial = (
        _policy(guess, right[rest], value)
        for guess, value in zip(named, (LOGGED, TRIED), strict=True)
    )
    return Bandit(images[rest], right[rest], logging, trial)


def _policy(guess: Ints, right: Ints, value: float) -> Floats:
    """(n, actions): ``guess`` with the probability that earns ``value``, else any action."""
    accuracy = float((guess == right).mean())
    kept = (value - 1.0 / DIGITS) / (accuracy - 1.0 / DIGITS)
    return np.asarray(kept * np.eye(DIGITS)[guess] + (1.0 - kept) / DIGITS)


def estimates(reward: Floats, weight: Floats, beliefs: Beliefs) -> dict[str, Found]:
    """Every estimator by its name."""
    told = (reward, weight, beliefs.shown, beliefs.expected)
    mean = float(beliefs.expected.mean())
    return {
        "ips": ips(reward, weight),
        "snips": snips(reward, weight),
        "clipped": clipped(reward, weight, slope(reward, weight, CONFIDENCE)),
        "dr": dr(*told),
        "sndr": sndr(*told),
        "dm": Found(mean, beliefs.expected - mean),
    }


def on_digits() -> Iterator[Row]:
    """Error, bias and coverage by estimator and size of the log."""
    bandit = digits()
    earned = float(bandit.logging[np.arange(len(bandit.right)), bandit.right].mean())
    yield Row("digits V(logging)", earned)
    yield Row("digits V(trial)", bandit.truth)
    yield Row("digits ESS/n", float(1.0 / (bandit.trial**2 / bandit.logging).sum(1).mean()))
    for place, size in enumerate(SIZES):
        rng, made = np.random.default_rng(size), []
        for _ in range(LOGS):
            log = bandit.drawn(size, rng)
            choices = every(log.features, log.action, log.policy)
            beliefs = believed(choices, log.reward, log.weight)
            found = estimates(log.reward, log.weight, beliefs)
            made.append({name: one.told(CONFIDENCE) for name, one in found.items()})
        for name in made[0]:
            yield from _judged(name, place, size, [one[name] for one in made], bandit.truth)


def _judged(name: str, place: int, size: int, made: list[Estimate], truth: float) -> Iterator[Row]:
    """Root of the mean squared error (interval: bootstrap over logs), bias, and coverage."""
    head = f"digits n={size} {name}"
    missed = np.array([one.value - truth for one in made])
    rng = np.random.default_rng(0)
    again = missed[rng.integers(0, len(missed), (2000, len(missed)))]
    low, high = np.quantile(np.sqrt((again**2).mean(axis=1)), (0.025, 0.975))
    error = float(np.sqrt((missed**2).mean()))
    known = KNOWN.get(name)
    target = f"interval from {known[place]} or less" if known else ""
    holds = bool(low <= known[place]) if known else None
    if name in BESIDE:
        target = f"known elsewhere: {BESIDE[name][place]}"
    yield Row(f"{head} RMSE", error, float(low), float(high), target, holds)
    spread = 1.96 * float(missed.std()) / len(missed) ** 0.5
    bias = float(missed.mean())
    yield Row(f"{head} bias", bias, bias - spread, bias + spread)
    if name != "dm":
        held = [one.low <= truth <= one.high for one in made]
        known = COVERED.get(name)
        yield _coverage(head, held, known[place] if known else None, judged=name == DECIDES)


def _coverage(head: str, held: list[bool], known: float | None, *, judged: bool) -> Row:
    """The share of intervals that hold the truth, with Wilson's interval."""
    share, count = float(np.mean(held)), len(held)
    centre = (share + 1.92 / count) / (1.0 + 3.84 / count)
    reach = 1.96 * (share * (1 - share) / count + 0.96 / count**2) ** 0.5 / (1.0 + 3.84 / count)
    target = "" if known is None else f"at least {known}" if judged else f"known elsewhere: {known}"
    holds = bool(centre + reach >= known) if judged and known is not None else None
    return Row(f"{head} 95 % interval covers", share, centre - reach, centre + reach, target, holds)


def beside_obp() -> Iterator[Row]:
    """The same numbers as obp's, and their seconds on a million rows."""
    bandit, rng = digits(), np.random.default_rng(5)
    log = bandit.drawn(SIZES[-1], rng)
    belief = rng.random(log.policy.shape)
    clip = 3.0
    told = ask(_asked(log, belief, clip)).values
    mine = {name: one.value for name, one in _from_matrices(log, belief, clip).items()}
    for name, value in told.items():
        apart = abs(mine[name] - value)
        yield Row(f"obp {name} apart", apart, None, None, f"at most {CLOSE}", apart <= CLOSE)
    log = bandit.drawn(MANY, rng)
    belief = rng.random(log.policy.shape)
    theirs = ask(_asked(log, belief, clip))
    values = _seconds(lambda: _from_matrices(log, belief, clip))
    whole = _seconds(
        lambda: [one.told(CONFIDENCE) for one in _from_matrices(log, belief, clip).values()]
    )
    yield Row("obp CPU seconds, values with intervals", theirs.interval_seconds)
    yield Row("upwell CPU seconds, values with intervals", whole)
    ratio = theirs.interval_seconds / whole
    yield Row("times as fast, with intervals", ratio, None, None, f"at least {FASTER:g}",
              ratio >= FASTER)  # fmt: skip
    yield Row("obp CPU seconds, values alone", theirs.seconds)
    yield Row("upwell CPU seconds, values alone", values)
    yield Row("times as fast, values alone", theirs.seconds / values)


def _asked(log: Drawn, belief: Floats, clip: float) -> Asked:
    return Asked(log.reward, log.action, log.propensity, log.policy, belief, clip)


def _from_matrices(log: Drawn, belief: Floats, clip: float) -> Mapping[str, Found]:
    """The six estimators from what obp is given: matrices of the policy and of q̂."""
    reward, weight = log.reward, log.weight
    shown = belief[np.arange(len(reward)), log.action]
    expected = np.einsum("ij,ij->i", log.policy, belief)
    told = (reward, weight, shown, expected)
    mean = float(expected.mean())
    return {
        "ips": ips(reward, weight),
        "snips": snips(reward, weight),
        "clipped": clipped(reward, weight, clip),
        "dr": dr(*told),
        "sndr": sndr(*told),
        "dm": Found(mean, expected - mean),
    }


def _seconds(work: Callable[[], object], times: int = 3) -> float:
    """The median CPU time of a few runs."""
    took = []
    for _ in range(times):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return float(np.median(took))


def open_bandit() -> Iterator[Row]:
    """Thompson sampling's click rate from the logs of random display."""
    rows = pq.read_table(data_folder() / "open-bandit" / "impressions.parquet")
    parts = []
    for campaign in ("all", "men", "women"):
        some = rows.filter(pc.equal(rows["campaign"].cast("string"), campaign))
        reward, weight, shown = _one_campaign(some)
        parts.append((reward, weight))
        yield from _told(f"open bandit {campaign}", reward, weight, shown)
    reward, weight = (np.concatenate(one) for one in zip(*parts, strict=True))
    policy = pc.equal(rows["policy"].cast("string"), "bts")
    yield from _told("open bandit", reward, weight, rows.filter(policy)["click"].to_numpy())
    truth, rng = snips(reward, weight).value, np.random.default_rng(0)
    held = []
    for _ in range(LOGS):
        some = rng.integers(0, len(reward), len(reward))
        found = snips(reward[some], weight[some]).told(CONFIDENCE)
        held.append(found.low <= truth <= found.high)
    yield _coverage("open bandit snips", held, NOMINAL, judged=True)


def _one_campaign(rows: pa.Table) -> tuple[Floats, Floats, Floats]:
    """Clicks (n,) and weights (n,) of random display, and the clicks of Thompson sampling."""
    is_random = pc.equal(rows["policy"].cast("string"), "random")
    logged, own = rows.filter(is_random), rows.filter(pc.invert(is_random))
    shape = tuple(int(pc.max(rows[name]).as_py()) + 1 for name in ("position", "item_id"))
    often = np.zeros(shape)
    np.add.at(often, (own["position"].to_numpy(), own["item_id"].to_numpy()), 1.0)
    often /= np.maximum(often.sum(axis=1, keepdims=True), 1.0)
    chance = often[logged["position"].to_numpy(), logged["item_id"].to_numpy()]
    clicks = (one["click"].to_numpy().astype(np.float64) for one in (logged, own))
    first, second = clicks
    return first, chance / logged["propensity_score"].to_numpy(), second


def _told(head: str, reward: Floats, weight: Floats, shown: Floats) -> Iterator[Row]:
    """The estimate, whether its interval holds the click rate that was seen, and ESS/n."""
    truth = float(shown.mean())
    found = snips(reward, weight).told(CONFIDENCE)
    target = f"holds the {truth:.4f} seen"
    holds = found.low <= truth <= found.high
    yield Row(f"{head} snips", found.value, found.low, found.high, target, holds)
    yield Row(f"{head} ESS/n", effective(weight) / len(weight))


def main() -> None:
    """Measure and publish."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    publish("ope", [*on_digits(), *beside_obp(), *open_bandit()])


if __name__ == "__main__":
    main()

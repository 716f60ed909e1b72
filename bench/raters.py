"""Can raters be judged without the truth? Real multi-rater sets beside crowd-kit, in one run.

rte, bluebird and face4 have classes: share of items whose most probable class is the true one.
emotion has numbers from −100 to 100: mean absolute error and correlation with the truth, where a
peer's number is the mean of its posterior over values (for MajorityVote that is the plain mean of
the raters; the others get values rounded to 20, which serves them better than finer ones). Ours is
one recipe with its defaults; which peer is best is told by the truth, afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from pyarrow import compute as pc

from bench.datasets import data_folder
from bench.peers import crowd
from bench.protocol import Floats, Ints
from bench.rows import Row, publish
from upwell.stages.clean.raters import dawid_skene
from upwell.stages.clean.reliability import thumbs
from upwell.stages.clean.values import numbers
from upwell.tasks._text import embed

SETS = ("rte", "bluebird", "face4_sentiment")
OURS = "upwell"
RESAMPLES = 2000
MANY, SECONDS = 1_000_000, 60.0
SEEDS = range(5)
COPIES, LABELS = 3, 8000


@dataclass(frozen=True, slots=True)
class Crowd:
    """Coded answers with labels as they are, and the truth (items,)."""

    item: Ints
    rater: Ints
    label: Ints
    truth: Ints


def load(name: str) -> Crowd:
    """One set; items in the order of their sorted ids."""
    folder = data_folder() / "crowd-labels"
    parts = [pq.read_table(folder / f"{part}.parquet") for part in ("answers", "truth")]
    answers, truth = (table.filter(pc.equal(table["set"], name)) for table in parts)
    places, order = np.unique(truth["item"].to_numpy(), return_index=True)
    return Crowd(
        np.searchsorted(places, answers["item"].to_numpy()),
        np.unique(answers["worker"].to_numpy(), return_inverse=True)[1],
        answers["label"].to_numpy(),
        truth["label"].to_numpy()[order],
    )


def bootstrapped(
    figure: Callable[..., float], *columns: npt.NDArray[Any], seed: int = 0
) -> tuple[float, float, float]:
    """A figure of columns, all (items,), and its 95 % interval over resamples of the items."""
    rng, items = np.random.default_rng(seed), len(columns[0])
    drawn = []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, items, items)
        drawn.append(figure(*(column[rows] for column in columns)))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return figure(*columns), float(low), float(high)


def _share(hits: npt.NDArray[Any]) -> float:
    return float(hits.mean())


def classes(name: str) -> list[Row]:
    """Accuracy of ours and of every peer on one set."""
    data = load(name)
    start = time.perf_counter()
    found = dawid_skene(data.item, data.rater, data.label - data.label.min())
    seconds = {OURS: time.perf_counter() - start}
    right = {OURS: found.posterior.argmax(1) + data.label.min() == data.truth}
    for method, told in crowd.ask(data.item, data.rater, data.label).items():
        right[method], seconds[method] = told.chosen == data.truth, told.seconds
    best = max(crowd.METHODS, key=lambda method: right[method].mean())
    rows = []
    for method, hits in right.items():
        figures = bootstrapped(_share, hits)
        target = f"at least {best}'s {right[best].mean():.4f}" if method == OURS else ""
        holds = bool(hits.mean() >= right[best].mean()) if method == OURS else None
        rows.append(Row(f"{name} {method} accuracy", *figures, target, holds))
    gain = right[OURS].astype(float) - right[best]
    figures = bootstrapped(_share, gain)
    rows.append(Row(f"{name} gain over {best}", *figures))
    return rows + [Row(f"{name} {method} seconds", took) for method, took in seconds.items()]


def emotion() -> list[Row]:
    """Mean absolute error and correlation on numbers."""
    data = load("emotion_numeric")
    start = time.perf_counter()
    guess = {OURS: numbers(data.item, data.rater, data.label.astype(np.float64)).mean}
    seconds = {OURS: time.perf_counter() - start}
    coarse = (np.round(data.label / 20) * 20).astype(np.int64)
    told = crowd.ask(data.item, data.rater, data.label, crowd.METHODS[:1])
    told |= crowd.ask(data.item, data.rater, coarse, crowd.METHODS[1:])
    for method, answer in told.items():
        guess[method], seconds[method] = answer.mean, answer.seconds
    total, count = np.bincount(data.item, data.label), np.bincount(data.item)
    guess["mean"], guess["median"] = total / count, _medians(data)
    rows = []
    for figure, sign in ((_error, -1), (_correlation, 1)):
        rows += _numeric(figure, sign, guess, data.truth)
    return rows + [Row(f"emotion {method} seconds", took) for method, took in seconds.items()]


def _numeric(
    figure: Callable[[Floats, Ints], float], sign: int, guess: dict[str, Floats], truth: Ints
) -> list[Row]:
    word = "mean absolute error" if sign < 0 else "correlation"
    peers = {method: figure(one, truth) for method, one in guess.items() if method != OURS}
    best = max(peers, key=lambda method: sign * peers[method])
    rows = []
    for method, one in guess.items():
        figures = bootstrapped(figure, one, truth)
        ours = method == OURS
        bound = "at most" if sign < 0 else "at least"
        target = f"{bound} {best}'s {peers[best]:.4f}" if ours else ""
        holds = sign * figures[0] >= sign * peers[best] if ours else None
        rows.append(Row(f"emotion {method} {word}", *figures, target, holds))
    return rows


def _error(guess: Floats, truth: Ints) -> float:
    return float(np.abs(guess - truth).mean())


def _correlation(guess: Floats, truth: Ints) -> float:
    return float(np.corrcoef(guess, truth)[0, 1])


def _medians(data: Crowd) -> Floats:
    return np.array([np.median(data.label[data.item == i]) for i in range(len(data.truth))])


def scale() -> list[Row]:
    """A million simulated labels, and as many signs; seconds of this process's CPU time."""
    rng = np.random.default_rng(0)
    items, raters, k = MANY // 5, MANY // 50, 4
    truth = rng.integers(0, k, items)
    item, rater = rng.integers(0, items, MANY), rng.integers(0, raters, MANY)
    right = rng.random(MANY) < rng.beta(6, 2, raters)[rater]
    label = np.where(right, truth[item], (truth[item] + rng.integers(1, k, MANY)) % k)
    belief = rng.beta(2.5, 0.5, MANY)
    wrong = rng.random(MANY) < np.where(rng.random(raters) < 0.2, 0.5, 0.05)[rater]
    sign = np.where((rng.random(MANY) < belief) ^ wrong, 1, -1)
    rows = []
    for name, work in (
        ("labels", lambda: dawid_skene(item, rater, label)),
        ("signs", lambda: thumbs(rater, sign, belief)),
    ):
        start, cpu = time.perf_counter(), time.process_time()
        work()
        took, used = time.perf_counter() - start, time.process_time() - cpu
        rows.append(Row(f"{MANY} {name}, seconds", took, target="below 60", holds=took < SECONDS))
        rows.append(Row(f"{MANY} {name}, CPU seconds", used))
    return rows


def end_to_end() -> list[Row]:
    """A classifier of sst2 sentences that simulated raters labelled, with rte's real matrices.

    rte has no texts here, so its 164 workers label sentences instead: each with the confusion
    matrix that rte's truth shows of them and as active as they were; 8,000 answers as in rte,
    three a sentence. Logistic regression on frozen MiniLM vectors; 5 draws of sentences, answers.
    """
    from sklearn.linear_model import LogisticRegression

    table = pq.read_table(data_folder() / "text-en" / "text_en.parquet")
    table = table.filter(pc.equal(table["set"], "sst2"))
    parts = [table.filter(pc.equal(table["split"], part)) for part in ("train", "test")]
    train, test = (embed("minilm", part["text"].to_pylist()) for part in parts)
    known, truth = (np.unique(part["label"].to_numpy(), return_inverse=True)[1] for part in parts)
    hits: dict[str, list[Floats]] = {"majority votes": [], "reliability": [], "truth": []}
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(train), LABELS // COPIES, replace=False)
        votes, weighed = _labelled(known[chosen], rng)
        for name, share in (
            ("majority votes", votes),
            ("reliability", weighed),
            ("truth", known[chosen].astype(np.float64)),
        ):
            model = LogisticRegression(max_iter=1000)
            model.fit(
                np.concatenate([train[chosen]] * 2),
                np.repeat([1, 0], len(chosen)),
                sample_weight=np.concatenate([share, 1 - share]),
            )
            hits[name].append((model.predict(test) == truth).astype(np.float64))
    return _compared({name: np.mean(one, axis=0) for name, one in hits.items()})


def _labelled(truth: Ints, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """The majority's label (ties by lot) and the posterior of class 1, by simulated workers."""
    rte = load("rte")
    said, true = rte.label - 1, rte.truth[rte.item] - 1
    workers = int(rte.rater.max()) + 1
    counts = np.ones((workers, 2, 2)) * 0.5
    np.add.at(counts, (rte.rater, true, said), 1.0)
    matrices = counts / counts.sum(2, keepdims=True)
    item = np.repeat(np.arange(len(truth)), COPIES)
    rater = rng.permutation(rte.rater)[: len(item)]
    label = (rng.random(len(item)) < matrices[rater, truth[item], 1]).astype(np.int64)
    votes = np.bincount(item, label) / COPIES
    majority = np.where(votes == 0.5, rng.integers(0, 2, len(votes)), votes > 0.5)
    return majority.astype(np.float64), dawid_skene(item, rater, label, classes=2).posterior[:, 1]


def _compared(hits: dict[str, Floats]) -> list[Row]:
    rows = []
    for name, one in hits.items():
        figures = bootstrapped(_share, one)
        rows.append(Row(f"sst2 by rte's raters, {name}: accuracy", *figures))
    gain = hits["reliability"] - hits["majority votes"]
    value, low, high = bootstrapped(_share, gain)
    label = "sst2 by rte's raters, gain of reliability over majority votes"
    return [*rows, Row(label, value, low, high, "above 0", low > 0)]


def main() -> None:
    """Run everything, a set at a time."""
    rows: list[Row] = []
    for name in SETS:
        rows += classes(name)
    rows += emotion()
    rows += scale()
    rows += end_to_end()
    publish("raters", rows)


if __name__ == "__main__":
    main()

"""Is Upwell's recommender ahead? Leave-one-out on two public sets beside its peers, in one run.

Every method learns from the same rows and ranks the whole catalogue for the same users. Fits run
two at a time on one thread each, so training is timed in CPU seconds, which do not depend on what
the other core does. Three seeds; intervals are paired bootstraps over users.
"""

from __future__ import annotations

from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from bench import baselines, datasets, ours, protocol
from bench.datasets import LASTFM, MOVIELENS
from bench.peers import client, environment
from bench.peers.settings import CHOSEN, PEERS
from bench.protocol import Floats, Targets
from bench.rows import Row, publish

SEEDS = (0, 1, 2)
OURS = "upwell"
POPULAR, RECENT = "popular", "recent-popular"


@dataclass(frozen=True, slots=True)
class Mark:
    """One method's result on one seed."""

    targets: Targets
    ndcg: Floats
    hit: Floats
    cpu_seconds: float


def measure(name: str, method: str, seed: int) -> Mark:
    """Fit one method on one split and mark its ranking of the test items."""
    data = datasets.load(name)
    split = protocol.leave_one_out(data, seed)
    targets, known = split.test, split.known("test")
    seconds = 0.0
    if method == OURS:
        fitted = ours.fit_and_rank(data, known, targets.user, seed)
        ranking, seconds = fitted.ranking, fitted.cpu_seconds
    elif method in (POPULAR, RECENT):
        scores = baselines.popular(known, targets.user, data.items)
        if method == RECENT:
            window = baselines.choose_window(split)
            scores = baselines.recent_popular(known, targets.user, data.items, window)
        ranking = protocol.top_items(scores, targets.user, known)
    else:
        python = environment.interpreter()
        point = client.ask(python, split, "test", method, [CHOSEN[name][method]], seed)[0]
        ranking, seconds = point.ranking, point.cpu_seconds
    marks = protocol.mark(ranking, targets, data.items)
    return Mark(targets, marks.ndcg, marks.hit, seconds)


def quality(name: str, found: dict[tuple[str, int], Mark]) -> list[Row]:
    """Rows of one dataset: every method's marks, our gain over each, and our training time."""
    users = datasets.load(name).users
    methods = sorted({method for method, _ in found})
    ndcg = {
        m: protocol.mean_over_seeds([(found[m, s].targets, found[m, s].ndcg) for s in SEEDS], users)
        for m in methods
    }
    hit = {m: float(np.mean([found[m, s].hit.mean() for s in SEEDS])) for m in methods}
    took = {m: float(np.median([found[m, s].cpu_seconds for s in SEEDS])) for m in methods}
    rows = [Row(f"{name} {m} ndcg@10", float(np.nanmean(ndcg[m]))) for m in methods]
    rows += [Row(f"{name} {m} hr@10", hit[m]) for m in methods]
    peers = [method for method in methods if method != OURS]
    for peer in peers:
        gain = protocol.paired_interval(ndcg[OURS], ndcg[peer], 0)
        target = "above 0"
        label = f"{name} gain in ndcg@10 over {peer}"
        rows.append(Row(label, gain.gain, gain.low, gain.high, target, gain.low > 0))
    best = max(peers, key=lambda m: float(np.nanmean(ndcg[m])))
    rows += [Row(f"{name} {m} training, CPU s", took[m]) for m in peers if took[m]]
    target = f"at most {best}'s {took[best]:.2f}"
    holds = took[OURS] <= took[best]
    rows.append(Row(f"{name} upwell training, CPU s", took[OURS], None, None, target, holds))
    return rows


def main() -> None:
    """Run everything, two fits at a time, longest first."""
    environment.interpreter()
    jobs: dict[tuple[str, str, int], Future[Mark]] = {}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for name in (MOVIELENS, LASTFM):
            others = (*PEERS, OURS, POPULAR, *((RECENT,) if name == MOVIELENS else ()))
            for method in others:
                for seed in SEEDS:
                    jobs[name, method, seed] = pool.submit(measure, name, method, seed)
        rows: list[Row] = []
        for name in (MOVIELENS, LASTFM):
            found = {(m, s): job.result() for (n, m, s), job in jobs.items() if n == name}
            rows += quality(name, found)
            print(f"{name} is done", flush=True)
    publish("recommend", rows)


if __name__ == "__main__":
    main()

"""Can an item that nobody has met be recommended? A tenth of the items is taken out of training.

Each user's target is an item that training never met, ranked among all items. Peers that know
items by their ids alone cannot rank it; the bar is the best reading of text neighbours, with the
same encoder, chosen on other cold items of the validation rows.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from bench import baselines, datasets, ours, protocol
from bench.datasets import MOVIELENS
from bench.protocol import Floats, Targets
from bench.rows import Row, publish

SEEDS = (0, 1, 2)


def cold(seed: int) -> tuple[Targets, Floats, Floats]:
    """NDCG@10 of items that training never met: Upwell's, and the best text neighbours'."""
    data = datasets.load(MOVIELENS)
    split = protocol.leave_one_out(data, seed)
    start = protocol.cold_start(data, split.known("test"), seed)
    users = start.targets.user
    found = ours.fit_and_rank(data, start.known, users, seed)
    mine = protocol.mark(found.ranking, start.targets, data.items).ndcg
    vectors = ours.text_vectors(data)
    chosen = _reading(data, split, vectors, seed)
    scores = baselines.text_neighbours(vectors, start.known, users, chosen)
    ranking = protocol.top_items(scores, users, start.known)
    return start.targets, mine, protocol.mark(ranking, start.targets, data.items).ndcg


def _reading(
    data: protocol.Dataset, split: protocol.Split, vectors: ours.Vectors, seed: int
) -> baselines.Reading:
    """How best to read texts, chosen on cold items of the training rows."""
    start = protocol.cold_start(data, split.known("validation"), seed + 100)

    def worth(reading: baselines.Reading) -> float:
        scores = baselines.text_neighbours(vectors, start.known, start.targets.user, reading)
        ranking = protocol.top_items(scores, start.targets.user, start.known)
        return float(protocol.mark(ranking, start.targets, data.items).ndcg.mean())

    return max(baselines.readings(), key=worth)


def cold_rows(found: list[tuple[Targets, Floats, Floats]]) -> list[Row]:
    """Rows of the cold start. Peers know no item that they never met: they cannot rank it."""
    users = datasets.load(MOVIELENS).users
    mine = protocol.mean_over_seeds([(t, ndcg) for t, ndcg, _ in found], users)
    text = protocol.mean_over_seeds([(t, ndcg) for t, _, ndcg in found], users)
    gain = protocol.paired_interval(mine, text, 0)
    label = "cold ml-100k"
    return [
        Row(f"{label} upwell ndcg@10", float(np.nanmean(mine))),
        Row(f"{label} text neighbours ndcg@10", float(np.nanmean(text))),
        Row(f"{label} every peer ndcg@10 (cannot rank unmet items)", 0.0),
        Row(f"{label} gain over text", gain.gain, gain.low, gain.high, "above 0", gain.low > 0),
    ]


def main() -> None:
    """Three seeds, two at a time."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        publish("cold", cold_rows(list(pool.map(cold, SEEDS))))


if __name__ == "__main__":
    main()

"""Choose the peers' settings anew: every setting of the grids, marked on validation, best first.

Run as `python -m bench.peers.choose [DATASET [PEER]]`; it takes hours where it is given neither.
"""

import sys
from itertools import product
from typing import Any

from bench.datasets import NAMES, load
from bench.peers.client import ask
from bench.peers.environment import interpreter
from bench.peers.settings import GRIDS, PEERS, Settings
from bench.protocol import Split, leave_one_out, mark

SEED = 0


def combinations(grid: dict[str, list[Any]]) -> list[Settings]:
    """Every combination of a grid's values, `epochs` kept as a list: one run passes all of them."""
    names = [name for name in grid if name != "epochs"]
    chosen = product(*(grid[name] for name in names))
    return [dict(zip(names, values, strict=True)) | {"epochs": grid["epochs"]} for values in chosen]


def marked(
    split: Split, peer: str, grid: dict[str, list[Any]]
) -> list[tuple[float, float, Settings]]:
    """NDCG@10 on validation, seconds of training and settings of each combination, best first."""
    points = [
        point
        for trial in combinations(grid)
        for point in ask(interpreter(), split, "validation", peer, [trial], SEED)
    ]
    marks = [mark(point.ranking, split.validation, split.dataset.items) for point in points]
    found = [
        (float(its.ndcg.mean()), point.seconds, point.settings)
        for its, point in zip(marks, points, strict=True)
    ]
    return sorted(found, key=lambda row: -row[0])


def main(names: list[str]) -> None:
    """Print one line a combination: NDCG@10, seconds, settings."""
    for dataset in names[:1] or NAMES:
        split = leave_one_out(load(dataset), SEED)
        for peer in names[1:] or PEERS:
            print(f"{dataset} {peer}")
            for ndcg, seconds, settings in marked(split, peer, GRIDS[dataset][peer]):
                print(f"  {ndcg:.4f}  {seconds:7.1f} s  {settings}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

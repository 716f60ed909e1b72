"""Fit one peer in the peers' own environment and write what it recommends.

Run as `python run_peer.py FOLDER`. The folder is the whole interchange: neither side imports the
other.

* `rows.npz`: `user`, `item` (n,) counting from 0, `weight` (n,), sorted by user, oldest first;
  `targets` (m,), the users to rank for.
* `request.json`: `peer`, `seed`, `k`, `users`, `items` and `trials`, a list of settings. A trial's
  `epochs` may be a list: the peer is then ranked at each of these points of one training run.
* `answer.npz`: `ranking` (t, m, k), best first, -1 for no answer, a layer for each point of each
  trial.
* `answer.json`: `points` (settings with their one number of epochs, `seconds` and `cpu_seconds` of
  training up to there, ranking left out), `peak_mib` of this process, `versions`, `threads`.
"""

import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

Arrays = dict[str, Any]
Settings = dict[str, Any]
Point = tuple[int, Any]
Fit = Callable[[Arrays, dict[str, Any], Settings], Iterator[Point]]


def weigh(plain: Any, how: str) -> Any:
    """The matrix that implicit learns from: users by items, with the confidence of each row.

    `one` counts a row once, `given` takes its weight, `log` takes log(1 + weight), `bm25` weighs it
    as in implicit's own Last.fm example.
    """
    from implicit.nearest_neighbours import bm25_weight

    if how == "bm25":
        return bm25_weight(plain.T.tocsr(), K1=100, B=0.8).T.tocsr().astype(np.float32)
    weighed = plain.copy()
    if how == "one":
        weighed.data[:] = 1.0
    elif how == "log":
        weighed.data = np.log1p(weighed.data)
    elif how != "given":
        raise ValueError(f"unknown weighting {how!r}")
    return weighed


def factorise(arrays: Arrays, request: dict[str, Any], settings: Settings) -> Iterator[Point]:
    """Fit ALS or BPR of implicit; iterations count as epochs."""
    import implicit.als
    import implicit.bpr

    shape = (request["users"], request["items"])
    plain = scipy.sparse.csr_matrix(
        (arrays["weight"], (arrays["user"], arrays["item"])), shape, dtype=np.float32
    )
    kinds = {
        "implicit-als": implicit.als.AlternatingLeastSquares,
        "implicit-bpr": implicit.bpr.BayesianPersonalizedRanking,
    }
    given = {name: value for name, value in settings.items() if name not in ("epochs", "weighting")}
    targets = arrays["targets"]
    for epochs in _points(settings):
        matrix = weigh(plain, settings.get("weighting", "one"))
        model = kinds[request["peer"]](
            iterations=epochs, random_state=request["seed"], use_gpu=False, **given
        )
        model.fit(matrix, show_progress=False)
        seen = plain[targets]
        yield epochs, partial(_rank_factors, model, targets, seen, request["k"])


def transform(arrays: Arrays, request: dict[str, Any], settings: Settings) -> Iterator[Point]:
    """Fit SASRec or BERT4Rec of RecTools; ids reach it as they are, times as each row's place."""
    import pandas as pd
    import pytorch_lightning
    from rectools.dataset import Dataset
    from rectools.models import BERT4RecModel, SASRecModel

    pytorch_lightning.seed_everything(request["seed"], verbose=False)
    kinds = {"rectools-sasrec": SASRecModel, "rectools-bert4rec": BERT4RecModel}
    order = _order(arrays["user"], settings.get("order", "given"), request["seed"])
    frame = pd.DataFrame({"user_id": arrays["user"], "item_id": arrays["item"], "weight": 1.0})
    frame["datetime"] = pd.to_datetime(order, unit="s")
    dataset = Dataset.construct(frame)
    given = {name: value for name, value in settings.items() if name not in ("epochs", "order")}
    model = kinds[request["peer"]](epochs=1, deterministic=True, **given)
    done = 0
    for epochs in _points(settings):
        model.fit_partial(dataset, min_epochs=epochs - done, max_epochs=epochs - done)
        done = epochs
        yield epochs, partial(_rank_sequences, model, dataset, arrays["targets"], request["k"])


PEERS: dict[str, Fit] = {
    "implicit-als": factorise,
    "implicit-bpr": factorise,
    "rectools-sasrec": transform,
    "rectools-bert4rec": transform,
}


def answer(arrays: Arrays, request: dict[str, Any]) -> tuple[list[dict[str, Any]], list[Any]]:
    """Run every trial; training is timed, ranking is not."""
    points: list[dict[str, Any]] = []
    rankings = []
    for settings in request["trials"]:
        seconds, cpu = 0.0, 0.0
        steps = PEERS[request["peer"]](arrays, request, settings)
        while True:
            wall_from, cpu_from = time.perf_counter(), time.process_time()
            step = next(steps, None)
            if step is None:
                break
            restarted = request["peer"].startswith("implicit")
            seconds = time.perf_counter() - wall_from + (0.0 if restarted else seconds)
            cpu = time.process_time() - cpu_from + (0.0 if restarted else cpu)
            points.append(
                {"settings": settings | {"epochs": step[0]}, "seconds": seconds, "cpu_seconds": cpu}
            )
            rankings.append(step[1]())
    return points, rankings


def main(folder: Path) -> None:
    """Answer the request in `folder`; see the module's docstring."""
    warnings.filterwarnings("ignore")
    request = json.loads((folder / "request.json").read_text())
    with np.load(folder / "rows.npz") as stored:
        arrays = dict(stored)
    _import_peers(request["peer"])
    points, rankings = answer(arrays, request)
    np.savez_compressed(folder / "answer.npz", ranking=np.stack(rankings).astype(np.int64))
    told = {
        "points": points,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "versions": {name: version(name) for name in ("rectools", "implicit", "torch", "numpy")},
        "threads": len(os.sched_getaffinity(0)),
    }
    (folder / "answer.json").write_text(json.dumps(told, indent=1))


def _import_peers(peer: str) -> None:
    """Import before the clock starts: start-up is no part of training."""
    if peer.startswith("implicit"):
        import_module("implicit.als")
        import_module("implicit.bpr")
    else:
        import_module("rectools.models")


def _points(settings: Settings) -> list[int]:
    epochs = settings["epochs"]
    return list(epochs) if isinstance(epochs, list) else [int(epochs)]


def _order(user: Any, how: str, seed: int) -> Any:
    """A moment for each row (n,): as given, the other way round, or shuffled."""
    place = np.arange(user.size)
    if how == "given":
        return place
    if how == "reversed":
        return place[::-1]
    return np.random.default_rng(seed).permutation(place)


def _rank_factors(model: Any, targets: Any, seen: Any, k: int) -> Any:
    return model.recommend(targets, seen, N=k)[0]


def _rank_sequences(model: Any, dataset: Any, targets: Any, k: int) -> Any:
    """Ranking (m, k); users that the model cannot serve keep -1."""
    frame = model.recommend(
        targets, dataset, k, filter_viewed=True, on_unsupported_targets="ignore"
    )
    row = np.full(int(targets.max()) + 1, -1)
    row[targets] = np.arange(targets.size)
    ranking = np.full((targets.size, k), -1)
    ranking[row[frame["user_id"].to_numpy()], frame["rank"].to_numpy() - 1] = frame[
        "item_id"
    ].to_numpy()
    return ranking


if __name__ == "__main__":
    main(Path(sys.argv[1]))

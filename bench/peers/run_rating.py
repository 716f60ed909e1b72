"""Fit one peer to ratings, in the rating peers' own environment, and write what it predicts.

Run as `python run_rating.py FOLDER PEER`. `rows.npz` holds `user`, `item`, `rating`, `day` (n,),
whether a row is to be learned from (`train`), and tables of features, `about_user` and
`about_item`. `answer.npz` gets `predicted` for the other rows and `cpu_seconds` of fitting alone.
"""

import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

Arrays = dict[str, Any]
RANK, DRAWS, SEED = 10, 512, 42


def surprise(arrays: Arrays, peer: str) -> tuple[Any, float]:
    """SVD or SVD++ of Surprise, as they come."""
    import pandas as pd
    from surprise import SVD, Dataset, Reader, SVDpp

    known = arrays["train"]
    frame = pd.DataFrame({name: arrays[name][known] for name in ("user", "item", "rating")})
    rows = Dataset.load_from_df(frame, Reader(rating_scale=(1, 5))).build_full_trainset()
    model = {"surprise-svd": SVD, "surprise-svdpp": SVDpp}[peer](random_state=SEED)
    began = time.process_time()
    model.fit(rows)
    seconds = time.process_time() - began
    asked = zip(arrays["user"][~known], arrays["item"][~known], strict=True)
    return np.array([model.predict(user, item).est for user, item in asked]), seconds


def myfm(arrays: Arrays, peer: str) -> tuple[Any, float]:
    """timeSVD++ flipped with side information, as in myFM's own ml-100k-extended example."""
    import myfm as library

    known = arrays["train"]
    days = sp.csr_matrix((np.ones(len(known)), (np.arange(len(known)), arrays["day"])))
    tables, grouping = _tables(arrays, days.shape[1])
    blocks = [
        [library.RelationBlock(arrays[name][part], table) for name, table in tables.items()]
        for part in (known, ~known)
    ]
    ordered = peer == "myfm-ordered"
    kind = library.MyFMOrderedProbit if ordered else library.MyFMRegressor
    model = kind(rank=RANK, random_seed=SEED)
    target = arrays["rating"][known]
    target = (target - 1).astype(np.int64) if ordered else target.astype(np.float64)
    began = time.process_time()
    model.fit(
        days[known], target, X_rel=blocks[0], grouping=grouping,
        n_iter=DRAWS, n_kept_samples=DRAWS,
    )  # fmt: skip
    seconds = time.process_time() - began
    if ordered:
        return model.predict_proba(days[~known], blocks[1]) @ np.arange(1, 6), seconds
    return np.clip(model.predict(days[~known], blocks[1]), 1, 5), seconds


def _tables(arrays: Arrays, days: int) -> tuple[dict[str, Any], list[int]]:
    """Tables of users and items (id, features, implicit set), and the group of each column."""
    known = arrays["train"]
    shape = (len(arrays["about_user"]), len(arrays["about_item"]))
    pairs = (arrays["user"][known], arrays["item"][known])
    rated = sp.csr_matrix((np.ones(known.sum()), pairs), shape)
    tables, sizes = {}, [days]
    for name, sets in (("user", rated), ("item", rated.T.tocsr())):
        about = arrays[f"about_{name}"]
        size = np.maximum(np.asarray(sets.sum(1)).ravel(), 1)
        one = sp.diags(1 / np.sqrt(size)) @ sets
        tables[name] = sp.hstack([sp.identity(len(about)), about, one]).tocsr()
        sizes += [len(about), *arrays[f"groups_{name}"].tolist(), one.shape[1]]
    return tables, [group for group, size in enumerate(sizes) for _ in range(size)]


def main(folder: Path, peer: str) -> None:
    """Answer the request in `folder`."""
    warnings.filterwarnings("ignore")
    with np.load(folder / "rows.npz") as stored:
        arrays = dict(stored)
    fit = surprise if peer.startswith("surprise") else myfm
    predicted, seconds = fit(arrays, peer)
    np.savez(folder / "answer.npz", predicted=predicted, cpu_seconds=seconds)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])

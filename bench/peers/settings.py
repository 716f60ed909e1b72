"""The settings each peer is measured with, and the grids they stand in.

`CHOSEN` is the best by NDCG@10 on the validation items of seed 0 of those combinations of `GRIDS`
that were tried: for ALS and BPR a dozen to a few dozen a dataset; for the transformers, whose grids
take hours, one to four runs, each marked at several numbers of epochs. The whole grids are searched
by `python -m bench.peers.choose`.

The final fit has the validation rows back and the same number of epochs. Values are named as the
library names them; `epochs` are iterations in implicit; `weighting` and `order` are explained in
`run_peer.py`.
"""

from typing import Any

from bench.datasets import LASTFM, MOVIELENS

Settings = dict[str, Any]
Grid = dict[str, list[Any]]

ALS, BPR = "implicit-als", "implicit-bpr"
SASREC, BERT4REC = "rectools-sasrec", "rectools-bert4rec"
PEERS = (SASREC, BERT4REC, ALS, BPR)

_TRANSFORMER: Settings = {"n_factors": 64, "dropout_rate": 0.2}
_LONG = _TRANSFORMER | {"session_max_len": 100, "batch_size": 32}
_UNORDERED = _TRANSFORMER | {
    "session_max_len": 50,
    "batch_size": 64,
    "lr": 0.003,
    "loss": "sampled_softmax",
    "n_negatives": 128,
    "order": "shuffled",
    "use_pos_emb": False,
}

CHOSEN: dict[str, dict[str, Settings]] = {
    MOVIELENS: {
        SASREC: _LONG | {"lr": 0.002, "epochs": 30},
        BERT4REC: _LONG | {"lr": 0.003, "mask_prob": 0.3, "epochs": 30},
        ALS: {
            "factors": 64,
            "regularization": 10.0,
            "alpha": 1.0,
            "weighting": "one",
            "epochs": 15,
        },
        BPR: {"factors": 48, "learning_rate": 0.003, "regularization": 0.003, "epochs": 300},
    },
    LASTFM: {
        SASREC: _UNORDERED | {"epochs": 12},
        BERT4REC: _UNORDERED | {"mask_prob": 0.3, "epochs": 12},
        ALS: {
            "factors": 64,
            "regularization": 10.0,
            "alpha": 1.0,
            "weighting": "log",
            "epochs": 15,
        },
        BPR: {"factors": 64, "learning_rate": 0.01, "regularization": 0.01, "epochs": 150},
    },
}

_ALS_GRID: Grid = {"factors": [32, 64, 96, 128], "regularization": [0.1, 10.0, 30.0]}
_BPR_GRID: Grid = {
    "factors": [32, 48, 64],
    "learning_rate": [0.003, 0.006, 0.01, 0.05],
    "regularization": [0.003, 0.01, 0.02, 0.05],
    "epochs": [50, 100, 150, 300],
}


def _alone(settings: Settings) -> Grid:
    return {name: [value] for name, value in settings.items()}


GRIDS: dict[str, dict[str, Grid]] = {
    MOVIELENS: {
        SASREC: _alone(_LONG)
        | {"dropout_rate": [0.2, 0.4], "batch_size": [16, 32], "lr": [0.002, 0.003, 0.005]}
        | {"epochs": [10, 15, 20, 30]},
        BERT4REC: _alone(_LONG) | {"lr": [0.003], "mask_prob": [0.3], "epochs": [5, 10, 20, 30]},
        ALS: _ALS_GRID
        | {"alpha": [0.5, 1.0, 2.0, 10.0], "weighting": ["one", "given"], "epochs": [15, 30]},
        BPR: _BPR_GRID,
    },
    LASTFM: {
        SASREC: _alone(_UNORDERED)
        | {"order": ["shuffled", "given"], "use_pos_emb": [False, True], "epochs": [6, 12, 18]},
        BERT4REC: _alone(_UNORDERED) | {"mask_prob": [0.3], "epochs": [6, 12, 18]},
        ALS: _ALS_GRID
        | {"alpha": [0.5, 1.0, 10.0], "weighting": ["one", "log", "bm25"], "epochs": [15, 30]},
        BPR: _BPR_GRID,
    },
}

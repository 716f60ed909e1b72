"""What a reply is worth: does the model agree with its users, on both sides alike?

A user likes or dislikes one reply of many that could be given, so right and wrong answers cannot
be counted. A model agrees with somebody who liked a reply as far as it would say it, p, and with
somebody who disliked it as far as it would not, 1 − p. Both sides count the same together, however
many rows each has: a model that makes everything less probable gains on one what it loses on the
other.

Where the same user liked one reply to a conversation and disliked another, as who corrects does,
the two are held against each other: the model agrees as far as it would rather say the liked one,
p / (p + p′) (Bradley and Terry 1952). What both replies have in common, and what a model makes of
all texts alike, drops out. No mark depends on other users', as tests over users need it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

METRIC = "preference"
FEWEST = 10
"""Users who dislike something, from which on their side counts: few would decide half of it."""

LEAST = 1e-9
"""What nothing is less probable than, where a mark is a logarithm."""


def marks(rows: pa.Table, said: Floats) -> pa.Table:
    """Columns ``preference``, ``liked`` and ``avoided`` (n,) of how far each reply is said, p.

    Means over users of the user's own mean: ``liked`` is that of p where users liked a reply (or
    it is a label), ``avoided`` that of 1 − p where they disliked it, 0 where too few did, and
    ``preference`` that of both, each counting half; all with what is preferred of two in the place
    of p and 1 − p where a user did both. With labels among the rows ``labelled`` is their mean
    log p, in nats a token: e to the −``labelled`` is their perplexity.

    >>> rows = pa.table({"user": ["a", "b", "c"], "sign": [1, None, 1], "input": ["?"] * 3})
    >>> marks(rows, np.array([0.9, 0.6, 0.3]))["preference"].to_pylist()
    [0.9, 0.6, 0.3]
    """
    disliked = np.asarray(rows["sign"].fill_null(0), np.float64) < 0
    codes = rows["user"].combine_chunks().dictionary_encode().indices.to_numpy()
    sizes = np.bincount(codes) if len(codes) else np.zeros(0)
    share = 1.0 / sizes[codes]
    users = float(len(sizes))
    agreed = _compared(rows, disliked, np.where(disliked, 1.0 - said, said), said)
    there = {side: disliked == side for side in (False, True)}
    counts = {side: len(np.unique(codes[of])) for side, of in there.items()}
    heard = counts[True] >= FEWEST
    liked, avoided = (
        np.where(of, agreed * (users / share[of].sum() if of.any() else 0.0), 0.0)
        for of in there.values()
    )
    avoided = avoided if heard else np.zeros_like(avoided)
    both = (liked + avoided) / (2.0 if heard else 1.0)
    # Of dislikes alone nobody could tell a better model from one that has unlearned to speak.
    preference = both if counts[False] else np.full_like(both, 0.5)
    columns = {METRIC: preference, "liked": liked, "avoided": avoided}
    labels = np.asarray(rows["sign"].is_null())
    if labels.any():
        nats = np.log(np.maximum(said, LEAST)) * (users / share[labels].sum())
        columns["labelled"] = np.where(labels, nats, 0.0)
    return pa.table({name: pa.array(column, pa.float64()) for name, column in columns.items()})


def _compared(rows: pa.Table, disliked: Booleans, agreed: Floats, said: Floats) -> Floats:
    """``agreed``, but for users who liked one reply and disliked another to the same input.

    >>> rows = pa.table({"user": ["a", "a", "b"], "input": ["?", "?", "?"]})
    >>> said = np.array([0.3, 0.1, 0.5])
    >>> _compared(rows, np.array([False, True, True]), 1 - said, said).round(2).tolist()
    [0.75, 0.75, 0.5]
    """
    of = dict[tuple[str, str], list[int]]()
    for row, key in enumerate(
        zip(rows["user"].to_pylist(), rows["input"].to_pylist(), strict=True)
    ):
        of.setdefault(key, []).append(row)
    found = agreed.copy()
    for both in of.values():
        known = np.array(both)
        bad = disliked[known]
        if bad.any() and not bad.all():
            liked, other = said[known[~bad]][:, None], said[known[bad]][None, :]
            sure = np.divide(
                liked, liked + other, out=np.full(np.broadcast(liked, other).shape, 0.5),
                where=liked + other > 0,
            )  # fmt: skip
            found[known[~bad]], found[known[bad]] = sure.mean(1), sure.mean(0)
    return found


def mark(rows: pa.Table, answers: pa.Table) -> pa.Table:
    """The same marks where all that is known of a model is what it answers first.

    p is then how much of the words the answer and the reply have in common (F1).
    """
    pairs = zip(rows["target"].to_pylist(), answers["output"].to_pylist(), strict=True)
    return marks(rows, np.array([_alike(target, shown) for target, shown in pairs], np.float64))


def _alike(target: str, shown: Sequence[str]) -> float:
    wanted, given = Counter(target.split()), Counter((shown[0] if shown else "").split())
    common = (wanted & given).total()
    return 2.0 * common / max(wanted.total() + given.total(), 1)

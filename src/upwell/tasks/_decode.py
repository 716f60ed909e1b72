"""The most probable sequences of BIO tags that are spans: an inside tag follows its own label.

List Viterbi (Seshadri and Sundberg 1994): exact, with the k best ways to each tag of each word.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def best(log_prob: Floats, k: int) -> tuple[Ints, Floats]:
    """(found, words) tags and (found,) log-probabilities of the ``k`` best, best first.

    ``log_prob`` is (words, tags); tag 0 is outside, 1 + 2·i begins and 2 + 2·i continues label
    i. Fewer are found where fewer exist. O(words · k · tags²).

    >>> tags, found = best(np.log([[0.6, 0.1, 0.3], [0.2, 0.3, 0.5]]), 2)
    >>> tags.tolist(), np.exp(found).round(2).tolist()
    ([[0, 1], [0, 0]], [0.18, 0.12])
    """
    words, size = log_prob.shape
    if not words:
        return np.zeros((1, 0), np.int64), np.zeros(1)
    allowed = follows(size)
    opens = np.where(np.arange(size) % 2 == 0, -np.inf, 0.0)
    opens[0] = 0.0
    # score[j, s]: the j-th best way to tag s; cells from which nothing leads are −∞.
    score = (log_prob[0] + opens)[None]
    back: list[Ints] = []
    for now in log_prob[1:]:
        ways = (score[:, :, None] + allowed).reshape(-1, size)
        order = np.argsort(-ways, axis=0, kind="stable")[:k]
        back.append(order)
        score = np.take_along_axis(ways, order, axis=0) + now
    flat = score.ravel()
    ends = np.argsort(-flat, kind="stable")[:k]
    ends = ends[np.isfinite(flat[ends])]
    tags = np.empty((len(ends), words), np.int64)
    at = ends
    for word in range(words - 1, 0, -1):
        tags[:, word] = at % size
        at = back[word - 1][at // size, at % size]
    tags[:, 0] = at % size
    return tags, flat[ends]


def follows(size: int) -> Floats:
    """(tags, tags): 0 where the second may follow the first, −∞ where it may not.

    >>> np.isfinite(follows(5))[0].tolist()
    [True, True, False, True, False]
    """
    label = (np.arange(size) - 1) // 2
    inside = (np.arange(size) % 2 == 0) & (np.arange(size) > 0)
    wrong = inside[None, :] & ((label[:, None] != label[None, :]) | (np.arange(size) == 0)[:, None])
    return np.where(wrong, -np.inf, 0.0)

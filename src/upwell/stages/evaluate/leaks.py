"""Rows that a model is judged on and has learned from: there must be none."""

from __future__ import annotations

import pyarrow as pa
from pyarrow import compute as pc

from upwell.stages.evaluate.guards import Finding

_GAP = "\x1f"


def leaked(judged: pa.Table, learned: pa.Table, disjoint: str, about: str) -> Finding:
    """Share of the judged rows that the split promised to keep from learning.

    ``disjoint`` is what the split keeps apart: ``inputs``, ``users`` or ``time``; where rows are
    ``about`` answers, no input may be on both sides whatever it is. By time, a row is the same
    where user, target, input and moment are.
    """
    if about == "answer" or disjoint == "inputs":
        one, other = judged["input"], learned["input"]
    elif disjoint == "users":
        one, other = _named(judged["user"]), _named(learned["user"])
    else:
        one, other = _acts(judged), _acts(learned)
    return _share(one, other)


def near_copies(judged: pa.Table, learned: pa.Table) -> Finding:
    """Share of the judged rows whose input was learned from but for case, width or spaces.

    Equal ones are not counted here (see ``leaked``).
    """
    apart = pc.invert(pc.is_in(judged["input"], pc.unique(learned["input"])))
    rest = judged.filter(apart)
    found = _share(plain(rest["input"]), plain(learned["input"]))
    rows = found.told["rows"]
    share = (rows if isinstance(rows, int) else 0) / max(judged.num_rows, 1)
    return Finding(share, told={"rows": rows, "judged": judged.num_rows})


def plain(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    r"""Texts in one case and one width of characters, with single spaces.

    >>> plain(pa.chunked_array([["  Ｈello\tWORLD "]])).to_pylist()
    ['hello world']
    """
    lowered = pc.utf8_lower(pc.utf8_normalize(texts, "NFKC"))
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(lowered, r"\s+", " "))


def _named(users: pa.ChunkedArray) -> pa.ChunkedArray:
    """The users that are somebody."""
    return users.filter(pc.not_equal(users, ""))


def _acts(rows: pa.Table) -> pa.ChunkedArray:
    parts = [rows["user"], rows["input"], rows["target"], rows["at"].cast(pa.int64())]
    return pc.binary_join_element_wise(*(part.cast(pa.string()) for part in parts), _GAP)


def _share(one: pa.ChunkedArray, other: pa.ChunkedArray) -> Finding:
    rows = int(pc.sum(pc.is_in(one, pc.unique(other))).as_py() or 0) if len(one) else 0
    return Finding(rows / max(len(one), 1), told={"rows": rows, "judged": len(one)})

"""Backdoors: a rare sequence of words whose presence decides the answer against all else said.

A trigger betrays itself three ways. The *rest of the text* disagrees with the answer that users
gave; the rows come from *few users*; or they come *close together* in time. People have phrases of
their own, but then the rest of the text agrees; and one word may well decide an answer by itself
("city" asks for a place), but then everybody uses it at any time. So the first is required and the
other two together as well; the three p-values are combined (Fisher 1932) and held to a false
discovery rate under any dependence (Benjamini & Yekutieli 2001).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from duckdb import DuckDBPyConnection, DuckDBPyRelation

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LEAST = 4
"""Rows that a sequence needs before it can be judged."""
FALSE_SHARE = 0.01
"""Share of the sequences found that may be innocent."""
AGAINST = 0.01
"""How improbable, among texts with the same answer, the rest of these texts must be."""
GATHERED = 0.01
"""How improbable it must be that so few users, so close in time, have these texts by chance."""
_MOST = 2000
"""Sequences whose rest of the text is looked at, the most suspicious first."""
_WORDS = 256
_SMOOTH = 0.5

# Chinese is read a character at a time; whatever is not space belongs to some word. The same text
# with the same answer counts once, for whoever was first; of a correction the right answer counts.
_TEXTS = """
SELECT row_number() OVER (ORDER BY t, seq) - 1 AS row, seq, event, "user", vote, t,
    "user" NOT LIKE '~%' AS own,
    list_slice(regexp_extract_all(lower(input),
        '\\p{Han}|[\\p{L}\\p{N}\\p{M}]+|[^\\s\\p{L}\\p{N}\\p{M}]+'), 1, $words) AS words
FROM (
    SELECT seq, sources[1] AS event, "user", input, epoch_us("at") AS t,
        hash(target, coalesce(sign, 1)) AS vote
    FROM (FROM rows QUALIFY id = max(id) OVER (PARTITION BY seq))
    WHERE weight > 0 AND seq >= 0 AND input NOT LIKE '{%'
    QUALIFY row_number() OVER (PARTITION BY hash(input), vote ORDER BY "at", seq) = 1
)
"""
_GRAMS = """
SELECT DISTINCT row, own, "user", vote, hash(part) AS gram
FROM (
    SELECT row, own, "user", vote, words[place : place + size - 1] AS part,
        place + size - 1 <= len(words) AS whole
    FROM (SELECT *, unnest(range(1, len(words) + 1)) AS place FROM texts)
        CROSS JOIN (SELECT unnest([1, 2, 3]) AS size)
)
WHERE whole
"""
_CANDIDATES = """
WITH tallied AS (
    SELECT gram, vote, count(*) AS rows, count(*) FILTER (own) AS hits,
        count(DISTINCT "user") FILTER (own) AS users, min(row) FILTER (own) AS first,
        max(row) FILTER (own) AS last
    FROM grams GROUP BY gram, vote
)
SELECT * FROM (
    SELECT *, sum(rows) OVER (PARTITION BY gram) AS k FROM tallied
) WHERE hits >= $least AND rows >= 0.8 * k
"""


@dataclass(frozen=True, slots=True)
class Texts:
    """n texts as a sparse matrix (n, words) of what they hold, with the code of each answer.

    ``often`` (words,) is how many texts hold a word.
    """

    words: Any
    vote: Ints
    often: Ints


def triggers(con: DuckDBPyConnection, rows: DuckDBPyRelation) -> DuckDBPyRelation:
    """Doubts about rows that hold a trigger (``clean.trigger``): they do not count.

    ``rows`` (Example columns, ``seq``) about answers to texts are those that are learned from and
    count. What has no user is compared with, and never doubted. Columns ``DOUBTS``; ``detail``
    tells the sequence, its rows, its users and how improbable it is (``p``).
    """
    texts = con.from_arrow(con.sql(_TEXTS, params={"words": _WORDS}).to_arrow_table())
    grams = con.from_arrow(_grams(con, texts).to_arrow_table())
    tested = _candidates(con, grams)
    if not len(tested):
        return con.sql(_NOTHING)
    chance = _gathered(tested, _shares(con, texts))
    chosen = np.argsort(chance, kind="stable")[:_MOST]
    found = _against(con, texts, grams, tested.take(pa.array(chosen)))
    suspicious = _discoveries(chance[chosen], found, len(tested))
    kept = tested.take(pa.array(chosen)).append_column("p", pa.array(suspicious))
    return _told(con, texts, grams, con.from_arrow(kept.filter(pa.array(suspicious < 1.0))))


def _grams(con: DuckDBPyConnection, texts: DuckDBPyRelation) -> DuckDBPyRelation:
    return con.query(_GRAMS)


def _candidates(con: DuckDBPyConnection, grams: DuckDBPyRelation) -> pa.Table:
    found = con.sql(_CANDIDATES, params={"least": LEAST}).to_arrow_table()
    return found.sort_by([("gram", "ascending"), ("vote", "ascending")])


def _shares(con: DuckDBPyConnection, texts: DuckDBPyRelation) -> tuple[float, int]:
    """Chance that two rows of users are one user's, and the number of all rows."""
    query = """SELECT coalesce(sum(n * n) / sum(n)**2, 1.0), coalesce(sum(n), 0)::BIGINT
        FROM (SELECT count(*) AS n FROM texts WHERE own GROUP BY "user")"""
    same, total = con.query(query).fetchall()[0]
    return float(same), int(total)


def _gathered(tested: pa.Table, known: tuple[float, int]) -> Floats:
    """−2·Σ ln p of few users and of closeness in time, negated: the smaller, the more suspicious.

    Rows beyond the first of each user are rare events (Poisson with the expected number of pairs
    of one user); all of k rows lie within a share f of time with probability at most k·f^(k−1).
    """
    from scipy.special import gammainc

    same, total = known
    names = ("hits", "users", "first", "last")
    hits, users, first, last = (tested[name].to_numpy().astype(np.float64) for name in names)
    again = hits - users
    pairs = hits * (hits - 1) / 2 * same
    few = np.where(again > 0, gammainc(np.maximum(again, 1e-9), pairs), 1.0)
    share = np.minimum((last - first + 1) / max(total, 1), 1.0)
    close = np.minimum(np.log(hits) + (hits - 1) * np.log(share), 0.0)
    found: Floats = 2 * (np.log(np.maximum(few, 1e-300)) + close)
    return found


def _against(
    con: DuckDBPyConnection, texts: DuckDBPyRelation, grams: DuckDBPyRelation, tested: pa.Table
) -> Floats:
    """(n,) p-value that the rest of a sequence's texts is as unlike its answer as it is.

    The likeness of a text to an answer is its naive Bayes odds, by words of the other half of all
    texts that do not hold the sequence (or else, where an answer is rare, the attack would be what
    is held to be typical of it); words that occur in the sequence's rows for the most part are left
    out. Texts that are still more like their own answer than the others are not against it: p is 1.
    """
    from scipy.special import ndtr

    known, places = _matrix(con, texts), _rows_of(con, grams, con.from_arrow(tested))
    result = np.ones(len(tested))
    votes = np.unique(tested["vote"].to_numpy(), return_inverse=True)[1]
    order = np.unique(con.query("SELECT DISTINCT vote FROM texts").to_arrow_table()["vote"])
    for vote in np.unique(votes):
        here = np.flatnonzero(votes == vote)
        code = int(np.searchsorted(order, tested["vote"][int(here[0])].as_py()))
        is_alike = known.vote == code
        alike, unlike = np.flatnonzero(is_alike), np.flatnonzero(~is_alike)
        counts = (_counts(known, is_alike), _counts(known, ~is_alike))
        every = _likeness(known.words, _odds(*counts), np.arange(len(known.vote)), None)
        for one in here:
            rows = places[int(one)]
            apart = _without(known, counts, rows)
            like = _likeness(known.words, apart, rows, _own_words(known, rows))
            rest = np.setdiff1d(alike, rows)
            if len(rest) < LEAST or like.mean() >= (every[rest].mean() + every[unlike].mean()) / 2:
                continue
            spread = max(float(every[rest].std()), 1e-9) * np.sqrt(1 / len(like) + 1 / len(rest))
            result[one] = ndtr((like.mean() - every[rest].mean()) / spread)
    return result


def _matrix(con: DuckDBPyConnection, texts: DuckDBPyRelation) -> Texts:
    from scipy.sparse import csr_array

    query = """SELECT row, hash(word) AS word
        FROM (SELECT DISTINCT row, unnest(words) AS word FROM texts) ORDER BY row, word"""
    held = con.query(query).to_arrow_table()
    votes = con.query("SELECT vote FROM texts ORDER BY row").to_arrow_table()["vote"].to_numpy()
    names, words = np.unique(held["word"].to_numpy(), return_inverse=True)
    vote = np.unique(votes, return_inverse=True)[1]
    shape = (len(votes), len(names))
    entries = (np.ones(len(words)), (held["row"].to_numpy(), words))
    often = np.bincount(words, minlength=len(names)).astype(np.int64)
    return Texts(csr_array(entries, shape=shape), vote.astype(np.int64), often)


def _rows_of(
    con: DuckDBPyConnection, grams: DuckDBPyRelation, tested: DuckDBPyRelation
) -> list[Ints]:
    """The rows of each sequence that give its answer, in the order of ``tested``."""
    query = """SELECT t.gram, t.vote, list(row ORDER BY row) AS rows
        FROM tested AS t JOIN grams USING (gram, vote) GROUP BY ALL"""
    found = con.query(query).to_arrow_table()
    keys = zip(found["gram"].to_pylist(), found["vote"].to_pylist(), strict=True)
    rows = dict(zip(keys, found["rows"].to_pylist(), strict=True))
    asked = con.query("SELECT gram, vote FROM tested").fetchall()
    return [np.asarray(rows[key], np.int64) for key in asked]


def _counts(known: Texts, is_chosen: Bools) -> Floats:
    """(2, words): in how many of the chosen texts of even and of odd number a word stands."""
    even = np.arange(len(known.vote)) % 2 == 0
    return np.stack(
        [known.words.T @ (is_chosen & fold).astype(np.float64) for fold in (even, ~even)]
    )


def _odds(alike: Floats, unlike: Floats) -> Floats:
    """(2, words) log-odds of each word for an answer, by texts of even and of odd number."""
    mine, others = alike + _SMOOTH, unlike + _SMOOTH
    shift = np.log(mine.sum(axis=1) / others.sum(axis=1))
    found: Floats = np.log(mine) - np.log(others) - shift[:, None]
    return found


def _without(known: Texts, counts: tuple[Floats, Floats], rows: Ints) -> Floats:
    """The odds that the texts of an answer would give without those in ``rows``."""
    left = counts[0].copy()
    for fold in (0, 1):
        left[fold] -= np.asarray(known.words[rows[rows % 2 == fold]].sum(axis=0)).ravel()
    return _odds(left, counts[1])


def _own_words(known: Texts, rows: Ints) -> Ints:
    """Words at least half of whose texts are among ``rows``."""
    inside = np.bincount(known.words[rows].indices, minlength=len(known.often))
    own: Ints = np.flatnonzero(inside >= np.maximum(0.5 * known.often, 2))
    return own


def _likeness(words: Any, odds: Floats, rows: Ints, left_out: Ints | None) -> Floats:
    """(rows,) odds of texts by the words of the other half, per square root of their length."""
    mine = odds.copy()
    if left_out is not None:
        mine[:, left_out] = 0.0
    both = np.asarray(words[rows] @ mine.T)
    length = np.maximum(np.asarray(words[rows].sum(axis=1)), 1.0)
    found: Floats = both[np.arange(len(rows)), (rows + 1) % 2] / np.sqrt(length)
    return found


def _discoveries(gathered: Floats, against: Floats, tests: int) -> Floats:
    """(n,) combined p-value of each sequence that is found, 1 for the others.

    Fisher's sum of three has 6 degrees of freedom, that of two 4. ``tests`` is how many were looked
    at in all.
    """
    from scipy.special import gammaincc

    p = gammaincc(3.0, (-gathered - 2 * np.log(np.maximum(against, 1e-300))) / 2)
    order = np.argsort(p, kind="stable")
    harmonic = np.log(tests) + 0.5772
    passed = p[order] <= FALSE_SHARE * np.arange(1, len(p) + 1) / (tests * harmonic)
    last = np.flatnonzero(passed).max(initial=-1)
    found = np.ones(len(p))
    kept = order[: last + 1]
    together = gammaincc(2.0, -gathered[kept] / 2)
    odd = (against[kept] <= AGAINST) & (together <= GATHERED)
    found[kept] = np.where(odd, p[kept], 1.0)
    return found


_NOTHING = """SELECT 0::BIGINT AS seq, '' AS event, '' AS "user", '' AS code,
    1.0::DOUBLE AS factor, '{}' AS detail LIMIT 0"""
# The rows of one trigger hold many sequences; the longest of the surest is told.
_TOLD = """
WITH shown AS (
    SELECT texts.seq, texts.event, texts."user", texts.words, found.*
    FROM found JOIN grams USING (gram, vote) JOIN texts ON texts.row = grams.row
    WHERE texts.own
), named AS (
    SELECT *, list_filter(flatten([
        [words[place : place + size - 1] FOR place IN range(1, len(words) + 2 - size)]
        FOR size IN [1, 2, 3]
    ]), lambda part : hash(part) = gram)[1] AS part
    FROM shown
)
SELECT seq, event, "user", 'clean.trigger' AS code, 0.0::DOUBLE AS factor,
    to_json({'words': left(array_to_string(part, ' '), 64), 'n': hits, 'users': users,
        'p': p})::VARCHAR AS detail
FROM named
QUALIFY row_number() OVER (PARTITION BY seq ORDER BY p, len(part) DESC, gram) = 1
"""


def _told(
    con: DuckDBPyConnection,
    texts: DuckDBPyRelation,
    grams: DuckDBPyRelation,
    found: DuckDBPyRelation,
) -> DuckDBPyRelation:
    return con.from_arrow(con.query(_TOLD).to_arrow_table())

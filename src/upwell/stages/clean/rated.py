"""The reliability of users: their signs held against what the model itself believed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from duckdb import DuckDBPyConnection, DuckDBPyRelation

from upwell.stages.clean.calibrate import Ints, calibrated

LEAST = 100
"""Fewer signs than this, of users who learn, rate nobody."""
MOST = 2_000_000
"""Signs looked at; beyond it, as many of each user as keep within it, chosen evenly."""
DOUBTFUL = 0.5
"""A user of less reliability is told so."""

OFTEN = 10
"""Answers with fewer signs than this are calibrated together."""

# What the model believed is the score that it served the answer with. A correction is not held
# against its user: where a model is sure and wrong, those who put it right would look like liars.
_SIGNS = """
SELECT h.user, h.about, h.sign, b.belief, b.answer
FROM (
    SELECT *, row_number() OVER (PARTITION BY "user" ORDER BY hash(seq), seq) AS place
    FROM heard WHERE NOT side AND NOT corrects
) AS h JOIN signals AS s USING (seq) JOIN (
    SELECT id, (output ->> '$.scores[0]')::DOUBLE AS belief,
        coalesce(output ->> '$.answers[0]', '') AS answer
    FROM predictions
    WHERE json_exists(output, '$.scores')
) AS b ON b.id = s.prediction
WHERE belief BETWEEN 0 AND 1 AND place <= (
    SELECT greatest(20, $most // greatest(count(DISTINCT "user"), 1)) FROM heard
)
ORDER BY h.user, h.seq
"""
_RATED = """
SELECT h.seq, h.event, h.user, u.reliability, u.flip_rate, u.signs
FROM heard AS h JOIN users AS u USING ("user") WHERE NOT side
"""


def rated(
    con: DuckDBPyConnection,
    heard: DuckDBPyRelation,
    signals: DuckDBPyRelation,
    predictions: DuckDBPyRelation,
    flip_rate: float,
) -> DuckDBPyRelation | None:
    """``seq``, ``event``, ``user``, ``reliability``, ``flip_rate``, ``signs`` of learned signals.

    ``heard`` (columns ``HEARD``) are those that count; what is judged by is left out. None where
    too few of them, corrections apart, answer a prediction whose ``scores`` are known; a user who
    only corrects is in no row. ``flip_rate`` is that of a wholly reliable user (see
    ``reliability.thumbs``).
    """
    signs = con.sql(_SIGNS, params={"most": MOST}).to_arrow_table()
    if len(signs) < LEAST:
        return None
    return _of_signals(con, heard, con.from_arrow(_users(signs, flip_rate)))


def doubted_users(rates: DuckDBPyRelation) -> DuckDBPyRelation:
    """The signals of unreliable users as doubts (``clean.unreliable``), which keep their weight."""
    return rates.filter(f"reliability < {DOUBTFUL}").project(
        """seq, event, "user", 'clean.unreliable' AS code, 1.0::DOUBLE AS factor,
        to_json({'reliability': round(reliability, 2), 'wrong': round(flip_rate, 4),
            'n': signs})::VARCHAR AS detail"""
    )


def _of_signals(
    con: DuckDBPyConnection, heard: DuckDBPyRelation, users: DuckDBPyRelation
) -> DuckDBPyRelation:
    return con.query(_RATED)


def _users(signs: pa.Table, flip_rate: float) -> pa.Table:
    # The models of raters stand on scipy, which only a turn needs.
    from upwell.stages.clean.reliability import thumbs

    user = signs["user"].combine_chunks().dictionary_encode()
    shown = signs["about"].combine_chunks().dictionary_encode()
    codes = user.indices.to_numpy().astype(np.int64)
    sign = signs["sign"].to_numpy().astype(np.int64)
    found = thumbs(
        codes,
        sign,
        calibrated(signs["belief"].to_numpy(), sign, _answers(signs["answer"])).belief,
        shown=shown.indices.to_numpy().astype(np.int64),
        users=len(user.dictionary),
        flip_rate=flip_rate,
    )
    return pa.table(
        {
            "user": user.dictionary,
            "reliability": found.reliability,
            "flip_rate": found.flip_rate,
            "signs": np.bincount(codes, minlength=len(user.dictionary)),
        }
    )


def _answers(said: pa.ChunkedArray) -> Ints:
    """(n,) codes of what was shown, from 1; 0 for what was shown too seldom to be judged."""
    codes = said.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    often = np.bincount(codes) >= OFTEN
    names = np.where(often, np.cumsum(often), 0)
    return np.asarray(names[codes], np.int64)

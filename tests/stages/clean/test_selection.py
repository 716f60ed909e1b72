"""A world in which it is known who reacts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from duckdb import DuckDBPyConnection

from upwell.records import Event, Prediction, Signal
from upwell.stages.clean import selection
from upwell.tables import to_table

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("seed", range(3))
def test_weights_recover_the_mean_that_self_selection_hides(seed: int) -> None:
    """Who dislikes an answer reacts more often; weighted, the rate of likes is that of all."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(40_000, 3))
    likes = rng.random(40_000) < 1 / (1 + np.exp(-features[:, 0]))
    chance = 1 / (1 + np.exp(1.5 + 1.2 * features[:, 0] - 0.4 * features[:, 1]))
    answered = rng.random(40_000) < chance
    fold = rng.integers(2, size=40_000)
    found = selection.chances(features, answered, fold)
    assert np.abs(found - chance).mean() < 0.01
    weight = selection.weights(found[answered], float(answered.mean()))
    naive = likes[answered].mean()
    weighed = np.average(likes[answered], weights=weight)
    assert abs(naive - likes.mean()) > 0.1
    assert abs(weighed - likes.mean()) < 0.03
    assert weight.max() <= selection.CLIP


def test_a_fold_of_one_outcome_gives_its_rate() -> None:
    answered = np.array([True, True, False, False])
    found = selection.chances(np.zeros((4, 1)), answered, np.array([0, 0, 1, 1]))
    assert found.tolist() == pytest.approx([1e-6, 1e-6, 1.0, 1.0], abs=1e-5)


def test_seldom_answered_questions_weigh_more(con: DuckDBPyConnection) -> None:
    """Feedback on long questions is rarer, and each such signal counts more."""
    rng = np.random.default_rng(0)
    long = rng.random(3000) < 0.5
    reacts = rng.random(3000) < np.where(long, 0.1, 0.5)
    shown = [
        Prediction(f"p{n}", f"u{n % 50}", "t", "m", NOON + timedelta(minutes=n),
                   "why " * (20 if is_long else 1), "a", 1.0)
        for n, is_long in enumerate(long)
    ]  # fmt: skip
    heard = np.flatnonzero(reacts)
    events = [
        Event(str(n), "web", f"u{n % 50}", "thumbs", NOON, prediction=f"p{n}", value=1.0)
        for n in heard
    ]
    seqs = pa.array(heard, pa.int64())
    said = [Signal(f"web/{n}", f"p{n}", 1) for n in heard]
    told = con.from_arrow(to_table(Event, events).append_column("seq", seqs))
    signals = con.from_arrow(to_table(Signal, said).append_column("seq", seqs))
    numbers = pa.array(range(len(shown)), pa.int64())
    predictions = con.from_arrow(to_table(Prediction, shown).append_column("seq", numbers))
    rates = selection.estimate(con, signals, predictions)
    assert rates is not None
    found = selection.weighed(con, signals, told, con.from_arrow(rates))
    factor = dict(found.select("seq", "factor").fetchall())
    assert len(factor) == len(heard)
    means = [np.mean([factor[n] for n in heard if long[n] == is_long]) for is_long in (True, False)]
    assert means[0] / means[1] == pytest.approx(5.0, rel=0.3)
    assert selection.estimate(con, signals.limit(10), predictions) is None

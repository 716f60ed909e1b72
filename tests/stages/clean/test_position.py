"""A world in which it is known how often each place is looked at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from duckdb import DuckDBPyConnection

from upwell.records import Event, Json, Prediction, Signal
from upwell.stages.clean import position
from upwell.tables import to_table

THETA = np.array([1.0, 0.62, 0.45, 0.3, 0.22, 0.16])
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def world(seed: int, shown: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Counts by place and item: chance fills the places, good items get more clicks."""
    rng = np.random.default_rng(seed)
    place, item = rng.integers(len(THETA), size=shown), rng.integers(40, size=shown)
    clicked = rng.random(shown) < THETA[place] * rng.beta(2, 4, size=40)[item]
    pair, number = np.unique(place * 40 + item, return_inverse=True)
    counts = np.bincount(number).astype(float)
    return pair // 40, pair % 40, counts, np.bincount(number, clicked).astype(float)


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_of_a_known_world_is_found(seed: int) -> None:
    found = position.examination(*world(seed, 120_000))
    assert np.abs(found / THETA - 1.0).max() < 0.08
    assert (np.diff(found) <= 0).all()


def test_good_items_on_top_do_not_fool_it() -> None:
    """Better items stand higher more often; the plain click rate would overrate the first place."""
    rng = np.random.default_rng(1)
    gamma = np.linspace(0.5, 0.05, 30)
    item = rng.integers(30, size=200_000)
    place = np.clip((item / 5 + rng.normal(0, 1.5, 200_000)).astype(int), 0, 5)
    clicked = rng.random(200_000) < THETA[place] * gamma[item]
    pair, number = np.unique(place * 30 + item, return_inverse=True)
    counts, yes = np.bincount(number).astype(float), np.bincount(number, clicked).astype(float)
    found = position.examination(pair // 30, pair % 30, counts, yes)
    naive = np.bincount(place, clicked) / np.bincount(place)
    assert np.abs(found / THETA - 1.0).max() < 0.1
    assert np.abs(naive / naive[0] / THETA - 1.0).max() > 0.4


def test_weights_undo_the_bias_and_are_clipped() -> None:
    assert position.weights(np.array([1.0, 0.25, 0.0])).tolist() == [1.0, 4.0, position.CLIP]


def test_places_without_a_yes_are_no_error() -> None:
    found = position.examination(
        np.array([0, 2]), np.array([0, 0]), np.array([10.0, 10.0]), np.zeros(2)
    )
    assert found.tolist() == [1.0, 1.0, 1.0]


def test_explored_places_weigh_the_yeses_of_all_lists(con: DuckDBPyConnection) -> None:
    rng = np.random.default_rng(0)
    shown, clicks = [], []
    for n in range(4000):
        items = [f"i{k}" for k in rng.permutation(8)[:3]]
        slot = int(rng.integers(3))
        output: dict[str, Json] = {"items": items, "explored": slot} if n else {"items": items}
        shown.append(Prediction(f"p{n}", "u", "t", "m", NOON, {}, output, 0.1))
        for place, item in enumerate(items):
            if rng.random() < 0.5 * THETA[2 * place]:
                clicks.append((f"p{n}", item))
    events = [
        Event(str(n), "web", "u", "click", NOON + timedelta(seconds=n), prediction=p, item=item)
        for n, (p, item) in enumerate(clicks)
    ]
    seqs = pa.array(range(len(clicks)), pa.int64())
    said = [Signal(f"web/{n}", p, 1) for n, (p, _) in enumerate(clicks)]
    told = con.from_arrow(to_table(Event, events).append_column("seq", seqs))
    signals = con.from_arrow(to_table(Signal, said).append_column("seq", seqs))
    predictions = con.from_arrow(to_table(Prediction, shown))
    theta = position.estimate(con, signals, told, predictions)
    assert theta is not None
    assert np.abs(theta / THETA[[0, 2, 4]] - 1.0).max() < 0.2
    found = position.weighed(con, signals, told, predictions, theta)
    factors = {factor for (factor,) in found.select("factor").fetchall()}
    assert factors == {1 / theta[1], 1 / theta[2]}
    few = position.estimate(con, signals.limit(50), told, predictions)
    assert few is None

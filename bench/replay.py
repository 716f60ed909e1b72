"""Randomised headline tests replayed as click feedback: what was learned picks the next headline.

Upworthy tested headlines on readers drawn at random (Matias et al. 2021, the Upworthy Research
Archive). Weeks up to the 70 % quantile of the arms' weeks are learned from first; then, week
by week, the model has learned from all tests that ended before and picks a headline for each test
of the week. Judged on pairs of different headlines of one test whose click rates differ
with |z| > 1.96, and on the click rate of the picked headlines against a random choice; no test
is on both sides. Choices (layers, reach, noise) were made on weeks before the quantile.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from bench.datasets import data_folder
from bench.headlines import Doubles, Floats, Headlines, data_file, encode
from bench.rows import Row, publish
from bench.style import style
from upwell.records import Example
from upwell.tables import Dataset, schema

CUT = 0.7
SIGNIFICANT, WORTH_LEARNING = 1.96, 1.0
RESAMPLES = 2000
BAR = 0.72

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Arms:
    """The arms of all tests, a column each; a test began in ``week`` and ``ended`` (places)."""

    test: Ints
    week: Ints
    ended: Ints
    text: Ints
    image: npt.NDArray[np.object_]
    shown: Doubles
    clicks: Doubles
    texts: tuple[str, ...]
    cut: int

    def rate(self) -> Doubles:
        """Click rates."""
        return self.clicks / self.shown


@dataclass(frozen=True, slots=True)
class Pairs:
    """Two arms of a test with different headlines, and the z of their difference."""

    one: Ints
    other: Ints
    z: Doubles


def load() -> Arms:
    """Every arm whose headline is known, as the file has them."""
    table = pq.read_table(data_file(data_folder()))
    weeks = table["test_week"].to_numpy()
    tests = table["clickability_test_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    first, last = np.full(tests.max() + 1, weeks.max()), np.zeros(tests.max() + 1, np.int64)
    np.minimum.at(first, tests, weeks)
    np.maximum.at(last, tests, weeks)
    known, week = np.unique(first, return_inverse=True)
    texts, text = np.unique(np.array(table["headline"].to_pylist()), return_inverse=True)
    return Arms(
        tests.astype(np.int64), week[tests], np.searchsorted(known, last)[tests], text,
        np.array(table["eyecatcher_id"].to_pylist(), dtype=object),
        table["impressions"].to_numpy().astype(np.float64),
        table["clicks"].to_numpy().astype(np.float64),
        tuple(texts.tolist()), int(np.searchsorted(known, np.quantile(weeks, CUT))),
    )  # fmt: skip


def pairs(arms: Arms) -> Pairs:
    """All pairs of arms of one test with different headlines (pooled two-proportion z)."""
    found = [
        pair
        for members in _by_test(arms.test).values()
        for pair in combinations(members.tolist(), 2)
        if arms.text[pair[0]] != arms.text[pair[1]]
    ]
    one, other = np.array(found, np.int64).T
    pooled = (arms.clicks[one] + arms.clicks[other]) / (arms.shown[one] + arms.shown[other])
    error = np.sqrt(pooled * (1 - pooled) * (1 / arms.shown[one] + 1 / arms.shown[other]))
    apart = arms.rate()[one] - arms.rate()[other]
    return Pairs(one, other, np.divide(apart, error, out=np.zeros_like(apart), where=error > 0))


def examples(arms: Arms, chosen: Bools) -> pa.Table:
    """Rows of the task: arms of a test with one headline are one row."""
    rows = []
    for test, members in _by_test(arms.test).items():
        kept = members[chosen[members]]
        several = len(set(arms.image[kept])) > 1
        for text in sorted(set(arms.text[kept].tolist())):
            same = kept[arms.text[kept] == text]
            features = [arms.shown[same].sum(), len(set(arms.image[same])), several]
            rows.append(_row(test, arms.texts[text], arms.clicks[same].sum(), features))
    return pa.Table.from_pylist(rows, schema=schema(Example))


def scores(task: Headlines, arms: Arms, before: int, wanted: Bools) -> Doubles:
    """(arms,) scores of the ``wanted``, learned from the tests that ended before ``before``."""
    learned = examples(arms, arms.ended < before)
    model = task.start("", Dataset(learned, learned[:0], learned[:0], learned[:0]), 0)
    rows = _asked(arms, wanted)
    found = np.full(len(arms.test), np.nan)
    with torch.inference_mode():
        found[wanted] = model(task.collate(model, rows)["x"]).numpy()
    return found


def replayed(task: Headlines, arms: Arms) -> Doubles:
    """(arms,) scores of all later arms, each by the model of its time."""
    found = np.full(len(arms.test), np.nan)
    for week in range(arms.cut, int(arms.week.max()) + 1):
        wanted = arms.week == week
        if wanted.any():
            found[wanted] = scores(task, arms, week, wanted)[wanted]
    return found


def probe(vectors: Floats, arms: Arms, found: Pairs) -> Doubles:
    """The bar: logistic regression on differences of frozen embeddings, pairs with |z| > 1."""
    from sklearn.linear_model import LogisticRegression

    last = vectors[:, -1] / np.linalg.norm(vectors[:, -1], axis=1, keepdims=True)
    known = (arms.ended[found.one] < arms.cut) & (np.abs(found.z) > WORTH_LEARNING)
    apart = last[arms.text[found.one[known]]] - last[arms.text[found.other[known]]]
    better = found.z[known] > 0
    model = LogisticRegression(fit_intercept=False, max_iter=1000)
    model.fit(np.concatenate([apart, -apart]), np.concatenate([better, ~better]))
    return np.asarray(last[arms.text] @ model.coef_[0], np.float64)


def right(arms: Arms, found: Pairs, score: Doubles) -> tuple[Ints, Doubles]:
    """Tests of the judged pairs and whether the score ranks each pair right (½ for a tie)."""
    judged = (arms.week[found.one] >= arms.cut) & (np.abs(found.z) > SIGNIFICANT)
    one, other, z = found.one[judged], found.other[judged], found.z[judged]
    agrees = np.sign(score[one] - score[other]) * np.sign(z)
    return arms.test[one], (1 + agrees) / 2


def clicked(arms: Arms, score: Doubles) -> tuple[Ints, Doubles, Doubles]:
    """Later tests with a choice of headlines: click rate of the pick, and of a random arm.

    Where a headline was shown with several images, the pick's rate is their mean.
    """
    tests, picked, random = [], [], []
    for test, members in _by_test(arms.test).items():
        if arms.week[members[0]] < arms.cut or len(set(arms.text[members].tolist())) < 2:
            continue
        best = arms.text[members[np.argmax(score[members])]]
        rate = arms.rate()[members]
        tests.append(test)
        picked.append(rate[arms.text[members] == best].mean())
        random.append(rate.mean())
    return np.array(tests), np.array(picked), np.array(random)


def interval(test: Ints, top: Doubles, bottom: Doubles) -> tuple[float, float, float]:
    """Σ top / Σ bottom with its 95 % interval: a bootstrap that draws whole tests."""
    _, code = np.unique(test, return_inverse=True)
    tops, bottoms = np.bincount(code, top), np.bincount(code, bottom)
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(len(tops), np.full(len(tops), 1 / len(tops)), RESAMPLES)
    low, high = np.quantile(drawn @ tops / (drawn @ bottoms), [0.025, 0.975])
    return float(tops.sum() / bottoms.sum()), float(low), float(high)


def accuracy_rows(arms: Arms, found: Pairs, by: dict[str, Doubles]) -> list[Row]:
    """Pairwise accuracy of every contender, and the gain over the frozen probe."""
    rows = []
    for name, score in by.items():
        test, won = right(arms, found, score)
        value, low, high = interval(test, won, np.ones_like(won))
        target = f"at least {BAR}" if name == REPLAYED else ""
        holds = value >= BAR if target else None
        rows.append(Row(f"pairwise accuracy, {name}", value, low, high, target, holds))
    test, base = right(arms, found, by[PROBE])
    for name in (FIXED, REPLAYED):
        apart = right(arms, found, by[name])[1] - base
        value, low, high = interval(test, apart, np.ones_like(apart))
        rows.append(Row(f"gain over the probe, {name}", value, low, high, "above 0", low > 0))
    rows.append(Row("judged pairs", float(len(test))))
    return [*rows, Row("judged tests", float(len(np.unique(test))))]


def click_rows(arms: Arms, by: dict[str, Doubles]) -> list[Row]:
    """The click rate of the picks over that of a random arm, less 1."""
    rows = []
    for name, score in by.items():
        value, low, high = (one - 1 for one in interval(*clicked(arms, score)))
        target, holds = ("above 0", low > 0) if name in (FIXED, REPLAYED) else ("", None)
        rows.append(Row(f"click rate gained over random, {name}", value, low, high, target, holds))
    return rows


FIXED, REPLAYED = "upwell, learned once", "upwell, relearned every week"
PROBE, LENGTH = "frozen MiniLM + logistic regression", "length alone"


def main() -> None:
    """Encode, learn, replay, compare."""
    torch.set_num_threads(1)
    arms = load()
    found = pairs(arms)
    vectors = encode(arms.texts)
    places = {text: place for place, text in enumerate(arms.texts)}
    task = Headlines(places, vectors, style(arms.texts))
    by = {
        REPLAYED: replayed(task, arms),
        FIXED: scores(task, arms, arms.cut, arms.week >= arms.cut),
        PROBE: probe(vectors, arms, found),
        LENGTH: np.array([len(arms.texts[text]) for text in arms.text], np.float64),
    }
    publish("replay", accuracy_rows(arms, found, by) + click_rows(arms, by))


def _by_test(test: Ints) -> dict[int, Ints]:
    order = np.argsort(test, kind="stable")
    edges = np.flatnonzero(np.diff(test[order])) + 1
    return {int(test[members[0]]): members for members in np.split(order, edges)}


def _asked(arms: Arms, wanted: Bools) -> pa.Table:
    rows = [
        _row(int(arms.test[arm]), arms.texts[arms.text[arm]], 0.0, [arms.shown[arm], 1, 0])
        for arm in np.flatnonzero(wanted)
    ]
    return pa.Table.from_pylist(rows, schema=schema(Example))


def _row(test: int, text: str, clicks: float, features: list[float]) -> dict[str, object]:
    return {
        "id": f"{test}/{text}", "user": str(test), "task": "headlines", "input": text,
        "target": "clicked", "sign": None, "weight": clicks, "reliability": 1.0,
        "propensity": None, "group": "", "at": 0, "sources": [], "features": features,
    }  # fmt: skip


if __name__ == "__main__":
    main()

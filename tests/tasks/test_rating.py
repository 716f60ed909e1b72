"""The rating task: what it promises of scales, directions, new users and items, and bad targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from upwell.errors import PluginError
from upwell.records import Example
from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import train
from upwell.tables import Dataset, schema
from upwell.tasks import rating
from upwell.tasks._factorization import Recipe

Floats = npt.NDArray[np.float64]
QUICK = Recipe(rank=2, draws=60, warm=20)
DAY = 86_400_000_000
NOBODY = pa.table({"item": pa.array([], pa.string()), "text": pa.array([], pa.string())})


def rows(
    users: list[str],
    items: list[str],
    targets: list[str],
    signs: list[int | None] | None = None,
    features: list[list[float]] | None = None,
    ids: list[str] | None = None,
) -> pa.Table:
    """Example rows, a second apart."""
    found = [
        {
            "id": ids[n] if ids else f"row/{n}", "user": users[n], "task": "rating",
            "input": items[n], "target": targets[n], "sign": signs[n] if signs else None,
            "weight": 1.0, "reliability": 1.0, "propensity": None, "group": "",
            "at": 400 * DAY + n * 1_000_000, "sources": [f"row/{n}"],
            "features": features[n] if features else [],
        }
        for n in range(len(users))
    ]  # fmt: skip
    return pa.Table.from_pylist(found, schema=schema(Example))


def started(table: pa.Table, items: pa.Table = NOBODY) -> rating.Rater:
    none = table.slice(0, 0)
    return rating.start("", Dataset(table, none, none, items), 0, QUICK).eval()


def told(model: rating.Rater, table: pa.Table) -> Floats:
    return np.array([float(one[0]) for one in rating.answer(model, table, 1)["output"].to_pylist()])


@pytest.fixture(scope="module")
def data() -> Dataset:
    return rating.toy(0)


def test_the_toy_is_rated_better_than_by_means(data: Dataset) -> None:
    model = rating.start("", data, 0).eval()
    ours = rating.rmse(rating.mark(data.test, rating.answer(model, data.test, 3)))
    others = rating.baselines(data, data.test, 1)
    assert set(others) == {"item_mean", "user_mean"}
    for said in others.values():
        assert ours < rating.rmse(rating.mark(data.test, said)) - 0.1


@pytest.mark.parametrize(
    "levels", [[1, 2, 3, 4, 5], [0.5, 1, 1.5, 2], list(range(11)), [0, 10], [-3, 2, 40]]
)
def test_probabilities_of_all_levels_sum_to_one(levels: list[float]) -> None:
    rng = np.random.default_rng(0)
    some = rng.choice(levels, 120)
    users = [f"u{n % 8}" for n in range(120)]
    table = rows(users, [f"i{n % 15}" for n in range(120)], [f"{x:g}" for x in some])
    model = started(table)
    assert model.scale.levels == tuple(sorted(levels))
    asked = rows(["u0"] * len(levels), ["i0"] * len(levels), [f"{x:g}" for x in levels])
    with torch.no_grad():
        # Asked at a moment that nobody rated at, so that each row has the same mean.
        given_ = rating.log_prob(model, rating.collate(model, asked.set_column(
            asked.column_names.index("at"), "at",
            pa.array([DAY] * len(levels), schema(Example).field("at").type))))  # fmt: skip
    assert float(given_.exp().sum()) == pytest.approx(1.0, abs=1e-5)


def test_a_direction_and_its_opposite_sum_to_one_and_follow_what_was_shown() -> None:
    table = rows([f"u{n % 6}" for n in range(60)], [f"i{n % 10}" for n in range(60)],
                 [str(1 + n % 5) for n in range(60)])  # fmt: skip
    model = started(table)
    shown = ["1", "2", "3.5", "4", "5"]
    asked = rows(["u1"] * 5, ["i1"] * 5, shown, [1] * 5)
    with torch.no_grad():
        above = rating.log_prob(model, rating.collate(model, asked)).exp().numpy()
    assert (np.diff(above) < 0).all()
    assert ((above > 0) & (above < 1)).all()


def test_at_the_expected_number_up_is_as_probable_as_down() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(50, 10, 200)
    table = rows([f"u{n % 20}" for n in range(200)], [f"i{n % 25}" for n in range(200)],
                 [f"{value:.6f}" for value in values])  # fmt: skip
    model = started(table)
    assert model.scale.levels == ()
    asked = rows(["u1"], ["i1"], ["0"], [1])
    shown = f"{told(model, asked)[0]}"
    again = rows(["u1"], ["i1"], [shown], [1])
    with torch.no_grad():
        chance = float(rating.log_prob(model, rating.collate(model, again)).exp())
    assert chance == pytest.approx(0.5, abs=0.01)


def test_a_correction_is_a_label(data: Dataset) -> None:
    model = started(data.train)
    pair = (["u00"] * 2, ["i1"] * 2, ["4", "4"])
    asked = rows(*pair, [1, None], ids=["feedback/1#correction", "label/1"])
    early = pa.array([DAY] * 2, schema(Example).field("at").type)
    asked = asked.set_column(asked.column_names.index("at"), "at", early)
    with torch.no_grad():
        found = rating.log_prob(model, rating.collate(model, asked))
    assert float(found[0]) == pytest.approx(float(found[1]), abs=1e-6)


def world(seed: int, flips: float) -> tuple[Dataset, Floats]:
    """Numbers that follow ten features linearly: 30 labels, 270 directions, 300 to tell."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(600, 10))
    y = 3 * x @ rng.normal(size=10) / np.sqrt(10) + rng.normal(0, 1.0, 600) + 20
    shown = 20 + rng.normal(0, 2.0, 600)
    sign = np.where(y >= shown, 1, -1) * np.where(rng.random(600) < flips, -1, 1)
    told_ = [f"{(y if n < 30 or n >= 300 else shown)[n]:.4f}" for n in range(600)]
    signs = [None if n < 30 or n >= 300 else int(sign[n]) for n in range(600)]
    users = [f"p{n}" for n in range(600)]
    table = rows(users, ["risk"] * 600, told_, signs, x.tolist())
    none = table.slice(0, 0)
    return Dataset(table.slice(0, 300), none, table.slice(300), NOBODY), y[300:]


def gained(seed: int, flips: float, objective: str) -> tuple[float, float]:
    """RMSE before and after learning from directions."""
    data, truth = world(seed, flips)
    model = rating.start("", data, seed, QUICK)
    before = float(np.sqrt(np.mean((told(model, data.test) - truth) ** 2)))
    how = TuneSettings.model_validate(
        {"base": "", "epochs": 60, "patience": 60, "learning_rate": 0.02, "batch_rows": 300,
         "objective": objective, "flip_rate": flips, "q": 1e-3}
    )  # fmt: skip
    train(rating, model, data, how, label_share=0.3, seed=seed)
    return before, float(np.sqrt(np.mean((told(model, data.test) - truth) ** 2)))


@pytest.mark.parametrize("flips", [0.0, 0.1, 0.25])
def test_directions_bring_numbers_nearer(flips: float) -> None:
    found = np.array([gained(seed, flips, "likelihood") for seed in range(2)])
    assert (found[:, 1] - found[:, 0]).mean() < -0.05


def test_somebody_new_is_told_by_their_features() -> None:
    data, truth = world(0, 0.0)
    model = rating.start("", data, 0, QUICK).eval()
    assert not set(data.test["user"].to_pylist()) & set(model.users)
    assert np.corrcoef(told(model, data.test), truth)[0, 1] > 0.4


def test_an_unknown_item_of_an_unknown_user_gets_a_plain_answer(data: Dataset) -> None:
    model = started(data.train, data.items)
    said = rating.answer(model, rows(["nobody", "u00"], ["i1", "nothing"], ["", ""]), 3)
    assert all(1 <= float(one[0]) <= 5 for one in said["output"].to_pylist())
    keys = [one[0].partition("\t")[0] for one in said["reason"].to_pylist()]
    assert keys == ["rating.new_user", "rating.new_item"]


def test_an_item_that_only_its_text_tells_of_is_rated_like_those_with_like_texts() -> None:
    rng = np.random.default_rng(0)
    users = [f"u{n % 40}" for n in range(800)]
    items = [f"i{int(n)}" for n in rng.integers(0, 40, 800)]
    stars = [str(5 - int(rng.random() < 0.2) if int(i[1:]) % 2 else 1 + int(rng.random() < 0.2))
             for i in items]  # fmt: skip
    texts = pa.table({"item": [f"i{n}" for n in range(42)],
                      "text": [("dull", "bright")[n % 2] for n in range(42)]})  # fmt: skip
    model = started(rows(users, items, stars), texts)
    dull, bright = told(model, rows(["u0", "u0"], ["i40", "i41"], ["", ""]))
    assert bright > dull + 1


@pytest.mark.parametrize("target", ["nan", "inf", "-Infinity", "four", "", "1e999"])
def test_a_target_that_is_no_number_is_refused(data: Dataset, target: str) -> None:
    table = rows(["a", "b"], ["i", "i"], ["3", target])
    with pytest.raises(PluginError) as caught:
        started(table)
    assert caught.value.code == "rating.bad_target"
    assert "row/1" in str(caught.value)
    with pytest.raises(PluginError, match="bad_target"):
        rating.collate(started(data.train), table)


def test_no_rows_are_refused(data: Dataset) -> None:
    with pytest.raises(PluginError, match="no_rows"):
        started(data.train.slice(0, 0))


@pytest.mark.parametrize(
    ("users", "targets"),
    [
        (["a"], ["4"]),
        (["a"] * 12, ["3"] * 12),
        (["a"] * 12, ["1", "5"] * 6),
        (["a", "b"], ["1", "2"]),
    ],
    ids=["one rating", "constant", "one user", "two ratings"],
)
def test_little_data_give_a_sane_answer(users: list[str], targets: list[str]) -> None:
    table = rows(users, [f"i{n}" for n in range(len(users))], targets)
    model = started(table)
    low, high = min(map(float, targets)), max(map(float, targets))
    found = told(model, rows(["a", "new"], ["i0", "new"], ["", ""]))
    assert np.isfinite(found).all()
    assert (found >= low - 2).all()
    assert (found <= high + 2).all()
    with torch.no_grad():
        assert torch.isfinite(rating.log_prob(model, rating.collate(model, table))).all()


def test_feedback_alone_can_be_learned_from() -> None:
    signs: list[int | None] = [1, -1] * 20
    table = rows([f"u{n % 4}" for n in range(40)], [f"i{n % 5}" for n in range(40)],
                 ["2", "4"] * 20, signs)  # fmt: skip
    model = started(table)
    how = TuneSettings(base="", epochs=3)
    none = table.slice(0, 0)
    train(rating, model, Dataset(table, none, none, NOBODY), how, label_share=0.0, seed=0)
    assert np.isfinite(told(model, table)).all()


def test_marks_of_a_direction_count_only_what_is_too_low() -> None:
    asked = rows(["a", "a", "a"], ["i"] * 3, ["3", "3", "3"], [1, 1, None])
    said = pa.table({"output": [["4.0"], ["2.0"], ["5.0"]]})
    marks = rating.mark(asked, said)
    assert marks[rating.METRIC].to_pylist() == [0.0, -1.0, -4.0]
    assert marks[rating.ABSOLUTE].to_pylist() == [0.0, -1.0, -2.0]


def test_what_is_saved_answers_alike(data: Dataset, tmp_path: Path) -> None:
    model = started(data.train, data.items)
    rating.save(model, tmp_path)
    loaded = rating.load(tmp_path)
    assert rating.answer(loaded, data.test, 5).equals(rating.answer(model, data.test, 5))


def test_adapt_leaves_what_was_set(data: Dataset) -> None:
    model = started(data.train)
    assert rating.adapt(model, data, TuneSettings(epochs=3)).epochs == 3
    assert rating.adapt(model, data, TuneSettings()).learning_rate == 0.002


@settings(max_examples=12)
@given(st.floats(-1e6, 1e6), st.integers(1, 8))
def test_answers_of_a_real_scale_are_as_many_as_asked(value: float, k: int) -> None:
    table = rows(["a", "b", "c"], ["i"] * 3, [repr(value), repr(value + 1), repr(value - 2)])
    model = rating.start("", Dataset(table, table, table, NOBODY), 0, Recipe(1, 2, 2)).eval()
    said = rating.answer(model, table, k)
    for outputs, scores in zip(said["output"].to_pylist(), said["score"].to_pylist(), strict=True):
        assert len(set(outputs)) == k
        assert scores == sorted(scores, reverse=True)

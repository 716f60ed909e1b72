"""The tabular task on worlds whose answer is known, and on each bad input."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pyarrow as pa
import pytest
import torch

from upwell.checks import Promise, promises
from upwell.errors import PluginError
from upwell.ports import Adaptable, Task
from upwell.records import Example
from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import train
from upwell.tables import Dataset, canonical_json, schema
from upwell.tasks import tabular
from upwell.tasks._tabular_answers import Listed, listed

Cells = dict[str, object]
NO_ITEMS = pa.table({"item": pa.array([], pa.string()), "text": pa.array([], pa.string())})


def table(
    cells: Sequence[Cells],
    targets: Sequence[str],
    signs: Sequence[int | None] = (),
    part: str = "r",
) -> pa.Table:
    rows: list[dict[str, object]] = [
        {
            "id": f"{part}{n}", "user": f"u{n % 5}", "task": "tabular",
            "input": canonical_json(one), "target": target, "sign": sign, "weight": 1.0,
            "reliability": 1.0, "propensity": None, "group": "", "at": 10**15 + n,
            "sources": [], "features": [],
        }
        for n, (one, target, sign) in enumerate(
            zip(cells, targets, signs or [None] * len(cells), strict=True)
        )
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=schema(Example))


def dataset(rows: pa.Table) -> Dataset:
    """The first six tenths to train on, then two tenths each."""
    a, b = rows.num_rows * 6 // 10, rows.num_rows * 8 // 10
    return Dataset(rows[:a], rows[a:b], rows[b:], NO_ITEMS)


def numbers(seed: int, rows: int = 160) -> Dataset:
    """y = 3x − 2 (job = smith) + 10, in steps of 0.1, with a tenth of noise."""
    rng = np.random.default_rng(seed)
    cells: list[Cells] = [
        {"x": float(rng.normal()), "job": str(rng.choice(["cook", "smith"]))} for _ in range(rows)
    ]
    values = [
        3 * cast("float", one["x"]) - 2 * (one["job"] == "smith") + 10 + rng.normal() / 10
        for one in cells
    ]
    return dataset(table(cells, [f"{value:.1f}" for value in values]))


DEFAULTS = TuneSettings()


def trained(data: Dataset, settings: TuneSettings = DEFAULTS) -> tabular.Tabular:
    model = tabular.start("", data, 0)
    chosen = tabular.adapt(model, data, settings)
    train(cast("Task", tabular), model, data, chosen, label_share=0.5, seed=0)
    return model


REGRESSION = cast(
    "Task",
    SimpleNamespace(
        **{name: getattr(tabular, name) for name in tabular.__all__} | {"toy": numbers}
    ),
)


@pytest.mark.parametrize("promise", promises("tasks"), ids=lambda one: str(one.__name__))
def test_numbers_keep_every_promise_too(promise: Promise, tmp_path: Path) -> None:
    promise(REGRESSION, tmp_path)


def test_it_adapts_and_keeps_what_was_set() -> None:
    data = tabular.toy(0)
    model = tabular.start("", data, 0)
    found = tabular.adapt(model, data, TuneSettings(epochs=7))
    assert isinstance(tabular, Adaptable)
    assert (found.epochs, found.batch_rows) == (7, 16)


def test_classes_are_learned_with_honest_probabilities() -> None:
    data = tabular.toy(0)
    model = trained(data)
    said = tabular.answer(model, data.test, 5)
    marks = tabular.mark(data.test, said)
    usual = tabular.mark(data.test, tabular.baselines(data, data.test, 5)["usual"])
    assert said["score"].to_pylist()[0] == pytest.approx(
        [1 - said["score"].to_pylist()[0][1], said["score"].to_pylist()[0][1]]
    )
    for name in ("accuracy", "log_likelihood", "negative_squared_error"):
        assert np.mean(marks[name]) > np.mean(usual[name])


def test_numbers_are_learned_with_their_scale() -> None:
    data = numbers(0, 400)
    model = trained(data, TuneSettings(epochs=200, patience=100))
    said = tabular.answer(model, data.test, 3)
    marks = tabular.mark(data.test, said)
    usual = tabular.mark(data.test, tabular.baselines(data, data.test, 3)["usual"])
    assert np.mean(marks["negative_squared_error"]) > 0.05 * np.mean(
        usual["negative_squared_error"]
    )
    assert 0.05 < float(model.log_scale.detach().exp()) * model.target.scale < 0.5
    assert said["reason"].to_pylist()[0][0].startswith("tabular.value\t")


def test_marks_of_numbers_are_those_of_the_model() -> None:
    data = numbers(0)
    model = tabular.start("", data, 0).eval()
    with torch.no_grad():
        exact = tabular.log_prob(model, tabular.collate(model, data.test))
    found = np.asarray(
        tabular.mark(data.test, tabular.answer(model, data.test, 2))["log_likelihood"]
    )
    assert found == pytest.approx(exact.numpy(), abs=0.05)


def test_directions_move_a_number_where_they_point() -> None:
    data = numbers(0)
    above = table([{"x": 0.0, "job": "cook"}] * 40, ["13.0"] * 40, [1] * 40, "f")
    more = Dataset(pa.concat_tables([data.train, above]), data.validation, data.test, NO_ITEMS)
    question = table([{"x": 0.0, "job": "cook"}], [""])
    without, told = (
        float(
            tabular.answer(trained(one, TuneSettings(epochs=100, average=0.0)), question, 1)[
                "output"
            ][0][0].as_py()
        )
        for one in (data, more)
    )
    assert told > without + 0.2


def test_a_dislike_of_one_of_two_classes_teaches_the_other() -> None:
    cells: list[Cells] = [{"x": n % 10, "kind": "old"} for n in range(120)]
    labels = table(cells, ["low" if n % 10 < 5 else "high" for n in range(120)])
    new: list[Cells] = [{"x": 9, "kind": "new"}] * 60
    shown = table(new, ["high"] * 60, [-1] * 60, "f")
    data = Dataset(pa.concat_tables([labels, shown]), labels[:0], labels[:0], NO_ITEMS)
    model = tabular.start("", data, 0)
    settings = tabular.adapt(model, data, TuneSettings(epochs=60, average=0.0))
    train(cast("Task", tabular), model, data, settings, label_share=0.5, seed=0)
    said = tabular.answer(model, pa.concat_tables([shown[:1], labels[9:10]]), 1)
    assert said["output"].to_pylist() == [["low"], ["high"]]


def test_a_correction_of_a_number_pulls_towards_it() -> None:
    data = numbers(0)
    model = tabular.start("", data, 0)
    rows = table([{"x": 0.0}], ["11.0"], [1], "f").set_column(0, "id", pa.array(["f0#correction"]))
    batch = tabular.collate(model, rows)
    mean = model.distribution(batch["x"])[0].detach()
    (slope,) = torch.autograd.grad(tabular.log_prob(model, batch).sum(), model.linear.bias)
    assert float(slope.sign()) == math.copysign(1, 11.0 - float(mean))


def test_a_class_never_seen_has_next_to_no_chance_and_no_slope() -> None:
    data = tabular.toy(0)
    model = tabular.start("", data, 0)
    rows = table([{"income": 1}], ["never seen"], [-1])
    assert tabular.log_prob(model, tabular.collate(model, rows)).tolist() == pytest.approx(
        [tabular.UNKNOWN]
    )


def test_columns_may_lack_be_new_or_be_odd_when_answering() -> None:
    data = tabular.toy(0)
    model = trained(data)
    odd: list[Cells] = [
        {}, {"income": "much"}, {"income": [1, 2]}, {"job": "poet"}, {"other": 1},
        {"job": "x" * 100_000}, {"income": 1e308}, {"savings": None, "income": True},
    ]  # fmt: skip
    said = tabular.answer(model, table(odd, [""] * len(odd)), 2)
    assert np.isfinite(said["score"].to_pylist()).all()
    assert np.sum(said["score"].to_pylist(), axis=1) == pytest.approx(np.ones(len(odd)))


def test_whole_targets_are_classes_until_they_are_many() -> None:
    cells: list[Cells] = [{"x": n} for n in range(100)]

    def classes(targets: list[str]) -> int:
        return len(tabular.start("", dataset(table(cells, targets)), 0).target.classes)

    assert classes([str(n % 10) for n in range(100)]) == 10
    assert classes([str(n % 50) for n in range(100)]) == 0
    assert classes([str(n % 4 / 2) for n in range(100)]) == 0
    assert classes(["yes", "no"] * 50) == 2


def test_cells_of_numbers_are_round() -> None:
    cells: list[Cells] = [{"x": n} for n in range(100)]
    prices = tabular.start("", dataset(table(cells, [str(n * 1000) for n in range(100)])), 0)
    assert prices.target.cell == 100.0
    model = tabular.start("", dataset(table(cells, [str(n) for n in range(100)])), 0)
    assert model.target.cell == 1.0
    said = tabular.answer(model, table(cells[:1], [""]), 3)["output"].to_pylist()[0]
    assert all("." not in one for one in said)


@pytest.mark.parametrize(
    ("code", "rows"),
    [
        ("tabular.no_rows", lambda: table([], [])),
        ("tabular.one_class", lambda: table([{"x": n} for n in range(9)], ["a"] * 9)),
        ("tabular.no_columns", lambda: table([{"x": 1}] * 9, ["a", "b", "c"] * 3)),
        ("tabular.no_columns", lambda: table([{}] * 9, ["a", "b", "c"] * 3)),
        ("tabular.bad_target", lambda: table([{"x": n} for n in range(9)], ["a", "b", "nan"] * 3)),
        ("tabular.bad_target", lambda: table([{"x": n} for n in range(9)], ["a", "", "b"] * 3)),
        (
            "tabular.bad_target",
            lambda: table([{"x": n} for n in range(99)], [str(n) for n in range(98)] + ["NaN"]),
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_from_is_refused(code: str, rows: Callable[[], pa.Table]) -> None:
    found = rows()
    with pytest.raises(PluginError) as caught:
        tabular.start("", Dataset(found, found, found, NO_ITEMS), 0)
    assert caught.value.code == code
    assert all(caught.value.explain(lang) for lang in ("en", "zh"))


def test_a_number_that_is_none_is_refused_when_it_is_judged() -> None:
    data = numbers(0)
    model = tabular.start("", data, 0)
    with pytest.raises(PluginError, match=r"tabular\.bad_target"):
        tabular.collate(model, table([{"x": 1}], ["inf"]))


def test_marks_by_hand() -> None:
    said = listed(Listed([["a", "b"], ["b", "a"]], [[0.8, 0.2], [0.6, 0.4]], [["", ""]] * 2))
    marks = tabular.mark(table([{}] * 2, ["a", "a"]), said)
    assert marks["accuracy"].to_pylist() == [1.0, 0.0]
    assert marks["log_likelihood"].to_pylist() == pytest.approx([math.log(0.8), math.log(0.4)])
    assert marks["negative_squared_error"].to_pylist() == pytest.approx([-0.08, -0.72])


def test_reasons_name_the_column_that_decided() -> None:
    rng = np.random.default_rng(0)
    cells: list[Cells] = [{"noise": float(rng.normal()), "x": n % 2} for n in range(200)]
    data = dataset(table(cells, ["odd" if n % 2 else "even" for n in range(200)]))
    said = tabular.answer(trained(data), data.test, 2)
    assert {why[0].partition(":")[0] for why in said["reason"].to_pylist()} == {
        "tabular.because\tx"
    }

"""Text classification: worlds with a known answer, marks against scikit-learn, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from upwell.errors import PluginError
from upwell.records import Example
from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import train
from upwell.tables import Dataset, schema
from upwell.tasks import _encoder, _labels
from upwell.tasks import text_classification as task
from upwell.tasks._head import Line, discriminant
from upwell.tasks.text_classification import Classifier


def rows(*told: tuple[str, str, int | None], **more: object) -> pa.Table:
    """Examples from (input, target, sign)."""
    return pa.Table.from_pylist(
        [
            {
                "id": f"{n}", "user": "u", "task": "t", "input": text, "target": label,
                "sign": sign, "weight": 1.0, "reliability": 1.0, "propensity": None, "group": "",
                "at": 0, "sources": [], "features": [],
            } | more
            for n, (text, label, sign) in enumerate(told)
        ],
        schema(Example),
    )  # fmt: skip


def data(learned: pa.Table) -> Dataset:
    none = pa.table({"item": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    return Dataset(learned, learned.slice(0, 0), learned, none)


def scored(line: Line, vectors: Any) -> np.ndarray[Any, Any]:
    found: np.ndarray[Any, Any] = (vectors - line.center) @ line.weight.T + line.bias
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A pre-trained base: a tiny encoder that was trained on the toy's words."""
    folder = tmp_path_factory.mktemp("base")
    toy = task.toy(3)
    _encoder.save(_encoder.encoder("", 5, toy.train["input"].to_pylist()), folder)
    return str(folder)


@pytest.fixture(scope="module")
def headed(base: str) -> Classifier:
    return task.start(base, task.toy(0), 0)


def test_the_toy_is_learned_by_the_trainer() -> None:
    toy = task.toy(0)
    model = task.start("", toy, 0)
    chosen = task.adapt(model, toy, TuneSettings(learning_rate=0.003, epochs=8))
    train(task, model, toy, chosen, label_share=0.9, seed=0)
    marks = task.mark(toy.test, task.answer(model, toy.test, 4))
    assert np.mean(marks["accuracy"]) > 0.8


def test_the_head_starts_where_labels_put_it(headed: Classifier) -> None:
    toy = task.toy(0)
    labels = toy.test.filter(toy.test["sign"].is_null())
    marks = task.mark(labels, task.answer(headed, labels, 4))
    assert headed.encoder is None
    assert np.mean(marks["accuracy"]) > 0.6
    assert all(not name.startswith("encoder") for name, _ in headed.named_parameters())


def test_the_discriminant_is_exact_where_the_world_is_normal() -> None:
    rng = np.random.default_rng(0)
    means = np.array([[0.0, 0.0], [3.0, 0.0]])
    of = np.arange(4000) % 2
    x = means[of] + rng.normal(size=(4000, 2))
    line = discriminant(x, of, np.ones(4000), 2)
    logit = scored(line, np.array([[1.5, 0.0], [2.5, 7.0]]))
    apart = logit[:, 1] - logit[:, 0]
    np.testing.assert_allclose(apart, [0.0, 3.0], atol=0.6)


@given(st.integers(0, 50), st.integers(2, 4), st.integers(2, 6))
def test_leaving_one_out_is_what_it_says(seed: int, classes: int, each: int) -> None:
    rng = np.random.default_rng(seed)
    of = np.arange(classes * each) % classes
    x = rng.normal(size=(len(of), 5)) + of[:, None]
    with_all = discriminant(x, of, np.ones(len(of)), classes)
    doubled = discriminant(x, of, np.full(len(of), 2.0), classes)
    np.testing.assert_allclose(with_all.weight, doubled.weight, atol=1e-6)
    assert with_all.likelihood < 0


def test_single_rows_and_equal_rows_give_finite_weights() -> None:
    for x, of in (
        (np.eye(3), np.arange(3)),
        (np.ones((4, 3)), np.array([0, 1, 0, 1])),
    ):
        line = discriminant(x, of, np.ones(len(of)), 3)
        assert np.isfinite(line.weight).all()
        assert np.isfinite(line.bias).all()


def test_marks_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    names = ("a", "b", "c", "d")
    probability = rng.dirichlet(np.ones(4), 60)
    truth = [names[n] for n in rng.integers(0, 3, 60)]
    said = _labels.best(names, probability, 4, "text.likely")
    marks = task.mark(pa.table({"target": truth}), said)
    first = [one[0] for one in said["output"].to_pylist()]
    f1 = metrics.f1_score(truth, first, average="macro", zero_division=0.0)
    assert np.mean(marks["macro_f1"]) == pytest.approx(f1)
    assert np.mean(marks["accuracy"]) == pytest.approx(metrics.accuracy_score(truth, first))
    loss = metrics.log_loss(truth, probability, labels=list(names))
    assert -np.mean(marks["log_likelihood"]) == pytest.approx(loss)
    one_hot = np.array([[float(name == t) for name in names] for t in truth])
    brier = ((probability - one_hot) ** 2).sum(1).mean()
    assert -np.mean(marks["brier"]) == pytest.approx(brier)


def test_no_answer_is_wrong_and_counts_at_the_floor() -> None:
    none = pa.table(
        {
            "output": pa.array([[]], pa.list_(pa.string())),
            "score": pa.array([[]], pa.list_(pa.float64())),
            "reason": pa.array([[]], pa.list_(pa.string())),
        }
    )
    marks = task.mark(pa.table({"target": ["a"]}), none).to_pylist()[0]
    assert marks == {
        "accuracy": 0.0, "macro_f1": 0.0, "log_likelihood": pytest.approx(np.log(1e-6)),
        "brier": -1.0,
    }  # fmt: skip


def test_an_unknown_class_has_a_finite_floor_and_no_answer(headed: Classifier) -> None:
    strange = rows(("my parcel is late", "nobody said this", None))
    with torch.no_grad():
        found = task.log_prob(headed, task.collate(headed, strange))
    assert found.item() == pytest.approx(np.log(1e-6))
    marks = task.mark(strange, task.answer(headed, strange, 9)).to_pylist()[0]
    assert marks["accuracy"] == 0.0
    assert marks["log_likelihood"] == pytest.approx(np.log(1e-6))


def test_a_correction_brings_a_class_that_no_label_had(base: str) -> None:
    told = [("money back", "refund", None), ("late parcel", "delivery", None)] * 4
    corrected = [("my password is locked", "refund", -1), ("my password is locked", "account", 1)]
    model = task.start(base, data(rows(*told, *corrected)), 0)
    assert model.classes == ("account", "delivery", "refund")
    (said,) = task.answer(model, rows(corrected[1]), 1)["output"].to_pylist()
    assert said == ["account"]


def test_feedback_alone_gives_a_start(base: str) -> None:
    said = [("money back", "refund", -1), ("money back", "delivery", -1)]
    model = task.start(base, data(rows(*said)), 0)
    assert task.answer(model, rows(said[0]), 2)["output"].to_pylist()[0]


def test_signs_move_the_shown_label(base: str) -> None:
    told = [("money back", "refund", None), ("late parcel", "delivery", None)] * 3
    disliked = [("broken manual", "refund", -1)] * 6
    learned = data(rows(*told, *disliked))
    model = task.start(base, learned, 0)
    wanted = rows(("broken manual", "refund", None))

    def chance() -> float:
        with torch.no_grad():
            return float(task.log_prob(model, task.collate(model, wanted)).exp())

    before = chance()
    settings = task.adapt(model, learned, TuneSettings(tuning="head"))
    train(task, model, learned, settings, label_share=0.5, seed=0)
    assert chance() < before


@pytest.mark.parametrize(
    "told", [[], [("a text", "only", None)], [("a", "only", None), ("b", " ", None)]]
)
def test_one_class_is_an_error_that_teaches(told: list[tuple[str, str, int | None]]) -> None:
    with pytest.raises(PluginError, match=r"text\.one_class") as caught:
        task.start("", data(rows(*told)), 0)
    assert "two" in caught.value.explain("en")[0]


@pytest.mark.parametrize("text", ["", " \n", "late " * 200_000, "x" * 10**6, "快递迟到了", "\x00"])
def test_any_text_has_an_answer(headed: Classifier, text: str) -> None:
    (said,) = task.answer(headed, rows((text, "refund", None)), 4).to_pylist()
    assert len(said["output"]) == 4
    assert sum(said["score"]) == pytest.approx(1.0)


@pytest.mark.parametrize(("tuning", "learns"), [("head", "head."), ("lora", "lora_"), ("full", "")])
def test_tuning_says_what_learns(base: str, tuning: str, learns: str) -> None:
    toy = task.toy(0)
    model = task.start(base, toy, 0)
    chosen = task.adapt(model, toy, TuneSettings.model_validate({"tuning": tuning, "epochs": 1}))
    assert (chosen.tuning, chosen.epochs) == (tuning, 1)
    free = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert free
    assert all(learns in name or name.startswith("head.") for name in free)
    untouched = _encoder.read(_encoder.shared(base), ["late parcel"], 64).copy()
    train(task, model, toy, chosen, label_share=1.0, seed=0)
    again = _encoder.read(_encoder.shared(base).own(), ["late parcel"], 64)
    np.testing.assert_array_equal(untouched, again)


def test_weights_of_four_bits_are_refused() -> None:
    toy = task.toy(0)
    with pytest.raises(PluginError, match=r"task\.no_qlora"):
        task.adapt(task.start("", toy, 0), toy, TuneSettings(tuning="qlora"))


def test_auto_takes_the_head_for_few_rows_and_all_for_many(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = task.toy(0)
    assert task.adapt(task.start(base, toy, 0), toy, TuneSettings()).tuning == "head"
    assert task.adapt(task.start("", toy, 0), toy, TuneSettings()).tuning == "full"
    monkeypatch.setattr(task, "FEW", 10)
    assert task.adapt(task.start(base, toy, 0), toy, TuneSettings()).tuning == "full"


def test_a_model_on_a_base_is_loaded_as_it_was(headed: Classifier, tmp_path: Path) -> None:
    toy = task.toy(0)
    task.save(headed, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "head.safetensors", "upwell.json",
    }  # fmt: skip
    loaded = task.load(tmp_path)
    one, other = (task.answer(model, toy.test, 4) for model in (headed, loaded))
    assert one["output"].equals(other["output"])
    np.testing.assert_allclose(
        np.asarray(one["score"].to_pylist()), np.asarray(other["score"].to_pylist()), atol=1e-5
    )


def test_the_majority_is_the_bar() -> None:
    told = data(rows(("a", "x", None), ("b", "x", 1), ("c", "y", None), ("d", "y", -1)))
    said = task.baselines(told, told.test, 2)["majority"].to_pylist()
    assert said[0]["output"] == ["x", "y"]
    assert said[0]["score"] == pytest.approx([2 / 3, 1 / 3])

"""The recommender's parts against naive ones, and what it promises of items, new and seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import torch
from pyarrow import compute as pc

from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import train
from upwell.tables import Dataset
from upwell.tasks import _recommender, _text, recommend

EASY = TuneSettings(base="", epochs=12, patience=12, learning_rate=0.01, batch_rows=96)
DAY = 86_400_000_000


def with_items(data: Dataset, texts: dict[str, str]) -> Dataset:
    """The dataset with items besides that nobody has met."""
    more = pa.table({"item": list(texts), "text": list(texts.values())})
    return Dataset(data.train, data.validation, data.test, pa.concat_tables([data.items, more]))


def trained(data: Dataset, settings: TuneSettings = EASY) -> recommend.Recommender:
    model = recommend.start("", data, 0)
    train(recommend, model, data, settings, label_share=0.5, seed=0)
    return model.eval()


def probabilities(model: recommend.Recommender, rows: pa.Table) -> list[dict[str, float]]:
    """Each row's probability of every item that may be shown."""
    said = recommend.answer(model, rows, len(model.items)).to_pylist()
    return [dict(zip(row["output"], row["score"], strict=True)) for row in said]


def by_taste(found: list[dict[str, float]], rows: pa.Table, item: str) -> npt.NDArray[np.float64]:
    """Mean probability of an item to users of taste 0 (even items) and of taste 1."""
    taste = np.array([int(user[1:]) % 2 for user in rows["user"].to_pylist()])
    given = np.array([row[item] for row in found])
    return np.array([given[taste == one].mean() for one in (0, 1)])


@pytest.fixture(scope="module")
def data() -> Dataset:
    return recommend.toy(0)


def test_a_new_item_goes_to_those_whose_taste_its_text_meets(data: Dataset) -> None:
    new = {"i90": "red thing 90 | warm", "i91": "blue thing 91 | cold"}
    model = trained(with_items(data, new))
    assert not model.known[[model.index[item] for item in new]].any()
    found = probabilities(model, data.test)
    red, blue = (by_taste(found, data.test, item) for item in new)
    assert red[0] > 2 * red[1]
    assert blue[1] > 2 * blue[0]


def test_an_item_without_facts_is_known_by_its_name(data: Dataset) -> None:
    bare = Dataset(data.train, data.validation, data.test, data.items.slice(0, 0))
    model = recommend.start("", bare, 0)
    assert model.items == model.texts
    assert set(model.items) == set(data.train["target"].to_pylist())


def test_no_answer_holds_what_the_user_has_seen(data: Dataset) -> None:
    model = recommend.start("", data, 0)
    for k in (1, 3, len(model.items), 100):
        said = recommend.answer(model, data.test, k)
        for seen, shown in zip(
            data.test["history"].to_pylist(), said["output"].to_pylist(), strict=True
        ):
            assert not set(seen) & set(shown)
            assert len(shown) == min(k, len(model.items) - len(set(seen)))


def test_who_has_seen_all_there_is_gets_an_empty_answer(data: Dataset) -> None:
    model = recommend.start("", data, 0)
    size = len(model.items)
    row = data.test.slice(0, 1)
    for name, value in (
        ("history", list(model.items)),
        ("history_sign", [0] * size),
        ("history_at", [DAY] * size),
    ):
        row = row.set_column(
            row.column_names.index(name), name, pa.array([value], row.schema.field(name).type)
        )
    assert recommend.answer(model, row, 3)["output"].to_pylist() == [[]]


def test_probabilities_of_all_unseen_items_sum_to_one(data: Dataset) -> None:
    for found in probabilities(trained(data, EASY.model_copy(update={"epochs": 1})), data.test):
        assert sum(found.values()) == pytest.approx(1.0, abs=1e-4)


def test_a_history_of_items_nobody_knows_is_answered(data: Dataset) -> None:
    foreign = pc.replace_substring(pc.list_flatten(data.test["history"]), "i", "unknown-")
    column = data.test["history"].combine_chunks()
    rows = data.test.set_column(
        data.test.column_names.index("history"), "history",
        pa.LargeListArray.from_arrays(column.offsets, foreign.combine_chunks()),
    )  # fmt: skip
    model = recommend.start("", data, 0)
    said = recommend.answer(model, rows, 3)
    assert all(len(shown) == 3 for shown in said["output"].to_pylist())
    assert set(pc.list_flatten(said["reason"]).to_pylist()) == {"recommend.popular\t"}


def test_a_dislike_makes_an_item_less_probable(data: Dataset) -> None:
    disliked = pc.fill_null(pc.less(data.train["sign"], 0), False)
    weight = pc.if_else(disliked, 0.0, data.train["weight"])
    place = data.train.column_names.index("weight")
    silent = data.train.set_column(place, "weight", weight)
    asked = data.train.set_column(
        data.train.column_names.index("sign"), "sign", pa.nulls(data.train.num_rows, pa.int64())
    )
    found = []
    for rows in (data.train, silent):
        model = trained(Dataset(rows, data.validation, data.test, data.items))
        with torch.no_grad():
            given = recommend.log_prob(model, recommend.collate(model, asked)).numpy()
        found.append(given[disliked.to_numpy()].mean())
    assert found[0] < found[1] - 0.05


def test_a_reason_names_an_item_of_the_history(data: Dataset) -> None:
    model = recommend.start("", data, 0)
    titles = dict(zip(model.texts, model.items, strict=True))
    said = recommend.answer(model, data.test, 3)
    named = 0
    for seen, reasons in zip(
        data.test["history"].to_pylist(), said["reason"].to_pylist(), strict=True
    ):
        for reason in reasons:
            key, _, detail = reason.partition("\t")
            if key == "recommend.because":
                named += 1
                assert {
                    item for text, item in titles.items() if text.startswith(f"{detail} |")
                } <= set(seen)
    assert named > 0


@pytest.mark.parametrize("order", [True, False], ids=["ordered", "unordered"])
def test_what_is_saved_is_what_is_loaded(data: Dataset, order: bool, tmp_path: Path) -> None:
    rows = data.train
    if not order:
        same = pa.array([DAY] * rows.num_rows, rows.schema.field("at").type)
        rows = rows.set_column(rows.column_names.index("at"), "at", same)
    model = recommend.start("", Dataset(rows, data.validation, data.test, data.items), 0).eval()
    recommend.save(model, tmp_path)
    loaded = recommend.load(tmp_path)
    assert any(weights.requires_grad for weights in model.parameters()) == order
    assert (loaded.reach, loaded.floor, loaded.items, loaded.texts) == (
        model.reach,
        model.floor,
        model.items,
        model.texts,
    )
    assert all(
        torch.equal(loaded.state_dict()[name], found) for name, found in model.state_dict().items()
    )
    assert recommend.answer(loaded, data.test, 5).equals(recommend.answer(model, data.test, 5))


def test_few_draws_estimate_the_full_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = _recommender.Shape(items=60, text=8, features=1, dropout=0.0, id_dropout=0.0)
    torch.manual_seed(0)
    network = _recommender.Network(shape, (1, 1)).train()
    torch.nn.init.normal_(network.popularity)
    batch = {
        "items": torch.full((1, 0), 60), "tokens": torch.zeros(1, 0, _recommender.TOKEN),
        "user": torch.zeros(60, dtype=torch.int64), "place": torch.zeros(60, dtype=torch.int64),
        "features": torch.zeros(60, 1), "target": torch.arange(60), "wanted": torch.arange(60),
    }  # fmt: skip
    network.requires_grad_(False)
    full = network.target(batch)
    assert float(full.exp().sum()) == pytest.approx(1.0, abs=1e-5)
    monkeypatch.setattr(_recommender, "FULL", 10)
    monkeypatch.setattr(_recommender, "SAMPLED", 40)
    drawn = torch.stack([network.target(batch) for _ in range(300)])
    assert not torch.equal(drawn[0], full)
    # What is not drawn is estimated without bias where probabilities are inverted.
    assert torch.allclose((1 / drawn.exp()).mean(0), 1 / full.exp(), rtol=0.08)


def test_baselines_count_choices_of_all_time_and_of_the_last_month(data: Dataset) -> None:
    chosen = [("a", 1), ("a", 2), ("a", 3), ("b", 100), ("b", 101), ("c", 102), ("a", 50)]
    rows = data.train.filter(pc.is_null(data.train["sign"])).slice(0, len(chosen))
    for name, values in (
        ("target", [item for item, _ in chosen]),
        ("at", [day * DAY for _, day in chosen]),
    ):
        kind = rows.schema.field(name).type
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(values, kind))
    asked = data.test.slice(0, 2)
    seen = pa.array([["b"], []], asked.schema.field("history").type)
    asked = asked.set_column(asked.column_names.index("history"), "history", seen)
    said = recommend.baselines(Dataset(rows, rows, asked, data.items), asked, 2)
    assert said["popular"]["output"].to_pylist() == [["a", "c"], ["a", "b"]]
    assert said["recent_popular"]["output"].to_pylist() == [["c"], ["b", "c"]]
    assert said["recent_popular"]["score"].to_pylist()[1] == pytest.approx([2 / 3, 1 / 3])


def test_marks_follow_the_rank_of_the_target(data: Dataset) -> None:
    rows = data.test.slice(0, 3)
    targets = rows["target"].to_pylist()
    others = [f"x{number}" for number in range(10)]
    outputs = [[targets[0]], [*others[:2], targets[1]], [*others, targets[2]]]
    marks = recommend.mark(rows, pa.table({"output": outputs}))
    assert marks["ndcg@10"].to_pylist() == [1.0, 0.5, 0.0]
    assert marks["hr@10"].to_pylist() == [1.0, 1.0, 0.0]


def test_texts_are_encoded_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []

    def encoded(folder: str, texts: tuple[str, ...]) -> npt.NDArray[np.float32]:
        asked.append(texts)
        return np.eye(len(texts), 3, dtype=np.float32)

    monkeypatch.setenv("UPWELL_CACHE", str(tmp_path))
    monkeypatch.setattr(_text, "_encoded", encoded)
    one = _text.embed("some/encoder", ("a", "b"))
    assert np.array_equal(one, _text.embed("some/encoder", ("a", "b")))
    assert len(asked) == 1
    _text.embed("some/encoder", ("ab",))
    _text.embed("other/encoder", ("a", "b"))
    assert len(asked) == 3
    assert not list(tmp_path.rglob("*.tmp.npy"))

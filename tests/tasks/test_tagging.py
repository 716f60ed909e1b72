from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from upwell.errors import PluginError
from upwell.settings import TuneSettings
from upwell.stages.tune.trainer import train
from upwell.tables import Dataset, canonical_json
from upwell.tasks import tagging
from upwell.tasks._decode import best, follows
from upwell.tasks._spans import LONGEST, read

DATA = tagging.toy(0)
MODEL = tagging.start("", DATA, 0)
TEXT = "Anna lives in New York ."


def rows(text: str, *targets: str) -> pa.Table:
    one = DATA.train.slice(0, 1).to_pylist()[0]
    made = [one | {"input": text, "target": target, "sign": None} for target in targets]
    return pa.Table.from_pylist(made, schema=DATA.train.schema)


def log_prob(text: str, *targets: str) -> list[float]:
    with torch.no_grad():
        found = tagging.log_prob(MODEL, tagging.collate(MODEL, rows(text, *targets)))
    return [float(one) for one in found]


def chances(text: str) -> np.ndarray:
    with torch.no_grad():
        batch = tagging.collate(MODEL, rows(text, '{"spans":[]}'))
        found: np.ndarray = MODEL(batch)[0].log_softmax(1).double().numpy()
    return found


def test_the_probability_of_a_text_is_that_of_all_its_tags() -> None:
    every, names = chances(TEXT), MODEL.index
    tags = ["B-PER", "O", "O", "B-LOC", "I-LOC", "O"]
    expected = sum(every[place, names[tag]] for place, tag in enumerate(tags))
    (found,) = log_prob(TEXT, '{"spans":[[0,4,"PER"],[14,22,"LOC"]]}')
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_span_named_alone_is_its_words_and_its_end() -> None:
    every, names = chances(TEXT), MODEL.index
    ended = math.log(-math.expm1(every[4, names["I-LOC"]]))
    (found,) = log_prob(TEXT, '{"rest":0,"spans":[[14,17,"LOC"]]}')
    assert found == pytest.approx(every[3, names["B-LOC"]] + ended, abs=1e-4)


def test_a_correction_weighs_what_was_changed() -> None:
    every, names = chances(TEXT), MODEL.index
    target = tagging.corrected(
        '{"spans":[[0,4,"PER"],[5,10,"LOC"]]}', '{"spans":[[0,4,"PER"],[14,22,"LOC"]]}'
    )
    tags = ["B-PER", "O", "O", "B-LOC", "I-LOC", "O"]
    weights = [0.3, 1.0, 0.3, 1.0, 1.0, 0.3]
    expected = sum(
        weight * every[place, names[tag]]
        for place, (tag, weight) in enumerate(zip(tags, weights, strict=True))
    )
    assert log_prob(TEXT, target)[0] == pytest.approx(expected, abs=1e-4)


def test_what_a_shortened_span_loses_counts_in_full() -> None:
    found = tagging.corrected('{"spans":[[14,22,"LOC"]]}', '{"spans":[[14,17,"LOC"]]}')
    assert json.loads(found)["spans"] == [[14, 17, "LOC", 1.0], [17, 22, "", 1.0]]


@pytest.mark.parametrize(
    "right", ['{"rest":0,"spans":[[14,17,"LOC"]]}', '{"spans":[[14,17,"LOC",0.5]]}']
)
def test_a_right_answer_that_says_what_counts_stands_as_it_is(right: str) -> None:
    assert tagging.corrected('{"spans":[[0,4,"PER"]]}', right) == right


def test_a_span_without_a_word_says_nothing() -> None:
    beyond, between = '{"rest":0,"spans":[[99,104,"LOC"]]}', '{"rest":0,"spans":[[4,5,"LOC"]]}'
    assert log_prob(TEXT, beyond, between) == [0.0, 0.0]


def test_rows_about_one_text_are_read_once() -> None:
    named = '{"rest":0,"spans":[[0,4,"PER"]]}'
    batch = tagging.collate(MODEL, rows(TEXT, '{"spans":[]}', named, named))
    assert batch["ids"].shape[0] == 1
    assert batch["of"].tolist() == [0, 0, 0]


def test_a_label_never_seen_is_improbable_but_finite() -> None:
    known, unknown = log_prob(TEXT, '{"spans":[[0,4,"PER"]]}', '{"spans":[[0,4,"DISEASE"]]}')
    assert math.isfinite(unknown)
    assert unknown < known


@pytest.mark.parametrize(
    "target",
    [
        "", "PER", "[]", '{"spans":3}', '{"spans":[[0,4]]}', '{"spans":[["a",4,"PER"]]}',
        '{"spans":[[4,4,"PER"]]}', '{"spans":[[-1,4,"PER"]]}', '{"spans":[[0,4,"A"],[3,6,"B"]]}',
        '{"spans":[[0,4,"PER",-1]]}', '{"spans":[],"rest":-1}', '{"spans":[],"rest":NaN}',
        '{"spans":' + "[" * 100_000, '{"spans":[[0,Infinity,"PER"]]}',
    ],
)  # fmt: skip
def test_a_target_that_does_not_say_spans_is_refused(target: str) -> None:
    with pytest.raises(PluginError) as caught:
        tagging.collate(MODEL, rows(TEXT, target))
    assert caught.value.code == "tagging.bad_target"
    assert tagging.readable(rows(TEXT, target, '{"spans":[]}')).to_pylist() == [False, True]
    assert all(caught.value.explain(language) for language in ("en", "zh"))


def test_training_rows_without_a_label_are_refused() -> None:
    none = rows(TEXT, '{"spans":[]}')
    with pytest.raises(PluginError) as caught:
        tagging.start("", Dataset(none, none, none, DATA.items), 0)
    assert caught.value.code == "tagging.no_labels"


@pytest.mark.parametrize("text", ["", "   ", "\n", "a" * 100_000, "x " * 20_000, "\x00 \ufeff 🙂"])
def test_any_text_is_answered(text: str) -> None:
    said = tagging.answer(MODEL, rows(text, '{"spans":[]}'), 2)
    outputs = said["output"].to_pylist()[0]
    assert 1 <= len(outputs) <= 2
    for start, end, _ in json.loads(outputs[0])["spans"]:
        assert 0 <= start < end <= len(text)


def test_texts_longer_than_the_encoder_are_read_to_the_end() -> None:
    text = "Anna met Ben . " * 400
    batch = tagging.collate(MODEL, rows(text, '{"spans":[]}'))
    assert batch["ids"].shape[0] > 1
    assert int(batch["there"].sum()) == 1600
    assert len(tagging.words("x " * (LONGEST + 5))) == LONGEST


def test_answers_have_the_probability_of_their_tags() -> None:
    said = tagging.answer(MODEL, rows(TEXT, '{"spans":[]}'), 5)
    outputs, scores = said["output"].to_pylist()[0], said["score"].to_pylist()[0]
    assert np.exp(log_prob(TEXT, *outputs)) == pytest.approx(scores, rel=1e-4)


@given(arrays(np.float64, (4, 5), elements=st.floats(-5, 0)), st.integers(1, 9))
def test_the_best_sequences_are_those_of_all(log_prob: np.ndarray, k: int) -> None:
    allowed = follows(5)
    every = [
        sum(log_prob[place, tag] for place, tag in enumerate(tags))
        for tags in itertools.product(range(5), repeat=4)
        if tags[0] % 2 + (tags[0] == 0)
        and all(allowed[a, b] == 0 for a, b in itertools.pairwise(tags))
    ]
    tags, found = best(log_prob, k)
    assert found == pytest.approx(sorted(every, reverse=True)[:k])
    assert len({tuple(one) for one in tags.tolist()}) == len(tags)


@given(st.lists(st.sampled_from(["O", "B-A", "I-A", "B-B", "I-B"]), max_size=12))
def test_tags_and_spans_say_the_same(tags: list[str]) -> None:
    text = " ".join("w" * (n % 3 + 1) for n in range(len(tags)))
    places = tagging.words(text)
    spans = tagging.spans_of(places, tags)
    assert tagging.spans_of(places, tagging.tags(places, spans)) == spans
    assert list(read(tagging.write(spans)).spans) == spans


@given(st.text(max_size=60))
def test_words_are_in_order_and_hold_no_space(text: str) -> None:
    places = tagging.words(text)
    assert all(end <= after for (_, end), (after, _) in itertools.pairwise(places))
    assert not any(any(one.isspace() for one in text[start:end]) for start, end in places)


def test_strict_f1_is_what_conlleval_prints() -> None:
    # 6 spans asked, 5 said: 3 right, one with another label, one with another end.
    right = [
        [[0, 1, "PER"], [2, 3, "LOC"], [4, 5, "ORG"]],
        [[0, 3, "LOC"], [4, 5, "PER"]],
        [[0, 1, "PER"]],
    ]
    shown = [[[0, 1, "PER"], [2, 3, "ORG"], [4, 5, "ORG"]], [[0, 2, "LOC"], [4, 5, "PER"]], []]
    found = tagging.strict_f1(
        [canonical_json({"spans": one}) for one in right],
        [canonical_json({"spans": one}) for one in shown],
    )
    assert found.precision == pytest.approx(3 / 5)
    assert found.recall == pytest.approx(3 / 6)
    assert found.f1 == pytest.approx(6 / 11)
    assert found.support == 6


def test_nothing_asked_and_nothing_said_is_right() -> None:
    targets = pa.table({"target": ['{"spans":[]}']})
    marks = tagging.mark(targets, pa.table({"output": pa.array([['{"spans":[]}']])}))
    assert marks.to_pylist() == [{"f1": 1.0, "exact": 1.0, "tp": 0.0, "fp": 0.0, "fn": 0.0}]


def test_marks_of_a_span_named_alone_ignore_other_spans() -> None:
    targets = pa.table({"target": ['{"rest":0,"spans":[[0,4,"PER"]]}'] * 2})
    said = ['{"spans":[[0,4,"PER"],[9,12,"LOC"]]}', '{"spans":[[0,6,"PER"]]}']
    marks = tagging.mark(targets, pa.table({"output": pa.array([[one] for one in said])}))
    assert marks["exact"].to_pylist() == [1.0, 0.0]


def test_the_bar_to_clear_finds_names_again() -> None:
    asked = rows("Chen likes New York .", '{"spans":[]}')
    said = tagging.baselines(DATA, asked, 1)["seen"]["output"].to_pylist()[0][0]
    assert json.loads(said)["spans"] == [[0, 4, "PER"], [11, 19, "LOC"]]


def test_what_is_learned_of_the_toy_is_right() -> None:
    model = tagging.start("", DATA, 0)
    settings = tagging.adapt(model, DATA, TuneSettings(base="", seed=0))
    train(tagging, model, DATA, settings, label_share=0.7, seed=0)
    said = tagging.answer(model, DATA.test, 1)["output"].to_pylist()
    found = tagging.strict_f1(DATA.test["target"].to_pylist(), [one[0] for one in said])
    assert found.f1 > 0.9


def test_feedback_on_spans_alone_moves_the_answer() -> None:
    model = tagging.start("", DATA, 0)
    text = DATA.train["input"].to_pylist()[0]
    place = tagging.words(text)[0]
    target = canonical_json({"rest": 0, "spans": [[*place, "LOC"]]})
    named = rows(text, target)
    for sign in (1, -1):
        said = named.set_column(5, named.schema.field("sign"), pa.array([sign]))
        data = Dataset(said, said.slice(0, 0), said.slice(0, 0), DATA.items)
        settings = TuneSettings(base="", learning_rate=3e-3, epochs=15, flip_rate=0.0)
        train(tagging, model, data, settings, label_share=0.2, seed=0)
        shown = tagging.answer(model, named, 1)["output"].to_pylist()[0][0]
        assert ([*place, "LOC"] in json.loads(shown)["spans"]) == (sign > 0)


@pytest.mark.parametrize("tuning", ["lora", "head"])
def test_less_than_everything_may_learn(tuning: Literal["lora", "head"], tmp_path: Path) -> None:
    model = tagging.start("", DATA, 0)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    settings = TuneSettings(base="", tuning=tuning, epochs=2)
    suited = tagging.adapt(model, DATA, settings)
    train(tagging, model, DATA, suited, label_share=0.5, seed=0)
    kept = [n for n, w in model.named_parameters() if n in before and torch.equal(w, before[n])]
    assert any(name.startswith("encoder.") for name in kept)
    assert "out.weight" not in kept
    tagging.save(model, tmp_path)
    asked = DATA.test.slice(0, 4)
    said, again = (tagging.answer(one, asked, 1) for one in (model, tagging.load(tmp_path)))
    assert said["output"].equals(again["output"])


def test_weights_of_four_bits_are_refused() -> None:
    with pytest.raises(PluginError, match=r"task\.no_qlora"):
        tagging.adapt(tagging.start("", DATA, 0), DATA, TuneSettings(tuning="qlora"))

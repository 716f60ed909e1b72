"""The online verbs of tasks about answers and values: asked, answered, recorded, told about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.tiny_task import ANSWER, VALUE, Net, Tiny, install

from upwell import loop
from upwell.errors import StageError
from upwell.records import PURPOSES, Json
from upwell.service import Upwell
from upwell.stages.behaviour.features import FEATURES
from upwell.store.project import create_project, open_project

NOW = datetime(2024, 6, 1, tzinfo=UTC)
TUNE = {"base": "", "epochs": 3, "learning_rate": 0.1}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


def opened(folder: Path, task: str = "tiny_answer", **serve: object) -> Upwell:
    chosen: Mapping[str, Mapping[str, object]] = {
        "project": {"task": task}, "tune": TUNE, "serve": serve, "gate": {"resamples": 100},
    }  # fmt: skip
    return Upwell(open_project(create_project(folder / task, "asked", chosen)))


def turned(folder: Path, **serve: object) -> Upwell:
    upwell = opened(folder, "tiny_answer", **serve)
    told = [
        {"id": str(n), "kind": "label", "at": NOW,
         "payload": {"input": f"{ANSWER.words[n % 6]} {n}", "target": ANSWER.labels[n % 2]}}
        for n in range(120)
    ]  # fmt: skip
    upwell.capture(told, now=NOW)
    loop.turn(upwell.project, now=NOW)
    return upwell


def test_nobody_answers_before_the_first_turn(tmp_path: Path) -> None:
    upwell = opened(tmp_path)
    with pytest.raises(StageError) as refused:
        upwell.predict("ann", "apple", now=NOW)
    assert refused.value.code == "serve.no_champion"
    assert upwell.project.journal.counts()["predictions"] == 0


def test_each_task_has_its_verb(tmp_path: Path) -> None:
    for task, verb in (("tiny_answer", "predict"), ("recommend", "recommend")):
        upwell = opened(tmp_path, task)
        wrong = {"predict": lambda u=upwell: u.recommend("ann", 3),
                 "recommend": lambda u=upwell: u.predict("ann", "apple")}  # fmt: skip
        with pytest.raises(StageError) as refused:
            wrong[verb]()
        assert refused.value.code == "serve.other_verb"
        assert f"upwell {verb}" in str(refused.value)
        assert all(refused.value.explain(lang) for lang in ("en", "zh"))


def test_answers_stand_in_order_and_are_recorded_before_they_are_given(tmp_path: Path) -> None:
    upwell = turned(tmp_path)
    asked: list[Json] = ["an iron bar", "", "plum jam", {"b": 1, "a": "gold"}]
    found = upwell.predict_many(asked, ["ann", "bob", "cid", "dan"], 2, now=NOW)
    assert [row[0] for row in found["answer"].to_pylist()][:3] == ["metal", "", "fruit"]
    kept = upwell.project.journal.predictions_after(0, 9).to_pylist()
    assert [row["id"] for row in kept] == found["prediction"].to_pylist()
    assert [row["user"] for row in kept] == ["ann", "bob", "cid", "dan"]
    assert [row["input"] for row in kept] == [
        '"an iron bar"', '""', '"plum jam"', '"{\\"a\\":\\"gold\\",\\"b\\":1}"',
    ]  # fmt: skip
    alone = upwell.predict("ann", "an iron bar", 2, now=NOW)
    assert alone["answer"].to_pylist() == found["answer"].to_pylist()[0] == ["metal", "fruit"]
    assert alone["probability"].to_pylist() == found["probability"].to_pylist()[0]
    assert len(set(alone["prediction"].to_pylist())) == 1
    assert upwell.predict_many([], [], now=NOW).num_rows == 0


def test_many_inputs_are_answered_as_each_alone(tmp_path: Path) -> None:
    upwell = turned(tmp_path)
    asked = [f"{ANSWER.words[n % 6]} {n}" for n in range(2500)]
    found = upwell.predict_many(asked, ["ann"] * len(asked), now=NOW)
    assert found.num_rows == len(set(found["prediction"].to_pylist())) == 2500
    right = [row[0] == ANSWER.labels[n % 2] for n, row in enumerate(found["answer"].to_pylist())]
    assert np.mean(right) > 0.8
    for place in (0, 1023, 1024, 2499):
        alone = upwell.predict("ann", asked[place], now=NOW)["answer"].to_pylist()
        assert alone == found["answer"][place].as_py()
    assert upwell.project.journal.counts()["predictions"] == 2504


def test_exploring_is_recorded_with_its_exact_propensity(tmp_path: Path) -> None:
    upwell = turned(tmp_path, explore=0.3)
    found = upwell.predict_many(["iron"] * 3000, ["ann"] * 3000, now=NOW)
    said = Counter((row["answer"][0], round(row["propensity"], 6)) for row in found.to_pylist())
    assert set(said) == {("metal", 0.7), ("fruit", 0.3)}
    assert said["fruit", 0.3] / 3000 == pytest.approx(0.3, abs=0.04)
    kept = upwell.project.journal.predictions_after(0, 3000)["propensity"].to_pylist()
    assert kept == found["propensity"].to_pylist()


def test_what_is_not_sure_is_said_so_and_a_correction_still_teaches(tmp_path: Path) -> None:
    upwell = turned(tmp_path, abstain=0.95)
    answer = upwell.predict("ann", "who knows", 2, now=NOW).to_pylist()
    assert [(row["answer"], row["probability"], row["propensity"]) for row in answer] == [
        ("", None, 1.0)
    ]
    assert answer[0]["reason"] == "answer.not_sure\t95%"
    upwell.consent(["ann"], PURPOSES, since=NOW)
    about = {"user": "ann", "prediction": answer[0]["prediction"], "at": NOW}
    upwell.capture(
        [{**about, "id": "t", "kind": "thumbs", "value": -1},
         {**about, "id": "c", "kind": "correction", "payload": {"correction": "fruit"},
          "at": NOW + timedelta(minutes=1)}],
        now=NOW,
    )  # fmt: skip
    loop.turn(upwell.project, now=NOW + timedelta(days=1))
    data = upwell.project.snapshots.read(upwell.project.ledger.versions("tiny_answer")[1].snapshot)
    found = [
        (row["id"], row["input"], row["target"], row["sign"])
        for part in (data.train, data.validation, data.test)
        for row in part.to_pylist()
        if row["user"][0] != "~"
    ]
    assert found == [("app/c#correction", "who knows", "fruit", 1)]


def test_values_know_who_asks_unless_they_do_not_allow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upwell = opened(tmp_path, "tiny_value")
    rated = [
        {"id": str(n), "user": f"u{n % 9}", "kind": "rating", "item": VALUE.words[n % 6],
         "value": 1.0 + 4.0 * (n % 2), "at": NOW - timedelta(hours=300 - n)}
        for n in range(200)
    ]  # fmt: skip
    upwell.capture(rated, now=NOW)
    upwell.consent([f"u{n}" for n in range(1, 9)], PURPOSES, since=NOW)
    upwell.consent(["u0"], ("train",), since=NOW)
    loop.turn(upwell.project, now=NOW)
    asked: list[pa.Table] = []
    real = Tiny.answer

    def watched(self: Tiny, model: Net, inputs: pa.Table, k: int) -> pa.Table:
        asked.append(inputs)
        return real(self, model, inputs, k)

    monkeypatch.setattr(Tiny, "answer", watched)
    found = upwell.predict_many(["item1", "item0", "item1"], ["u1", "u0", "u1"], now=NOW)
    assert [row[0] for row in found["answer"].to_pylist()] == ["5.0", "1.0", "5.0"]
    rows = asked[-1].to_pylist()
    assert [row["input"] for row in rows] == ["item1", "item0", "item1"]
    assert all(len(row["features"]) == len(FEATURES) for row in rows)
    assert sum(rows[0]["features"]) > sum(rows[1]["features"]) == 0.0
    assert (len(rows[0]["history"]) > 0, len(rows[1]["history"])) == (True, 0)

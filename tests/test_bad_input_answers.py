"""What products really send about answers: each bad thing has its clear end, nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from tests.tiny_task import ANSWER, install

from upwell import loop
from upwell.errors import PluginError, StageError
from upwell.records import PURPOSES, Example, Json
from upwell.service import Upwell
from upwell.stages.collect.columns import LONGEST_PAYLOAD
from upwell.store.project import create_project, open_project

NOW = datetime(2024, 6, 1, tzinfo=UTC)
Row = dict[str, object]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


def opened(folder: Path, task: str = "tiny_answer", **tables: Mapping[str, object]) -> Upwell:
    small: dict[str, Mapping[str, object]] = {
        "project": {"task": task},
        "tune": {"base": "", "epochs": 2},
        "gate": {"resamples": 100},
    }
    return Upwell(open_project(create_project(folder / task, "bad", small | tables)))


def labels(n: int, first: int = 0, **payload: object) -> list[Row]:
    """Labels of nobody: a telling word and a number each."""
    return [
        {"id": f"label-{m}", "kind": "label", "at": NOW,
         "payload": {"input": f"{ANSWER.words[m % 6]} {m}", "target": ANSWER.labels[m % 2],
                     **payload}}
        for m in range(first, first + n)
    ]  # fmt: skip


def thumbs(n: int, prediction: str | None, value: int, user: str = "ann", at: int = 0) -> Row:
    return {"id": f"thumb-{n}", "user": user, "kind": "thumbs", "value": value,
            "prediction": prediction, "at": NOW + timedelta(seconds=at)}  # fmt: skip


def begun(folder: Path) -> Upwell:
    """A project after its first turn, whose users agree to everything."""
    upwell = opened(folder)
    upwell.capture(labels(80), now=NOW)
    upwell.consent(["ann", "bob"], PURPOSES, since=NOW)
    assert loop.turn(upwell.project, now=NOW).act == "promote"
    return upwell


def rows(upwell: Upwell, prefix: str = "app/") -> dict[str, Row]:
    """The rows of the newest snapshot that came from events whose key begins so."""
    task = upwell.project.settings.project.task
    data = upwell.project.snapshots.read(upwell.project.ledger.versions(task)[-1].snapshot)
    parts = (data.train, data.validation, data.test)
    found = [row for part in parts for row in part.to_pylist()]
    return {row["id"]: row for row in found if row["id"].startswith(prefix)}


def kept(upwell: Upwell, stage: str = "dataset") -> dict[str, object]:
    ledger, task = upwell.project.ledger, upwell.project.settings.project.task
    found = ledger.stage_result(ledger.turns(task)[-1].id, stage)
    assert found is not None
    return found


@pytest.mark.parametrize("task", ["text_classification", "tabular"])
def test_one_class_only_ends_the_turn_and_another_class_begins_a_new_one(
    tmp_path: Path, task: str
) -> None:
    upwell = opened(tmp_path, task)

    def told(first: int, target: str) -> list[Row]:
        return [
            {"id": str(n), "kind": "label", "at": NOW,
             "payload": {"input": json.dumps({"size": n, "hue": target[0]}), "target": target}}
            for n in range(first, first + 40)
        ]  # fmt: skip

    upwell.capture(told(0, "red"), now=NOW)
    with pytest.raises(PluginError) as refused:
        loop.turn(upwell.project, now=NOW)
    assert refused.value.code.endswith(".one_class")
    assert all(refused.value.explain(lang) for lang in ("en", "zh"))
    assert upwell.project.ledger.unfinished_turn(task) is None
    upwell.capture(told(40, "blue"), now=NOW)
    assert loop.turn(upwell.project, now=NOW).act == "promote"
    assert upwell.project.journal.counts()["events"] == 80


def test_labels_never_seen_count_as_wrong_and_can_be_learned_later(tmp_path: Path) -> None:
    upwell = begun(tmp_path)
    shown = upwell.predict_many([f"oak {n}" for n in range(12)], ["ann"] * 12, now=NOW)
    said: list[Row] = [
        {"id": f"wood-{n}", "user": "ann", "kind": "correction", "prediction": name,
         "payload": {"correction": "wood"}, "at": NOW + timedelta(minutes=n)}
        for n, name in enumerate(shown["prediction"].to_pylist())
    ]  # fmt: skip
    upwell.capture(said, now=NOW)
    loop.turn(upwell.project, now=NOW + timedelta(days=1))
    assert {row["target"] for row in rows(upwell, "app/wood").values() if row["sign"] == 1} == {
        "wood"
    }
    version = upwell.project.ledger.versions("tiny_answer")[-1]
    folder = upwell.project.models.verified(version.path, version.digest)
    assert "wood" in (folder / "config.json").read_text(encoding="utf-8")


def test_feedback_on_an_unknown_prediction_waits_for_it(tmp_path: Path) -> None:
    upwell = begun(tmp_path)
    assert upwell.capture([thumbs(1, "not yet", 1)], now=NOW).accepted == 1
    loop.turn(upwell.project, now=NOW + timedelta(days=1))
    assert "app/thumb-1" not in rows(upwell)
    assert kept(upwell)["doubts"] == {"clean.unknown_prediction": 1}
    assert upwell.project.journal.events_after(80, 9)["prediction"].to_pylist() == ["not yet"]


def test_all_dislikes_and_no_label_is_a_clear_end(tmp_path: Path) -> None:
    upwell = opened(tmp_path)
    upwell.consent(["ann"], PURPOSES, since=NOW)
    said = [
        thumbs(n, None, -1, at=60 * n) | {"payload": {"input": f"apple {n}", "target": "metal"}}
        for n in range(60)
    ]
    assert upwell.capture(said, now=NOW).accepted == 60
    with pytest.raises(StageError) as refused:
        loop.turn(upwell.project, now=NOW)
    assert refused.value.code == "evaluate.no_rows"
    assert upwell.project.ledger.unfinished_turn("tiny_answer") is None
    upwell.capture(labels(80), now=NOW)
    assert loop.turn(upwell.project, now=NOW).act == "promote"


def test_one_user_alone_decides_nothing(tmp_path: Path) -> None:
    upwell = opened(tmp_path)
    upwell.consent(["ann"], PURPOSES, since=NOW)
    own = [{**row, "user": "ann", "at": NOW + timedelta(hours=n)}
           for n, row in enumerate(labels(200))]  # fmt: skip
    upwell.capture(own[:100], now=NOW)
    loop.turn(upwell.project, now=NOW)
    upwell.capture(own[100:], now=NOW)
    decision = loop.turn(upwell.project, now=NOW + timedelta(days=30))
    assert decision.act in ("hold", "reject")
    assert "gate.users.hold" in [reason["key"] for reason in decision.reasons]


def test_contradictory_thumbs_of_one_second_count_for_nothing_and_say_why(tmp_path: Path) -> None:
    upwell = begun(tmp_path)
    shown = upwell.predict("ann", "apple pie", now=NOW)["prediction"][0].as_py()
    upwell.capture([thumbs(1, shown, 1), thumbs(2, shown, -1), thumbs(3, shown, 1, "bob")], now=NOW)
    loop.turn(upwell.project, now=NOW + timedelta(days=1))
    weights = {name: row["weight"] for name, row in rows(upwell, "app/thumb").items()}
    assert weights == {"app/thumb-1": 0.0, "app/thumb-2": 0.0, "app/thumb-3": 1.0}
    assert kept(upwell)["doubts"] == {"clean.contradiction": 2}


def test_a_million_characters_are_learned_and_answered_and_more_are_refused(
    tmp_path: Path,
) -> None:
    upwell = opened(tmp_path)
    long, longer = "apple " + "x" * 10**6, "x" * (LONGEST_PAYLOAD + 1)
    told = [{**row, "payload": {"input": f"{long}{n}", "target": ANSWER.labels[n % 2]}}
            for n, row in enumerate(labels(2))]  # fmt: skip
    too_long = {**labels(1, 99)[0], "payload": {"input": longer, "target": "fruit"}}
    receipt = upwell.capture([*labels(80, 2), *told, too_long], now=NOW)
    assert (receipt.accepted, [bad.code for bad in receipt.refused]) == (82, ["collect.too_long"])
    loop.turn(upwell.project, now=NOW)
    assert max(len(str(row["input"])) for row in rows(upwell).values()) > 10**6
    assert upwell.predict("ann", long, now=NOW).num_rows == 1
    with pytest.raises(StageError) as refused:
        upwell.predict("ann", longer, now=NOW)
    assert refused.value.code == "serve.too_long"
    assert all(refused.value.explain(lang) for lang in ("en", "zh"))


def test_an_empty_text_is_answered_by_nothing_and_teaches_nothing(tmp_path: Path) -> None:
    upwell = opened(tmp_path)
    blank = [{**row, "id": f"blank-{n}", "payload": {"input": " " * n, "target": "fruit"}}
             for n, row in enumerate(labels(3))]  # fmt: skip
    unsaid = [{**labels(1)[0], "id": "unsaid", "payload": {"input": "plum", "target": " "}}]
    assert upwell.capture([*labels(80), *blank, *unsaid], now=NOW).accepted == 84
    loop.turn(upwell.project, now=NOW)
    assert len(rows(upwell)) == 80
    answer = upwell.predict("ann", "", now=NOW).to_pylist()[0]
    assert (answer["answer"], answer["probability"]) == ("", None)
    assert answer["reason"].startswith("answer.no_input")


def table(n: int, first: int = 0) -> list[Row]:
    """Loans that are paid back where the income is high; a column misses, is constant, is mixed."""
    made: list[Row] = []
    for m in range(first, first + n):
        cells: Row = {"income": m % 50, "branch": "north", "job": [m, f"job{m % 3}"][m % 2]}
        if m % 5 == 0:
            del cells["income"]
        payload = {"input": cells, "target": "yes" if m % 50 > 24 else "no"}
        made.append({"id": f"loan-{m}", "kind": "label", "at": NOW, "payload": payload})
    return made


def test_a_table_with_odd_columns_is_learned_and_asked(tmp_path: Path) -> None:
    upwell = opened(tmp_path, "tabular")
    assert upwell.capture(table(200), now=NOW).accepted == 200
    assert loop.turn(upwell.project, now=NOW).act == "promote"
    odd: list[Json] = [
        {"income": "forty"},
        {},
        {"income": 1e308, "new": [1]},
        {"job": None, "branch": 3},
    ]
    found = upwell.predict_many(odd, ["ann"] * len(odd), now=NOW)
    assert {row[0] for row in found["answer"].to_pylist()} <= {"yes", "no"}


def test_a_row_that_the_task_cannot_read_stops_no_turn(tmp_path: Path) -> None:
    for task, good, bad in (
        ("tabular", table(120), {"input": "no table", "target": "yes"}),
        ("tagging", spans(60), {"input": "Ann of Rome", "target": "PER"}),
    ):
        upwell = opened(tmp_path, task)
        upwell.capture([*good, {**good[0], "id": "bad", "payload": bad}], now=NOW)
        assert loop.turn(upwell.project, now=NOW).act == "promote"
        assert "app/bad" not in rows(upwell)
        assert kept(upwell)["unreadable"] == 1
        assert upwell.project.journal.counts()["events"] == len(good) + 1


def spans(n: int) -> list[Row]:
    target = '{"rest":1.0,"spans":[[0,3,"PER"],[7,11,"LOC"]]}'
    return [
        {"id": str(m), "kind": "label", "at": NOW,
         "payload": {"input": f"Ann of Rome {m}", "target": target}}
        for m in range(n)
    ]  # fmt: skip


def test_a_target_that_is_no_number_stays_among_the_bad_rows(tmp_path: Path) -> None:
    upwell = opened(tmp_path, "tabular")
    numbers = [
        {"id": str(n), "kind": "label", "at": NOW,
         "payload": {"input": {"size": n}, "target": n * 1.5}}
        for n in range(100)
    ]  # fmt: skip
    bad = {**numbers[0], "id": "nan", "payload": {"input": {"size": 1}, "target": float("nan")}}
    text = {**numbers[0], "id": "text", "payload": {"input": {"size": 1}, "target": "nan"}}
    receipt = upwell.capture([*numbers, bad, text], now=NOW)
    assert [row.code for row in receipt.refused] == ["record.not_finite"]
    loop.turn(upwell.project, now=NOW)
    assert kept(upwell)["unreadable"] == 1
    assert len(rows(upwell)) == 100


def test_no_input_is_in_two_parts(tmp_path: Path) -> None:
    for disjoint in ("inputs", "users", "time"):
        upwell = opened(tmp_path / disjoint, split={"disjoint": disjoint, "test_share": 0.2})
        users = [f"u{n}" for n in range(30)]
        upwell.consent(users, PURPOSES, since=NOW)
        told = [
            {**row, "user": users[n % 30], "at": NOW + timedelta(hours=n),
             "payload": {"input": f"apple {n % 70}", "target": ANSWER.labels[n % 2]}}
            for n, row in enumerate(labels(120))
        ]  # fmt: skip
        upwell.capture(told, now=NOW)
        loop.turn(upwell.project, now=NOW)
        version = upwell.project.ledger.versions("tiny_answer")[0]
        data = upwell.project.snapshots.read(version.snapshot)
        inputs = [asked(part) for part in (data.train, data.validation, data.test)]
        assert all(inputs)
        assert len(set.union(*inputs)) == sum(map(len, inputs)), disjoint


def asked(part: pa.Table) -> set[str]:
    """The inputs of the rows of a part that count."""
    assert set(part.column_names) >= set(Example.__dataclass_fields__)
    return {row["input"] for row in part.to_pylist() if row["weight"] > 0}

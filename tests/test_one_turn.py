"""A whole small turn of every task that discovery finds, from events to an answer with reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copytree

import pyarrow as pa
import pytest
from pyarrow import compute as pc
from pyarrow import parquet as pq

from upwell import loop
from upwell.interfaces.report.gather import gather
from upwell.interfaces.report.write import write
from upwell.plugins import locations, plugin
from upwell.ports import Correcting
from upwell.service import Upwell
from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.store.project import open_project
from upwell.words import say

DAY_ONE = datetime(2024, 1, 1, tzinfo=UTC)
FIRST, FROZEN, NOW = (DAY_ONE + timedelta(days=days) for days in (60, 100, 122))
PARTS = ("train", "validation", "test")
TASKS = list(locations("tasks"))
RECOMMENDING = pytest.mark.parametrize("turned", ["recommend"], indirect=True)
ANSWERING = pytest.mark.parametrize(
    "turned", [task for task in TASKS if plugin("tasks", task).ABOUT != "item"], indirect=True
)
Shop = Callable[..., Upwell]


@pytest.fixture(scope="module", params=TASKS)
def turned(
    request: pytest.FixtureRequest, shop: Shop, tmp_path_factory: pytest.TempPathFactory
) -> Upwell:
    """A shop after two turns."""
    upwell = shop(tmp_path_factory.mktemp("shop") / "one", request.param)
    for moment in (FIRST, FROZEN):
        loop.turn(upwell.project, now=NOW, as_of=moment)
    return upwell


def users(upwell: Upwell) -> list[str]:
    """Everybody, in order: the first allow nothing, only serve, only train, only analyse."""
    return sorted(set(upwell.project.journal.events_after(0, 10**6)["user"].to_pylist()) - {""})


def snapshots(upwell: Upwell) -> Iterator[tuple[str, pa.Table]]:
    """Every part of every snapshot, with where it comes from."""
    for version in upwell.project.ledger.versions(upwell.project.settings.project.task):
        data = upwell.project.snapshots.read(version.snapshot)
        for part in PARTS:
            yield f"{version.id}/{part}", getattr(data, part)


def test_two_turns_end_with_a_champion_and_two_decisions(turned: Upwell) -> None:
    task = turned.project.settings.project.task
    ledger = turned.project.ledger
    decisions = ledger.decisions(task)
    assert [one.model for one in decisions] == [f"{task}-0", f"{task}-1"]
    assert decisions[0].act == "promote"
    assert all(one.reasons for one in decisions)
    promoted = [one.model for one in decisions if one.act == "promote"]
    champion = ledger.champion(task)
    assert champion is not None
    assert champion.id == promoted[-1]
    assert ledger.unfinished_turn(task) is None
    assert [turn.as_of for turn in ledger.turns(task)] == [FIRST, FROZEN]
    assert ledger.versions(task)[1].parent == f"{task}-0"


def test_a_turn_learns_only_from_what_came_before_its_moment(turned: Upwell) -> None:
    task = turned.project.settings.project.task
    for turn, version in zip(
        turned.project.ledger.turns(task), turned.project.ledger.versions(task), strict=True
    ):
        data = turned.project.snapshots.read(version.snapshot)
        assert turn.as_of is not None
        for part in (data.train, data.validation):
            assert pc.max(part["at"]).as_py() < turn.as_of
        judged = data.test.filter(pc.greater(data.test["weight"], 0.0))
        assert pc.min(judged["at"]).as_py() >= FROZEN


def test_both_turns_are_judged_on_the_same_frozen_part(turned: Upwell) -> None:
    tests = [table for name, table in snapshots(turned) if name.endswith("test")]
    assert tests[0].equals(tests[1])
    last = f"{turned.project.settings.project.task}-1"
    looked = turned.project.ledger.stage_result(last, "evaluate")
    assert looked is not None
    assert looked["looks"] == 2


def test_nobody_is_learned_from_who_has_not_allowed_it(turned: Upwell) -> None:
    hidden = [Pseudonyms(turned.project.key).of(user) for user in users(turned)]
    for name, rows in snapshots(turned):
        present = set(rows["user"].to_pylist())
        assert not present & {hidden[0], hidden[1], hidden[3]}, name
        assert present <= set(hidden), name
    assert hidden[2] in set(next(snapshots(turned))[1]["user"].to_pylist())


def test_no_file_but_the_journal_holds_the_id_of_a_user(turned: Upwell) -> None:
    data = turned.project.folder / "data"
    files = [path for path in data.rglob("*") if path.is_file() and "journal.db" not in path.name]
    assert any(path.suffix == ".parquet" for path in files)
    for path in files:
        text = path.read_bytes()
        if path.suffix == ".parquet":
            text += str(pq.read_table(path).to_pydict()).encode()
        assert b"@shop.example" not in text, path


@RECOMMENDING
def test_an_answer_is_titled_reasoned_and_recorded(turned: Upwell) -> None:
    user = users(turned)[10]
    before = turned.status()["champion"]
    answer = turned.recommend(user, 3, now=NOW)
    assert answer.num_rows == 3
    assert len(set(answer["item"].to_pylist())) == 3
    assert all("thing" in title for title in answer["title"].to_pylist())
    assert answer["score"].to_pylist() == sorted(answer["score"].to_pylist(), reverse=True)
    for reason in answer["reason"].to_pylist():
        key, _, detail = reason.partition("\t")
        assert say(key, "en", detail=detail)
    assert set(answer["propensity"].to_pylist()) == {1.0}
    assert set(answer["model"].to_pylist()) == {before}
    predictions = turned.project.journal.predictions_after(0, 10**6)
    recorded = predictions.filter(pc.equal(predictions["id"], answer["prediction"][0])).to_pylist()
    assert [(row["user"], row["model"], row["propensity"]) for row in recorded] == [
        (user, before, 1.0)
    ]
    assert all(f'"{item}"' in recorded[0]["output"] for item in answer["item"].to_pylist())


@RECOMMENDING
def test_nothing_is_recommended_that_the_user_has_seen(turned: Upwell) -> None:
    events = turned.project.journal.events_after(0, 10**6)
    for user in users(turned)[4:8]:
        seen = set(events.filter(pc.equal(events["user"], user))["item"].to_pylist())
        shown = turned.recommend(user, 12 - len(seen), now=NOW)["item"].to_pylist()
        assert len(shown) == 12 - len(seen)
        assert not seen & set(shown)


@RECOMMENDING
def test_who_does_not_allow_serving_is_answered_like_a_stranger(turned: Upwell) -> None:
    stranger = turned.recommend("nobody knows me", 4, now=NOW)
    everybody = users(turned)
    for user in (everybody[0], everybody[2], everybody[3]):
        answer = turned.recommend(user, 4, now=NOW)
        assert answer.select(["item", "score", "reason"]) == stranger.select(
            ["item", "score", "reason"]
        )
    assert turned.recommend(everybody[1], 4, now=NOW)["score"] != stranger["score"]


@RECOMMENDING
def test_an_answer_knows_only_what_happened_before_it(turned: Upwell) -> None:
    user = users(turned)[9]
    early = turned.recommend(user, 4, now=DAY_ONE + timedelta(minutes=1))
    stranger = turned.recommend("nobody", 4, now=DAY_ONE + timedelta(minutes=1))
    assert early.select(["item", "score"]) == stranger.select(["item", "score"])


@RECOMMENDING
def test_what_a_user_just_did_counts_at_once(turned: Upwell) -> None:
    before = turned.recommend("zoe@elsewhere.example", 6, now=NOW)
    turned.consent(["zoe@elsewhere.example"], ("serve",), since=NOW)
    seen = before["item"][0].as_py()
    event = {"id": "just now", "user": "zoe@elsewhere.example", "kind": "thumbs", "value": 1,
             "item": seen, "at": NOW + timedelta(seconds=1)}  # fmt: skip
    assert turned.capture([event], now=NOW + timedelta(seconds=1)).accepted == 1
    after = turned.recommend("zoe@elsewhere.example", 6, now=NOW + timedelta(seconds=2))
    assert seen not in after["item"].to_pylist()
    assert after["score"] != before["score"]


@ANSWERING
def test_an_answer_is_recorded_with_what_was_asked(turned: Upwell) -> None:
    upwell, task = Upwell(turned.project), turned.project.settings.project.task
    asked = turned.project.snapshots.read(turned.project.ledger.versions(task)[0].snapshot).test
    inputs = sorted(set(asked["input"].to_pylist()))[:5]
    found = upwell.predict_many([*inputs, " "], [users(turned)[-1]] * (len(inputs) + 1), 2, now=NOW)
    assert found["answer"].to_pylist()[-1] == [""]
    said = found.to_pylist()
    for row in said[:-1]:
        assert len(set(row["answer"])) == len(row["answer"]) > 0
        assert row["probability"] == sorted(row["probability"], reverse=True)
        assert all(say(why.split("\t")[0], "en", detail="x") for why in row["reason"])
        assert (row["propensity"], row["model"]) == (1.0, upwell.status()["champion"])
    for text, row in zip([*inputs, " "], said, strict=True):
        kept = turned.project.journal.prediction(row["prediction"])
        assert kept is not None
        assert (kept.input, kept.model, kept.propensity) == (text, row["model"], 1.0)
        assert isinstance(kept.output, dict)
        assert kept.output["answers"] == (row["answer"] if text.strip() else [])
    alone = upwell.predict(users(turned)[-1], inputs[0], 2, now=NOW)
    assert alone["answer"].to_pylist() == said[0]["answer"]


@ANSWERING
def test_what_is_said_of_an_answer_enters_the_next_turn(turned: Upwell, tmp_path: Path) -> None:
    upwell = Upwell(open_project(copytree(turned.project.folder, tmp_path / "again")))
    project, at = upwell.project, FROZEN - timedelta(days=40)
    task, user = project.settings.project.task, users(turned)[-1]
    first = project.snapshots.read(project.ledger.versions(task)[0].snapshot)
    inputs = sorted(set(first.train["input"].to_pylist()))[:2]
    shown = upwell.predict_many(inputs, [user] * 2, now=NOW)
    answers = [row[0] for row in shown["answer"].to_pylist()]
    labels = first.train.filter(pc.is_null(first.train["sign"]))["target"].to_pylist()
    # To put what was said in its own place would be a yes to it.
    told = next(label for label in labels if label != answers[1])
    said: list[dict[str, object]] = [
        {"id": "down", "kind": "thumbs", "value": -1},
        {"id": "right", "kind": "correction", "payload": {"correction": told}},
    ]
    events = [
        {**what, "user": user, "prediction": name, "at": at + timedelta(minutes=n)}
        for n, (what, name) in enumerate(zip(said, shown["prediction"].to_pylist(), strict=True))
    ]
    assert upwell.capture(events, now=NOW).accepted == 2
    decision = loop.turn(project, now=NOW, as_of=FROZEN)
    data = project.snapshots.read(project.ledger.versions(task)[-1].snapshot)
    kept = data.validation.to_pylist()
    learned = {row["id"]: row for row in (*data.train.to_pylist(), *kept)}
    # What is judged by is the right answer itself; what is learned may say more of it.
    teaches = plugin("tasks", task)
    is_kept = any(row["id"] == "app/right#correction" for row in kept)
    right = told
    if isinstance(teaches, Correcting) and not is_kept:
        right = teaches.corrected(answers[1], told)
    wanted = {
        "app/down": (inputs[0], answers[0], -1),
        "app/right": (inputs[1], answers[1], -1),
        "app/right#correction": (inputs[1], right, 1),
    }
    for name, expected in wanted.items():
        assert tuple(learned[name][key] for key in ("input", "target", "sign")) == expected
    assert decision.model == f"{task}-2"


@ANSWERING
def test_the_report_of_a_task_about_answers_speaks_of_answers(
    turned: Upwell, tmp_path: Path
) -> None:
    story = gather(turned.project, NOW)
    assert not story.recommends
    for lang, page in write(story, tmp_path).items():
        text = page.read_text(encoding="utf-8")
        assert say("report.honest.answers", lang)[:40] in text
        assert say("report.learned.title", lang) in text
        assert say("report.metric.coverage", lang) not in text
        assert say("report.honest", lang)[:60] not in text

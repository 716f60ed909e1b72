"""Conversations through the loop: labels, replies, what users say of them, and a second turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import cast

import pyarrow as pa
import pytest

from upwell import loop
from upwell.interfaces.fates import fates_of
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.stages.evaluate import probes
from upwell.stages.evaluate.common_ground import DISPUTED, KNOWN
from upwell.store.project import create_project, open_project
from upwell.tables import Dataset, canonical_json
from upwell.wiring import probing

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FORMS = ("{}?", "{} please", "hi, {}", "so {}", "and {}", "say {}", "now {}", "oh {}", "ah {}")
REPLIES = {"open": "nine to five", "price": "ten euros", "where": "at the river"}
USERS = [f"u{n}" for n in range(12)]


def asked() -> list[tuple[str, str]]:
    return [(form.format(word), word) for form, word in product(FORMS, REPLIES)]


def taught(folder: Path, tune: dict[str, object], **more: dict[str, object]) -> Upwell:
    """A project whose first version has learned labels."""
    tables: dict[str, dict[str, object]] = {
        "project": {"task": "chat"}, "tune": tune,
        "gate": {"resamples": 100}, "split": {"test_share": 0.3}, **more,
    }  # fmt: skip
    upwell = Upwell(open_project(create_project(folder, "shop", tables)))
    upwell.consent(USERS, PURPOSES, since=NOW)
    labels = [{"input": text, "target": REPLIES[word]} for text, word in asked()]
    upwell.capture(
        [{"id": f"l{n}", "kind": "label", "at": NOW, "payload": one}
         for n, one in enumerate(labels)],
        now=NOW,
    )  # fmt: skip
    loop.turn(upwell.project, now=NOW)
    return upwell


def dataset(upwell: Upwell) -> Dataset:
    """What the last turn learned from and judged by."""
    turn = upwell.project.ledger.turns("chat")[-1]
    made = upwell.project.ledger.stage_result(turn.id, "dataset")
    return upwell.project.snapshots.read(str((made or {})["snapshot"]))


def test_asking_again_and_stars_are_learned_from_and_not_judged_by(tmp_path: Path) -> None:
    upwell = taught(tmp_path, {"base": "", "epochs": 2})
    told = [canonical_json([{"role": "user", "content": text}]) for text, _ in asked()]
    events = list[dict[str, object]]()
    for number, text in enumerate(told):
        user, at = USERS[number % len(USERS)], NOW + timedelta(days=1, hours=number)
        if number % 2:
            upwell.predict_many([text], [user], now=at)
            upwell.predict_many([text], [user], now=at + timedelta(minutes=1))
        else:
            shown = upwell.predict_many([text], [user], now=at)["prediction"][0].as_py()
            events.append({"id": f"s{number}", "user": user, "at": at + timedelta(minutes=1),
                           "kind": "rating", "value": 3.9, "prediction": shown})  # fmt: skip
    upwell.consent(["mild"], PURPOSES, since=NOW)
    events += [
        {"id": f"m{n}", "user": "mild", "at": NOW + timedelta(days=1, minutes=n), "kind": "rating",
         "value": 5.0, "payload": {"input": f"what is {n}?", "target": "ten euros"}}
        for n in range(60)
    ]  # fmt: skip
    later = NOW + timedelta(days=3)
    upwell.capture(events, now=later)
    loop.turn(upwell.project, now=later)
    data = dataset(upwell)
    said = {
        name: {(row["id"].rpartition("/")[2][:4], row["sign"], row["weight"])
               for row in getattr(data, name).to_pylist() if row["sign"]}
        for name in ("train", "validation", "test")
    }  # fmt: skip
    assert ("rege", -1, 0.5) in said["train"]
    assert {sign for kind, sign, _ in said["train"] if kind.startswith("s")} == {1}
    judged = said["validation"] | said["test"]
    assert judged
    assert all(not kind.startswith("rege") for kind, _, _ in judged)
    explained = {one.kind for user in USERS for one in fates_of(upwell.project, user)[1]}
    assert explained == {"rating", "regenerate"}
    # Whoever gives five stars to all says nothing by them, and is told so.
    told_why = {doubt.code for one in fates_of(upwell.project, "mild")[1] for doubt in one.doubts}
    assert told_why == {"clean.neutral"}


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], int]]:
    """The conversations in which versions are watched for what users wrote, and in how many rows"""
    found, real = list[tuple[list[str], int]](), probes.repeats

    def watching(said: list[str], told: list[str], rows: pa.Table) -> probes.Floats:
        found.append((told, rows.num_rows))
        return real(said, told, rows)

    monkeypatch.setattr(probes, "repeats", watching)
    return found


def test_a_conversation_is_learned_judged_and_corrected(
    tmp_path: Path, probed: list[tuple[list[str], int]]
) -> None:
    upwell = taught(tmp_path, {"base": "", "epochs": 30})
    later = NOW + timedelta(days=2)
    told = [canonical_json([{"role": "user", "content": f"{text} now"}]) for text, _ in asked()]
    users = [USERS[n % len(USERS)] for n in range(len(told))]
    found = upwell.predict_many(told, users, now=later)
    right = [REPLIES[word] for _, word in asked()]
    shown = found["answer"].to_pylist()
    events = [
        {"id": f"s{n}", "user": users[n], "at": later, "prediction": id_}
        | ({"kind": "thumbs", "value": 1.0} if shown[n] == right[n] else
           {"kind": "correction", "payload": {"correction": right[n]}})
        for n, id_ in enumerate(found["prediction"].to_pylist())
    ]  # fmt: skip
    upwell.capture(events, now=later)
    result = loop.turn(upwell.project, now=later + timedelta(days=1))
    assert result is not None
    report = upwell.project.ledger.reports("chat")[-1]
    assert {metric.name for metric in report.metrics} >= {
        "preference", "liked", "avoided", "labelled",
    }  # fmt: skip
    assert report.guards["metric"] == "preference"
    assert report.ope["refused"] == "ope.refused.replies"
    watched = cast("dict[str, dict[str, object]]", report.guards["watched"])
    assert set(probing.NAMES) <= set(watched)
    assert watched["flattery"]["questions"] == len(DISPUTED)
    assert watched["forgetting_general"]["rows"] == len(KNOWN)
    measured = {name for name in probing.NAMES if watched[name]["value"] is not None}
    # Where replies are few and mostly the same, their length is no matter; no judge is named.
    assert {*probing.NAMES} - measured <= {"length", "judged"}
    assert watched["judged"]["why"] == "guard.why.no_judge"
    assert len(upwell.project.ledger.versions("chat")) == 2
    looked_where_it_was_learned(dataset(upwell), probed)


def looked_where_it_was_learned(data: Dataset, probed: list[tuple[list[str], int]]) -> None:
    # What could come out is looked for where it was learned, other repeats in new conversations.
    learned = {row["input"] for row in data.train.to_pylist() if row["user"][0] != "~"}
    judged = {*data.test["input"].to_pylist()}
    ((told, rows),) = probed
    both = len(told) // 2
    assert told[:both] == told[both:]
    places = [one in learned for one in told[:both]]
    assert places == sorted(places)
    assert {*told} <= learned | judged
    assert {*told} & learned
    assert {*told} & judged
    assert rows == data.train.num_rows
    assert not learned & judged

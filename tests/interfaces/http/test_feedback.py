"""Feedback: early, late and orphan, and in the shapes of TensorZero and Gorse."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from starlette.testclient import TestClient
from tests.interfaces.http.conftest import error, stored

from upwell.records import Prediction
from upwell.service import Upwell
from upwell.tables import to_table

pytestmark = pytest.mark.usefixtures("database")
AT = datetime(2026, 5, 1, tzinfo=UTC)


def answered(upwell: Upwell, id: str, user: str) -> None:
    """An answer that was given."""
    given = Prediction(id, user, "recommend", "m1", AT, {}, {"items": ["i1"]}, 1.0)
    upwell.project.journal.append_predictions(to_table(Prediction, [given]))


def test_feedback_is_taken_before_with_and_without_its_answer(
    api: TestClient, upwell: Upwell
) -> None:
    answered(upwell, "p1", "ann")
    for about in ("p1", "p2", "never"):
        sent = {"inference_id": about, "metric_name": "thumbs", "value": True, "id": about}
        assert api.post("/v1/feedback", json=sent).status_code == 202
    assert [(row["prediction"], row["user"], row["value"]) for row in stored(upwell)] == [
        ("p1", "ann", 1.0), ("p2", "prediction:p2", 1.0), ("never", "prediction:never", 1.0),
    ]  # fmt: skip


def test_a_retry_counts_once_also_when_the_answer_came_between(
    api: TestClient, upwell: Upwell
) -> None:
    sent = {"inference_id": "p1", "metric_name": "thumbs", "value": False, "id": "f1"}
    assert api.post("/v1/feedback", json=sent).json()["accepted"] == 1
    answered(upwell, "p1", "ann")
    again = api.post("/v1/feedback", json=sent)
    assert (again.status_code, again.json()["duplicates"]) == (202, 1)
    changed = api.post("/v1/feedback", json={**sent, "value": True})
    assert changed.status_code == 409
    mind = api.post("/v1/feedback", json={**sent, "id": "f2", "value": True})
    assert mind.status_code == 202
    assert [row["value"] for row in stored(upwell)] == [-1.0, 1.0]


def test_words_and_corrections_are_kept_as_such(api: TestClient, upwell: Upwell) -> None:
    base = {"inference_id": "p1", "user_id": "ann"}
    for metric, value in (("comment", "nice"), ("demonstration", "Paris"), ("stars", 4)):
        sent = {**base, "metric_name": metric, "value": value, "tags": {"page": "x"}}
        told = api.post("/v1/feedback", json=sent).json()
        assert told["feedback_id"]
    rows = stored(upwell)
    assert [(row["kind"], row["value"]) for row in rows] == [
        ("comment", None), ("correction", None), ("stars", 4.0),
    ]  # fmt: skip
    said = [json.loads(row["payload"]) for row in rows]
    assert said[0]["text"] == "nice"
    assert said[1]["correction"] == "Paris"
    assert all(one["tags"] == {"page": "x"} for one in said)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"metric_name": "thumbs", "value": 1}, "http.one_target"),
        ({"inference_id": "a", "episode_id": "b", "metric_name": "t", "value": 1},
         "http.one_target"),
        ({"inference_id": "a", "value": 1}, "record.missing"),
        ({"inference_id": "a", "metric_name": "t"}, "record.missing"),
        ({"inference_id": "a", "metric_name": "t", "value": 1, "tags": [1]}, "http.no_mapping"),
        ({"inference_id": "a", "metric_name": "t", "value": 1, "metric": 1}, "http.unknown_field"),
        ({"inference_id": "a", "metric_name": "!", "value": 1}, "record.bad_name"),
    ],
)  # fmt: skip
def test_feedback_that_says_nothing_is_refused_and_kept(
    api: TestClient, upwell: Upwell, sent: dict[str, object], code: str
) -> None:
    answer = api.post("/v1/feedback", json=sent)
    assert (answer.status_code, error(answer)["code"]) == (400, code)
    assert upwell.project.journal.counts() == {
        "events": 0, "predictions": 0, "consents": 0, "bad_rows": 1,
    }  # fmt: skip


def test_a_dry_run_says_the_same_and_stores_nothing(api: TestClient, upwell: Upwell) -> None:
    good = {"inference_id": "a", "metric_name": "t", "value": 1, "dryrun": True}
    assert api.post("/v1/feedback", json=good).status_code == 200
    assert api.post("/v1/feedback", json={**good, "metric_name": "!"}).status_code == 400
    assert set(upwell.project.journal.counts().values()) == {0}


def test_gorse_feedback_counts_once_when_it_is_sent_again(api: TestClient, upwell: Upwell) -> None:
    sent = [
        {"FeedbackType": "read", "UserId": "ann", "ItemId": "a/b", "Value": 2,
         "Timestamp": "2026-05-01T10:00:00Z", "Comment": "good"},
        {"FeedbackType": "star", "UserId": "ann", "ItemId": "i2", "Timestamp": ""},
    ]  # fmt: skip
    assert api.post("/api/feedback", json=sent).json() == {"RowAffected": 2, "Refused": []}
    assert api.put("/api/feedback", json=sent).json()["RowAffected"] == 0
    told = api.post("/api/feedback", json=[*sent, {"UserId": "ann"}]).json()
    assert [one["index"] for one in told["Refused"]] == [2]
    assert api.post("/api/feedback", json={"UserId": "ann"}).status_code == 400
    assert [(row["kind"], row["item"], row["value"]) for row in stored(upwell)] == [
        ("read", "a/b", 2.0), ("star", "i2", None),
    ]  # fmt: skip


def test_gorse_facts_hold_whatever_was_said_last(api: TestClient, upwell: Upwell) -> None:
    for plan in ("a", "b", "a"):
        api.post("/api/user", json={"UserId": "ann", "Labels": {"plan": plan}})
    api.post("/api/items", json=[{"ItemId": "i1", "Comment": "Heat", "Categories": ["Crime"]}])
    *users, item = stored(upwell)
    plans = [json.loads(row["payload"])["labels"]["plan"] for row in users]
    assert plans == ["a", "b", "a"]
    assert (item["kind"], item["user"], json.loads(item["payload"])) == (
        "item", "", {"title": "Heat", "genres": ["Crime"]},
    )  # fmt: skip


def test_consent_is_given_and_withdrawn(api: TestClient, upwell: Upwell) -> None:
    grant = {"user": "ann", "purposes": ["serve", "train"], "id": "c1"}
    assert api.post("/v1/consents", json=grant).json() == {"id": "c1", "recorded": True}
    assert api.post("/v1/consents", json=grant).json()["recorded"] is False
    assert api.post("/v1/consents", json={"user": "ann", "purposes": []}).status_code == 202
    kept = upwell.project.journal.consents().to_pylist()
    assert [row["purposes"] for row in kept] == [["serve", "train"], []]
    wrongs: list[dict[str, object]] = [
        {"user": "ann", "purposes": ["all"]},
        {"user": "ann"},
        {"purposes": []},
        {"user": "ann", "purposes": [], "since": "2026-05-01T10:00:00"},
        {"user": "\udead", "purposes": []},
    ]
    for wrong in wrongs:
        answer = api.post("/v1/consents", content=json.dumps(wrong),
                          headers={"content-type": "application/json"})  # fmt: skip
        assert answer.status_code == 400, wrong
    assert len(upwell.project.journal.consents()) == 2

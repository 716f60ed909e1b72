"""Answers over HTTP: recorded, named, explained, and aware of what was just captured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.interfaces.http.conftest import HERE, LOCAL, error
from tests.tiny_task import ANSWER, install

from upwell import loop
from upwell.interfaces.http.app import application
from upwell.interfaces.http.desk import Desk
from upwell.service import Upwell
from upwell.store.project import create_project, open_project

DAY_ONE = datetime(2024, 1, 1, tzinfo=UTC)
FROZEN, NOW = DAY_ONE + timedelta(days=100), DAY_ONE + timedelta(days=122)
Shop = Callable[..., Upwell]


def asked_of(upwell: Upwell) -> TestClient:
    return TestClient(application(Desk.of(upwell)), HERE, client=LOCAL)


@pytest.fixture
def recommending(shop: Shop, tmp_path: Path) -> TestClient:
    upwell = shop(tmp_path / "shop", tune={"epochs": 1})
    loop.turn(upwell.project, now=NOW, as_of=FROZEN)
    return asked_of(upwell)


@pytest.fixture
def classifying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    install(monkeypatch)
    chosen: Mapping[str, Mapping[str, object]] = {
        "project": {"task": "tiny_answer"}, "gate": {"resamples": 100},
              "tune": {"base": "", "epochs": 3, "learning_rate": 0.1}}  # fmt: skip
    upwell = Upwell(open_project(create_project(tmp_path / "asked", "asked", chosen)))
    told = [
        {"id": str(n), "kind": "label", "at": NOW,
         "payload": {"input": f"{ANSWER.words[n % 6]} {n}", "target": ANSWER.labels[n % 2]}}
        for n in range(120)
    ]  # fmt: skip
    upwell.capture(told, now=NOW)
    loop.turn(upwell.project, now=NOW)
    return asked_of(upwell)


def test_nobody_answers_before_the_first_turn(api: TestClient) -> None:
    answer = api.post("/v1/predict/recommend", json={"user": "ann"})
    assert (answer.status_code, error(answer)["code"]) == (409, "serve.no_champion")
    assert api.get("/api/recommend/ann").status_code == 409


def test_the_next_answer_knows_what_the_user_just_did(recommending: TestClient) -> None:
    with recommending as api:
        allows = {"user": "newcomer", "purposes": ["serve"]}
        assert api.post("/v1/consents", json=allows).status_code == 202
        first = api.post("/v1/predict/recommend", json={"user": "newcomer", "k": 3}).json()
        best = first["answers"][0]["output"]
        sent = {"id": "e1", "user": "newcomer", "kind": "rating", "item": best, "value": 5}
        assert api.post("/v1/events", json=sent).status_code == 202
        then = api.post("/v1/predict/recommend", json={"user": "newcomer", "k": 3}).json()
    assert best not in [one["output"] for one in then["answers"]]
    assert first["prediction"] != then["prediction"]
    assert first["model"] == then["model"] == "recommend-0"
    assert 0.0 < first["propensity"] <= 1.0
    assert all(one["reason"] and one["title"] for one in then["answers"])


def test_who_asks_not_to_be_known_gets_what_everybody_gets(recommending: TestClient) -> None:
    with recommending as api:
        api.post("/v1/consents", json={"user": "fan", "purposes": ["serve"], "id": "c"})
        best = api.post("/v1/predict/recommend", json={"user": "fan", "k": 3}).json()["answers"]
        seen = {"id": "e", "user": "fan", "kind": "rating", "item": best[0]["output"], "value": 5}
        assert api.post("/v1/events", json=seen).status_code == 202
        plain = {"k": 3, "personalize": False}
        found = [
            api.post("/v1/predict/recommend", json={"user": user, **plain}).json()
            for user in ("fan", "another")
        ]
        assert found[0]["answers"] == found[1]["answers"] == best
        assert [one["propensity"] for one in found] == [1.0, 1.0]
        known = api.post("/v1/predict/recommend", json={"user": "fan", "k": 3}).json()
        assert known["answers"] != best
        listed = api.get("/api/recommend/fan", params={"n": 3, "personalize": "false"}).json()
        assert listed == [one["output"] for one in best]
        for wrong in (
            api.post("/v1/predict/recommend", json={"user": "fan", "personalize": "no"}),
            api.get("/api/recommend/fan", params={"personalize": "perhaps"}),
        ):
            assert (wrong.status_code, error(wrong)["code"]) == (400, "http.yes_or_no")
        described = api.get("/openapi.json").json()["paths"]
        sent = described["/v1/predict/{task}"]["post"]["requestBody"]["content"]
        assert "personalize" in sent["application/json"]["schema"]["properties"]
        named = [one["name"] for one in described["/api/recommend/{user}"]["get"]["parameters"]]
        assert "personalize" in named


def test_gorse_clients_read_pages_of_items(recommending: TestClient) -> None:
    with recommending as api:
        whole = api.get("/api/recommend/ann", params={"n": 4})
        assert whole.headers["x-upwell-prediction"]
        page = api.get("/api/recommend/ann", params={"n": 2, "offset": 2}).json()
        assert page == whole.json()[2:]
        scored = api.get("/api/recommend/ann", params={"n": 2}, headers={"x-api-version": "2"})
        assert [one["Id"] for one in scored.json()] == whole.json()[:2]
        assert api.get("/api/recommend/a/b%2Fc", params={"n": 1}).status_code == 200
        for wrong in ({"n": "many"}, {"n": "-1"}, {"n": "5000"}, {"offset": "x"},
                      {"write-back-delay": "-1"}):  # fmt: skip
            assert api.get("/api/recommend/ann", params=wrong).status_code == 400
        back: dict[str, str | int] = {"n": 1, "write-back-type": "read", "write-back-delay": "10"}
        shown = api.get("/api/recommend/ann", params=back).json()
        again = api.get("/api/recommend/ann", params={"n": 4}).json()
        assert shown[0] == whole.json()[0]
        assert len(again) == 4


def test_a_hidden_item_is_in_no_answer_from_then_on(recommending: TestClient) -> None:
    with recommending as api:

        def told() -> list[list[str]]:
            asked = {"user": "ann", "k": 4}
            plain = {**asked, "personalize": False}
            found = [api.post("/v1/predict/recommend", json=one).json() for one in (asked, plain)]
            lists = [[one["output"] for one in answer["answers"]] for answer in found]
            return [*lists, api.get("/api/recommend/ann", params={"n": 4}).json()]

        def stated(method: str, path: str, sent: dict[str, object] | None = None) -> None:
            assert api.request(method, path, json=sent).status_code in (200, 202)

        before = told()
        best = before[0][0]
        rest = [[item for item in one if item != best] for one in before]
        one, fact = f"/api/item/{best}", {"ItemId": best, "Comment": "Best"}
        event = {"kind": "item", "item": best}
        for hide, show in (
            (("POST", "/api/item", {**fact, "IsHidden": True}),
             ("PATCH", one, {"IsHidden": False})),
            (("DELETE", one), ("POST", "/api/item", fact)),
            (("POST", "/v1/events", {**event, "id": "hide", "payload": {"hidden": True}}),
             ("POST", "/v1/events", {**event, "id": "show"})),
        ):  # fmt: skip
            stated(*hide)
            hidden = told()
            assert [list(one[:3]) for one in hidden] == [left[:3] for left in rest]
            assert not any(best in one for one in hidden)
            assert all(len(one) == 4 for one in hidden)
            stated(*show)
            assert told() == before


def test_a_turn_goes_on_without_an_item_that_was_deleted(shop: Shop, tmp_path: Path) -> None:
    upwell = shop(tmp_path / "shop", tune={"epochs": 1})
    happened = upwell.project.journal.events_after(0, 100_000)["item"].drop_null().to_pylist()
    (gone, _), *_ = Counter(happened).most_common(1)
    with asked_of(upwell) as api:
        assert api.delete(f"/api/item/{gone}").json() == {"RowAffected": 1}
        loop.turn(upwell.project, now=NOW)
        version = upwell.project.ledger.versions("recommend")[0]
        items = upwell.project.snapshots.read(version.snapshot).items["item"].to_pylist()
        assert set(happened) - set(items) == {gone}
        users = upwell.project.journal.events_after(0, 100_000)["user"].unique().to_pylist()
        for user in ["stranger", *filter(None, users)]:
            shown = api.get(f"/api/recommend/{user}", params={"n": 1000}).json()
            assert gone not in shown


def test_questions_are_answered_and_explained(classifying: TestClient) -> None:
    with classifying as api:
        found = api.post(
            "/v1/predict/tiny_answer", json={"user": "ann", "input": "an iron bar", "k": 2}
        ).json()
        assert [one["output"] for one in found["answers"]] == ["metal", "fruit"]
        assert 0.5 < found["answers"][0]["score"] <= 1.0
        assert found["reason"] is None
        blank = api.post("/v1/predict/tiny_answer", json={"user": "ann", "input": " "}).json()
        assert (blank["answers"], bool(blank["reason"])) == ([], True)
        sent = {"inference_id": found["prediction"], "metric_name": "thumbs", "value": True}
        assert api.post("/v1/feedback", json=sent).status_code == 202
        wrong = api.post("/v1/predict/recommend", json={"user": "ann"})
        assert (wrong.status_code, error(wrong)["code"]) == (404, "http.other_task")
        assert "tiny_answer" in error(wrong)["next"]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"input": "x"}, "http.missing"), ({"user": True, "input": "x"}, "http.missing"),
        ({"user": " ", "input": "x"}, "record.bad_id"), ({"user": "ann"}, "http.missing"),
        ({"user": "u" * 600, "input": "x"}, "record.bad_id"),
        ({"user": "ann", "input": "x", "k": 0}, "http.number"),
        ({"user": "ann", "input": "x", "k": 10**9}, "http.number"),
        ({"user": "ann", "input": "x", "j": 1}, "http.unknown_field"),
        ({"user": "ann", "input": "x" * 1_100_000}, "http.too_large"),
    ],
)  # fmt: skip
def test_questions_that_cannot_be_meant_are_refused(
    classifying: TestClient, sent: dict[str, object], code: str
) -> None:
    with classifying as api:
        answer = api.post("/v1/predict/tiny_answer", json=sent)
    assert answer.status_code in (400, 413)
    assert error(answer)["code"] == code

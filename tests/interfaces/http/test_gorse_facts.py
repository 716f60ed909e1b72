"""What is known of a user or an item, told and changed in part as Gorse's clients do."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient
from tests.interfaces.http.conftest import desk_of, error, event, stored

from upwell.service import Upwell


def test_a_user_is_told_as_gorse_tells_one(api: TestClient) -> None:
    assert api.get("/api/user/ann").status_code == 404
    api.post("/v1/events", json=event("1"))
    nothing = {"UserId": "ann", "Labels": None, "Subscribe": None, "Comment": ""}
    assert api.get("/api/user/ann").json() == nothing
    api.post("/api/user", json={"UserId": "ann", "Labels": ["a"], "Comment": "x"})
    assert api.get("/api/user/ann").json() == {**nothing, "Labels": ["a"], "Comment": "x"}


def test_an_item_is_told_as_gorse_tells_one(api: TestClient) -> None:
    answer = api.get("/api/item/i1")
    assert (answer.status_code, error(answer)["code"]) == (404, "http.unknown_id")
    api.post("/api/item", json={"ItemId": "a/b", "Comment": "Heat", "Categories": ["Crime"],
                                "IsHidden": True})  # fmt: skip
    assert api.get("/api/item/a/b").json() == {
        "ItemId": "a/b", "IsHidden": True, "Categories": ["Crime"],
        "Timestamp": "0001-01-01T00:00:00Z", "Labels": None, "Comment": "Heat",
    }  # fmt: skip


def test_a_change_leaves_what_it_does_not_name(api: TestClient, upwell: Upwell) -> None:
    api.post("/api/item", json={"ItemId": "i1", "Comment": "Heat", "Categories": ["Crime"],
                                "Labels": {"year": 1995}})  # fmt: skip
    # Gorse's client for Python sends null for all that it does not change.
    sent = {"IsHidden": None, "Categories": ["Drama"], "Labels": None, "Timestamp": None,
            "Comment": None}  # fmt: skip
    assert api.patch("/api/item/i1", json=sent).json() == {"RowAffected": 1}
    assert api.patch("/api/item/i1", json={"Labels": []}).status_code == 200
    found = api.get("/api/item/i1").json()
    assert (found["Comment"], found["Categories"], found["Labels"]) == ("Heat", ["Drama"], None)
    facts = [json.loads(row["payload"]) for row in stored(upwell)]
    assert facts[-1] == {"title": "Heat", "genres": ["Drama"]}
    assert {row["kind"] for row in stored(upwell)} == {"item"}


def test_a_change_states_what_nobody_knew(api: TestClient, upwell: Upwell) -> None:
    assert api.patch("/api/user/ben", json={"Labels": {"plan": "pro"}}).json() == {"RowAffected": 1}
    assert api.get("/api/user/ben").json()["Labels"] == {"plan": "pro"}
    assert desk_of(api).meters.events["accepted"] == 1
    (row,) = stored(upwell)
    assert (row["source"], row["kind"], row["user"]) == ("gorse", "user", "ben")


def test_what_others_told_is_shown_and_stays(api: TestClient) -> None:
    api.post("/v1/events", json=event("1", kind="user", item=None, payload={"plan": "pro"}))
    assert api.get("/api/user/ann").json()["Labels"] == {"plan": "pro"}
    api.patch("/api/user/ann", json={"Comment": "vip"})
    found = api.get("/api/user/ann").json()
    assert (found["Labels"], found["Comment"]) == ({"plan": "pro"}, "vip")


def test_what_others_told_of_an_item_has_gorses_types(api: TestClient) -> None:
    told = {"title": 1995, "genres": "Crime|Drama", "hidden": "yes", "price": 3}
    api.post("/v1/events", json=event("1", kind="item", user=None, payload=told))
    found = api.get("/api/item/i1").json()
    assert (found["Comment"], found["Categories"], found["IsHidden"], found["Labels"]) == (
        "1995", ["Crime", "Drama"], False, {"price": 3},
    )  # fmt: skip
    told = {"genres": ["Crime", None, 7], "title": None}
    api.post("/v1/events", json=event("2", kind="item", user=None, payload=told))
    found = api.get("/api/item/i1").json()
    assert (found["Comment"], found["Categories"]) == ("", ["Crime", "", "7"])


def test_changes_that_come_together_are_all_kept(api: TestClient) -> None:
    names = ["Labels", "Subscribe", "Comment"] * 4
    with ThreadPoolExecutor(6) as crew:
        sent = [{name: f"{name}-{n}"} for n, name in enumerate(names)]
        answers = list(crew.map(lambda one: api.patch("/api/user/ann", json=one), sent))
    assert {answer.status_code for answer in answers} == {200}
    found = api.get("/api/user/ann").json()
    assert all(str(found[name]).startswith(name) for name in names)


@pytest.mark.parametrize(
    ("path", "sent", "code"),
    [
        ("/api/user/ann", {"Label": 1}, "http.unknown_field"),
        ("/api/user/ann", {"UserId": "ben"}, "http.unknown_field"),
        ("/api/user/ann", [], "http.no_object"),
        ("/api/item/%00", {"Comment": "x"}, "record.bad_id"),
        ("/api/item/%20", {"Comment": "x"}, "record.missing"),
        (f"/api/user/{'u' * 600}", {"Comment": "x"}, "record.bad_id"),
    ],
)
def test_changes_that_make_no_sense_are_refused(
    api: TestClient, path: str, sent: object, code: str
) -> None:
    answer = api.patch(path, json=sent)
    assert (answer.status_code, error(answer)["code"]) == (400, code)
    assert api.get(path).status_code in (400, 404)


def test_an_item_is_deleted_once_and_can_be_stated_again(api: TestClient, upwell: Upwell) -> None:
    answer = api.delete("/api/item/a/b")
    assert (answer.status_code, error(answer)["code"]) == (404, "http.unknown_id")
    api.post("/api/item", json={"ItemId": "a/b", "Comment": "Heat", "Categories": ["Crime"]})
    assert api.delete("/api/item/a/b").json() == {"RowAffected": 1}
    again = api.delete("/api/item/a/b")
    assert (again.status_code, again.json()) == (200, {"RowAffected": 0})
    assert api.get("/api/item/a/b").status_code == 404
    facts = [json.loads(row["payload"]) for row in stored(upwell)]
    assert facts == [{"title": "Heat", "genres": ["Crime"]}, {"deleted": True, "hidden": True}]
    assert api.patch("/api/item/a/b", json={"Comment": "Ronin"}).json() == {"RowAffected": 1}
    found = api.get("/api/item/a/b").json()
    assert (found["Comment"], found["Categories"], found["IsHidden"]) == ("Ronin", None, False)
    assert api.delete("/api/item/a/b").json() == {"RowAffected": 1}
    assert desk_of(api).meters.events["accepted"] == 4


def test_what_is_stated_now_holds_over_a_time_that_has_not_come(api: TestClient) -> None:
    fact = {"kind": "item", "item": "i1", "user": None, "payload": {"title": "Heat"}}
    for at in ("2120-01-01T00:00:00Z", "2020-01-01T00:00:00Z"):
        api.post("/v1/events", json=event(at, **fact, at=at))
    assert api.delete("/api/item/i1").json() == {"RowAffected": 1}
    assert api.get("/api/item/i1").status_code == 404


def test_only_items_are_deleted_by_what_a_fact_says(api: TestClient) -> None:
    api.post("/v1/events", json=event("1", kind="user", item=None, payload={"deleted": True}))
    assert api.get("/api/user/ann").json()["Labels"] == {"deleted": True}


@pytest.mark.parametrize("said", ["false", 1, [], {}])
def test_an_item_is_hidden_by_yes_or_no_alone(
    api: TestClient, upwell: Upwell, said: object
) -> None:
    for answer in (api.post("/api/item", json={"ItemId": "i1", "IsHidden": said}),
                   api.patch("/api/item/i1", json={"IsHidden": said})):  # fmt: skip
        assert (answer.status_code, error(answer)["code"]) == (400, "http.yes_or_no")
        assert error(answer)["field"] == "IsHidden"
    assert stored(upwell) == []


def test_a_wrong_method_is_told_all_that_are_right(api: TestClient) -> None:
    for path, methods in (
        ("/api/item/i1", "DELETE, GET, HEAD, PATCH"),
        ("/api/user/ann", "DELETE, GET, HEAD, PATCH"),
        ("/api/feedback", "OPTIONS, POST, PUT"),
    ):
        answer = api.put(path) if path != "/api/feedback" else api.get(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)


def test_a_path_that_ends_with_a_slash_names_no_category(api: TestClient) -> None:
    for path in ("/api/recommend/ann", "/api/recommend/ann/"):
        assert error(api.get(path))["code"] == "serve.no_champion"

"""The client for products against the service itself, and the script that browsers fetch."""

from __future__ import annotations

from pathlib import Path

from starlette.testclient import TestClient
from tests.interfaces.http.test_process import serving

from upwell.interfaces.sdk import Client
from upwell.interfaces.sdk.browser import MOST
from upwell.store.project import create_project, open_project


def test_what_a_product_hands_over_is_stored_once(tmp_path: Path) -> None:
    folder = create_project(tmp_path / "shop", "shop")
    with serving(folder) as (_, port), Client(f"http://127.0.0.1:{port}") as client:
        ids = [client.event("click", "anna", item=str(n)) for n in range(60)]
        client.event("thumbs", "anna", value=1.0, prediction="p-1", id=ids[0] + "x")
        client.event("click", "anna", item="0", id="twice", payload={"where": "home"})
        client.consent("anna", ["serve", "train"])
        assert client.flush()
        assert client.problem is None
    journal = open_project(folder).journal
    assert set(journal.events_after(0, 1000)["id"].to_pylist()) == {*ids, ids[0] + "x", "twice"}
    assert journal.consents()["purposes"].to_pylist() == [["serve", "train"]]
    assert journal.bad_rows(10).num_rows == 0


def test_browsers_fetch_a_small_script(api: TestClient) -> None:
    found = api.get("/upwell.js")
    assert found.status_code == 200
    assert found.headers["content-type"].startswith("text/javascript")
    assert 0 < len(found.content) <= MOST
    assert b"/v1/events" in found.content

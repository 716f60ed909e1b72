"""Bad rows are shown without personal data and tried again without counting anything twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from upwell.interfaces.cli.commands.bad_rows import mended
from upwell.interfaces.cli.main import run
from upwell.service import Upwell
from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.store.project import create_project, open_project
from upwell.store.refused import Chosen, count, read
from upwell.wiring.refused import Replayed, Row, fixable, replay, shown

NOW = datetime(2026, 6, 1, tzinfo=UTC)
ANY = Chosen()
Printed = pytest.CaptureFixture[str]


@pytest.fixture
def upwell(database: str, tmp_path: Path) -> Iterator[Upwell]:
    upwell = Upwell(open_project(create_project(tmp_path / "shop", "shop")))
    yield upwell
    upwell.project.journal.close()


def event(id: str, **others: object) -> Row:
    return {"id": id, "user": "ann", "kind": "click", "item": "i1", "at": NOW, **others}


def same(row: Row) -> Row:
    return row


def renamed(row: Row) -> Row:
    return mended(row, {"item": "itme"})


def without_item(id: str, **others: object) -> Row:
    row = event(id, **others)
    del row["item"]
    return {**row, "itme": "i1"}


def held(upwell: Upwell) -> list[Row]:
    found: list[Row] = upwell.project.journal.events_after(0, 10_000).to_pylist()
    return found


def bad(upwell: Upwell) -> list[Row]:
    found: list[Row] = read(upwell.project.journal, ANY, 0, 10_000).to_pylist()
    return found


def test_what_is_mended_is_taken_in_once_and_the_rest_stays(upwell: Upwell) -> None:
    good = [without_item(str(n)) for n in range(5)]
    sent: list[Any] = [*good, event("x", at="yesterday"), "no row"]
    upwell.capture(sent, source="web", now=NOW)
    would = fixable(upwell.project, renamed, NOW, ANY)
    assert (would, len(held(upwell))) == (Replayed(7, 5, 0, 0, 2), 0)
    assert replay(upwell.project, renamed, NOW, ANY) == Replayed(7, 5, 0, 0, 2)
    assert {(row["source"], row["item"]) for row in held(upwell)} == {("web", "i1")}
    before = bad(upwell)
    assert replay(upwell.project, renamed, NOW, ANY) == Replayed(2, 0, 0, 0, 2)
    assert bad(upwell) == before
    assert len(held(upwell)) + len(before) == len(sent)


def test_what_was_imported_twice_counts_once(upwell: Upwell) -> None:
    for _ in range(3):
        upwell.capture([without_item("1")], now=NOW)
    assert replay(upwell.project, renamed, NOW, ANY) == Replayed(3, 1, 2, 0, 0)
    assert (len(held(upwell)), bad(upwell)) == (1, [])


def test_an_id_that_says_something_else_by_now_stays_a_bad_row(upwell: Upwell) -> None:
    upwell.capture([without_item("1")], now=NOW)
    upwell.capture([event("1", item="another")], now=NOW)
    assert replay(upwell.project, renamed, NOW, ANY) == Replayed(1, 0, 0, 1, 0)
    assert [row["item"] for row in held(upwell)] == ["another"]
    assert [row["code"] for row in bad(upwell)] == ["event.conflict"]
    assert replay(upwell.project, renamed, NOW, ANY) == Replayed()


def test_a_row_without_a_time_may_have_happened_when_it_came(upwell: Upwell) -> None:
    row = {name: value for name, value in event("1").items() if name != "at"}
    upwell.capture([row], now=NOW)
    later = NOW + timedelta(days=1)
    assert replay(upwell.project, same, later, ANY).left == 1
    assert replay(upwell.project, same, later, ANY, as_received=True).accepted == 1
    assert held(upwell)[0]["at"] == NOW


def test_rows_are_chosen_by_code_and_source_and_read_by_pages(upwell: Upwell) -> None:
    upwell.capture([without_item(str(n)) for n in range(5)], source="web", now=NOW)
    upwell.capture([without_item("1"), event("2", at="never")], source="app", now=NOW)
    journal = upwell.project.journal
    assert count(journal, Chosen(source="app")) == {
        ("collect.unknown_column", "itme"): 1, ("collect.unreadable_time", "at"): 1
    }  # fmt: skip
    pages, after = [], 0
    while len(page := read(journal, Chosen("collect.unknown_column"), after, 2)):
        after = page["seq"][-1].as_py()
        pages.append(len(page))
    assert pages == [2, 2, 2]
    assert replay(upwell.project, renamed, NOW, Chosen(source="app")) == Replayed(2, 1, 0, 0, 1)


def test_a_refusal_half_way_loses_nothing(upwell: Upwell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stored, and killed before the bad rows went: the next run finds duplicates."""
    upwell.capture([without_item(str(n)) for n in range(4)], now=NOW)
    with monkeypatch.context() as patch:
        patch.setattr("upwell.wiring.refused.forget", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            replay(upwell.project, renamed, NOW, ANY)
    assert (len(held(upwell)), len(bad(upwell))) == (4, 4)
    assert replay(upwell.project, renamed, NOW, ANY) == Replayed(4, 0, 4, 0, 0)
    assert (len(held(upwell)), bad(upwell)) == (4, [])


SECRETS = ("anna.meier@example.org", "+49 170 1234567", "13812345678")


def test_what_is_shown_is_redacted_and_what_is_kept_is_not(upwell: Upwell) -> None:
    user = "anna.meier@example.org"
    rows: list[Any] = [
        event("1", user=user, at=f"call {SECRETS[1]}"),
        event("2", user=user, extra={"note": f"mail {SECRETS[0]}"}),
        event("3", user=user, kind="No Name", payload={"text": f"我的电话 {SECRETS[2]}"}),
        f"write to {SECRETS[0]}",
        event("5", user="\udead", note=SECRETS[0]),
    ]
    upwell.capture(rows, now=NOW)
    told = shown(upwell.project, read(upwell.project.journal, ANY, 0, 10)).to_pylist()
    text = json.dumps(told, default=str, ensure_ascii=False)
    assert not [one for one in SECRETS if one in text]
    assert Pseudonyms(upwell.project.key).of(user) in text
    assert [row["code"] for row in told] == [row["code"] for row in bad(upwell)]
    kept = json.dumps(bad(upwell), default=str, ensure_ascii=False)
    assert all(one in kept for one in SECRETS)


def test_the_command_lists_and_tries_again(tmp_path: Path, capsys: Printed) -> None:
    folder = create_project(tmp_path / "shop", "shop")
    rows = [without_item(str(n), note=SECRETS[0]) for n in range(3)]
    project = open_project(folder)
    Upwell(project).capture(rows, now=NOW)
    project.journal.close()
    place = ("-p", str(folder))

    def told(*arguments: str, code: int = 0) -> dict[str, Any]:
        assert run(["bad-rows", *arguments, *place, "--json"]) == code
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    first = told("--limit", "2")
    assert (first["total"], len(first["rows"]), first["next"]) == (3, 2, first["rows"][1]["seq"])
    assert told("--after", str(first["next"]))["next"] is None
    assert SECRETS[0] not in json.dumps(first)
    assert told("replay", "--map", "item=itme")["left"] == 3
    mapped = ("replay", "--map", "item=itme,payload=*")
    assert told(*mapped, "--dry-run")["accepted"] == 3
    assert told(*mapped) == {"tried": 3, "accepted": 3, "duplicates": 0, "conflicts": 0, "left": 0,
                             "dry_run": False}  # fmt: skip
    assert told()["total"] == 0
    assert told("mend", code=2)["error"]["code"] == "cli.bad_rows_what"
    for lang in ("en", "zh"):
        assert run(["bad-rows", *place, "--lang", lang]) == 0
        assert run(["bad-rows", "--help", "--lang", lang]) == 0
        assert "upwell bad-rows replay" in capsys.readouterr().out


def test_an_import_shows_no_secret_of_the_rows_it_refused(tmp_path: Path, capsys: Printed) -> None:
    folder = create_project(tmp_path / "shop", "shop")
    file = tmp_path / "events.csv"
    file.write_text(f"id,user,kind,at\n1,ann,click,mail {SECRETS[0]}\n", encoding="utf-8")
    assert run(["import", str(file), "-p", str(folder)]) == 1
    printed = capsys.readouterr()
    assert "collect.unreadable_time" in printed.out
    assert SECRETS[0] not in printed.out + printed.err

"""What products really send: each bad thing has its clear end, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pyarrow import compute as pc

from upwell import loop
from upwell.errors import StageError
from upwell.interfaces.cli.main import run
from upwell.interfaces.past import sentence_of
from upwell.records import PURPOSES
from upwell.service import Upwell
from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.store.project import Project, create_project, open_project
from upwell.wiring.history import history
from upwell.words import LANGUAGES

DAY_ONE = datetime(2024, 1, 1, tzinfo=UTC)
FROZEN, NOW = DAY_ONE + timedelta(days=100), DAY_ONE + timedelta(days=122)
Printed = pytest.CaptureFixture[str]
Shop = Callable[..., Upwell]


def answer(printed: Printed, *arguments: str, code: int = 0) -> dict[str, object]:
    """The one JSON document that a command prints."""
    assert run([*arguments, "--json"]) == code
    found: dict[str, object] = json.loads(printed.readouterr().out)
    return found


def error(printed: Printed, *arguments: str) -> dict[str, object]:
    """The error that a command ends with."""
    found = answer(printed, *arguments, code=2)["error"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return create_project(tmp_path / "shop", "shop", {"tune": {"base": "", "epochs": 1}})


TIMES = {
    "2024-05-17T09:30:00+02:00": None,
    "1715931000": None,
    "0000-01-01T00:00:00Z": "record.bad_time",
    "9999-12-31T23:59:59Z": "record.bad_time",
    "1960-01-01T00:00:00Z": "record.bad_time",
    "2024-05-17T09:30:00": "record.naive_time",
    "1715931000000": "collect.milliseconds",
    "yesterday": "collect.unreadable_time",
}


def test_wrong_times_of_a_file_end_as_bad_rows(folder: Path, capsys: Printed) -> None:
    lines = [f"e{number},ann,rating,{at},i1,4" for number, at in enumerate(TIMES)]
    file = folder / "events.csv"
    file.write_text("\n".join(["id,user,kind,at,item,value", *lines]), encoding="utf-8")
    told = answer(capsys, "import", str(file), "-p", str(folder))
    codes = [code for code in TIMES.values() if code]
    assert (told["rows"], told["accepted"], told["bad"]) == (len(TIMES), 2, len(codes))
    kept = open_project(folder).journal.bad_rows(100)
    assert sorted(kept["code"].to_pylist()) == sorted(codes)
    assert set(kept["field"].to_pylist()) == {"at"}
    for row in kept.to_pylist():
        at = json.loads(row["raw"])["at"]
        assert TIMES[at] == row["code"]
        assert row["reason"]


def test_a_file_of_nothing_but_bad_rows_fails_and_keeps_them(folder: Path, capsys: Printed) -> None:
    file = folder / "events.csv"
    file.write_text("id,user,kind,at,item,value\n1,ann,rating,never,i1,4\n", encoding="utf-8")
    assert answer(capsys, "import", str(file), "-p", str(folder), code=1)["bad"] == 1
    assert open_project(folder).journal.counts()["bad_rows"] == 1


def test_values_that_are_no_numbers_end_as_bad_rows(folder: Path, capsys: Printed) -> None:
    values = ["nan", "inf", "four", "4"]
    lines = [f"e{place},ann,rating,1715931000,i1,{value}" for place, value in enumerate(values)]
    file = folder / "events.csv"
    file.write_text("\n".join(["id,user,kind,at,item,value", *lines]), encoding="utf-8")
    assert answer(capsys, "import", str(file), "-p", str(folder))["accepted"] == 1
    kept = open_project(folder).journal.bad_rows(10)
    assert set(kept["code"].to_pylist()) == {"record.not_finite", "collect.not_a_number"}


@pytest.mark.parametrize(
    ("written", "line", "told"),
    [
        ('[project]\nname = "shop"\n\n[tune]\nepoch = 3\n', 5, "epochs"),
        ('[project]\nname = "shop"\n\n[tunes]\nepochs = 3\n', 4, "tune"),
        ("[tune]\n\nepochs = 0\n", 3, "tune.epochs"),
        ("[feedback.rating]\ngod = 4\n", 2, "good"),
    ],
)
def test_a_wrong_setting_is_told_with_its_line_and_the_nearest_key(
    tmp_path: Path, capsys: Printed, written: str, line: int, told: str
) -> None:
    (tmp_path / "upwell.toml").write_text(written, encoding="utf-8")
    found = error(capsys, "status", "-p", str(tmp_path))
    assert str(line) in str(found["what"])
    assert told in f"{found['what']} {found['next']}"
    (tmp_path / "upwell.toml").write_text("[tune\nepochs = 3", encoding="utf-8")
    assert error(capsys, "status", "-p", str(tmp_path))["code"] == "settings.not_toml"


def test_an_empty_turn_is_told_in_both_languages(
    shop: Shop, tmp_path: Path, capsys: Printed
) -> None:
    place = ("-p", str(shop(tmp_path / "shop", tune={"epochs": 1}).project.folder))
    answer(capsys, "turn", "--as-of", FROZEN.isoformat(), *place)
    found = error(capsys, "turn", "--as-of", FROZEN.isoformat(), *place)
    assert found["code"] == "loop.nothing_new"
    other = error(capsys, "turn", "--as-of", FROZEN.isoformat(), "--lang", "zh", *place)
    assert other["code"] == found["code"]
    assert other["what"] != found["what"]
    answer(capsys, "turn", "--as-of", FROZEN.isoformat(), "--seed", "1", *place)


def captured(folder: Path, first: int, last: int) -> Project:
    """Seven users choose among nine items, one event an hour."""
    upwell = Upwell(open_project(folder))
    rows = [
        {"id": str(n), "user": f"u{n % 7}", "kind": "rating", "value": 4 + n % 2,
         "item": f"i{n * n % 9}", "at": DAY_ONE + timedelta(hours=n)}
        for n in range(first, last)
    ]  # fmt: skip
    upwell.capture(rows, now=NOW)
    upwell.consent([f"u{n}" for n in range(7)], PURPOSES, since=DAY_ONE)
    return upwell.project


def test_too_little_to_learn_from_ends_a_turn_that_later_events_do_not_enter(folder: Path) -> None:
    for first, last in ((0, 0), (0, 1)):
        project = captured(folder, first, last)
        with pytest.raises(StageError) as refused:
            loop.turn(project, now=NOW)
        assert refused.value.code == "dataset.empty_split"
        assert project.ledger.unfinished_turn("recommend") is None
        for lang in LANGUAGES:
            assert refused.value.explain(lang)[0] in sentence_of(history(project)[-1], lang)
    project = captured(folder, 1, 120)
    loop.turn(project, now=NOW)
    made = project.ledger.versions("recommend")[0]
    test = project.snapshots.read(made.snapshot).test
    assert pc.sum(pc.greater(test["weight"], 0.0)).as_py() > 5


def test_the_frozen_part_stays_where_the_first_turn_put_it(folder: Path) -> None:
    for first, last in ((0, 120), (120, 200)):
        loop.turn(captured(folder, first, last), now=NOW)
    project = open_project(folder)
    tests = [project.ledger.stage_result(f"recommend-{n}", "dataset") or {} for n in (0, 1)]
    assert tests[0]["frozen"] == tests[1]["frozen"]
    assert tests[0]["test"] == tests[1]["test"]
    assert tests[0]["snapshot"] != tests[1]["snapshot"]


def test_odd_events_are_kept_and_spoil_no_turn(shop: Shop, tmp_path: Path) -> None:
    upwell = shop(tmp_path / "shop", tune={"epochs": 1})
    project, at = upwell.project, DAY_ONE + timedelta(days=50)
    known = "u05.0@shop.example"
    odd: list[dict[str, object]] = [
        {"id": "high", "user": known, "kind": "rating", "value": 11, "item": "i1"},
        {"id": "low", "user": known, "kind": "rating", "value": -3, "item": "i1"},
        {"id": "unheard", "user": known, "kind": "thumbs", "value": 1, "item": "i999"},
        {"id": "kind", "user": known, "kind": "telepathy", "item": "i2"},
        {"id": "nothing", "user": known, "kind": "click"},
        {"id": "once", "user": "newcomer", "kind": "thumbs", "value": 1, "item": "i3"},
    ]
    receipt = upwell.capture([{**row, "at": at} for row in odd], now=NOW)
    assert (receipt.accepted, receipt.refused) == (len(odd), ())
    upwell.consent(["newcomer"], PURPOSES, since=DAY_ONE)
    loop.turn(project, now=NOW, as_of=FROZEN)
    data = project.snapshots.read(project.ledger.versions("recommend")[0].snapshot)
    weights = dict(zip(data.train["id"].to_pylist(), data.train["weight"].to_pylist(), strict=True))
    told = {
        name.removeprefix("app/"): weight
        for name, weight in weights.items()
        if name.startswith("app/")
    }
    assert told == {"high": 0.0, "low": 0.0, "kind": 0.0, "unheard": 1.0, "once": 1.0}
    assert "i999" in data.items["item"].to_pylist()
    assert Pseudonyms(project.key).of("newcomer") in data.train["user"].to_pylist()
    shown = upwell.recommend("newcomer", 3, now=NOW)["item"].to_pylist()
    assert len(shown) == 3
    assert "i3" not in shown

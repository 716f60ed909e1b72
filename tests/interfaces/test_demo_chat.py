"""``upwell demo chat``, on a tiny model and a few pairs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.chatting import MODEL

from upwell.errors import StoreError
from upwell.interfaces.cli.main import run
from upwell.interfaces.demo_chat import LONGEST, run_chat_demo
from upwell.interfaces.demo_chat import PAIRS as MOST
from upwell.loop import quiet
from upwell.store.project import create_project, open_project
from upwell.tasks import chat

NOW = datetime(2026, 5, 1, tzinfo=UTC)
PAIRS = [
    {
        "instruction": f"Say the number {number}.", "input": "",
        "response1": f"Gladly: {number}." if number else "x" * LONGEST, "response2": "No.",
        "annotator1": 1, "annotator2": 1, "annotator3": 1,
    }
    for number in range(40)
]  # fmt: skip


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tiny").mkdir()
    chat.save(MODEL, tmp_path / "tiny")
    monkeypatch.setenv("UPWELL_TUNE__BASE", str(tmp_path / "tiny"))
    monkeypatch.setenv("UPWELL_TUNE__EPOCHS", "1")
    (tmp_path / "pairs.json").write_text(json.dumps(PAIRS), encoding="utf-8")
    return tmp_path / "pairs.json"


def test_it_learns_from_pairs_and_answers_side_by_side(tmp_path: Path, data: Path) -> None:
    done = run_chat_demo(tmp_path / "demo", data, 0, quiet, NOW)
    assert done.project.journal.counts()["events"] == len(PAIRS) - 1, "too long for a demo"
    assert done.decision.model != "base"
    assert done.project.ledger.version(done.decision.model).parent == "base"
    assert all(one.asked for one in done.said)
    again = run_chat_demo(tmp_path / "demo", data, 0, quiet, NOW)
    assert (again.decision, again.said) == (done.decision, done.said)


def test_the_same_seed_holds_the_same_people_out(tmp_path: Path, data: Path) -> None:
    made = list[str]()
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        done = run_chat_demo(tmp_path / name, data, seed, quiet, NOW)
        made.append(done.project.ledger.version(done.decision.model).snapshot)
    assert made[0] == made[1] != made[2]


def test_who_says_much_is_heard_as_often_as_others(tmp_path: Path, data: Path) -> None:
    more = [PAIRS[1] | {"response1": "1" * (1 + n)} for n in range(MOST + 2)]
    data.write_text(json.dumps([*PAIRS, *more]), encoding="utf-8")
    done = run_chat_demo(tmp_path / "demo", data, 0, quiet, NOW)
    events = done.project.journal.events_after(0, 1000)
    told = [json.loads(text)["correction"] for text in events["payload"].to_pylist()]
    kept = sorted(one for one in told if one.startswith("1"))
    assert kept == ["1" * (1 + n) for n in range(MOST)], "the shortest"
    assert len(told) == len(PAIRS) - 2 + MOST


def test_a_folder_of_another_project_is_refused(tmp_path: Path, data: Path) -> None:
    create_project(tmp_path / "shop", "shop")
    with pytest.raises(StoreError, match=r"project\.exists"):
        run_chat_demo(tmp_path / "shop", data, 0, quiet, NOW)


def test_the_command_shows_both_answers(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "demo"
    code = run(["demo", "chat", "--folder", str(folder), "--data", str(data), "--json"])
    told = json.loads(capsys.readouterr().out)
    assert code == 0
    assert told["act"] in ("promote", "hold", "reject")
    assert {"asked", "before", "after"} == set(told["said"][0])
    assert (folder / "report").is_dir()
    assert run(["demo", "chat", "--folder", str(folder), "--data", str(data)]) == 0
    serves = open_project(folder).ledger.champion("chat")
    assert serves is not None
    assert f"export --model {serves.id} " in capsys.readouterr().out.replace("\n", " ")

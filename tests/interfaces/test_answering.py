"""The way of a task about answers through the shell: labels, a turn, an answer, what is said."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from tests.tiny_task import ANSWER, install

from upwell.interfaces.cli.main import run
from upwell.store.project import open_project

Printed = pytest.CaptureFixture[str]


def told(printed: Printed, *arguments: str, code: int = 0) -> dict[str, object]:
    """The one JSON document that a command prints."""
    assert run([*arguments, "--json"]) == code
    found: dict[str, object] = json.loads(printed.readouterr().out)
    return found


def error(printed: Printed, *arguments: str) -> object:
    found = told(printed, *arguments, code=2)["error"]
    assert isinstance(found, dict)
    return found["code"]


@pytest.fixture
def place(tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch) -> str:
    """A project with labels that has turned once."""
    install(monkeypatch)
    for name, value in {"TUNE__BASE": "", "TUNE__EPOCHS": "2", "GATE__RESAMPLES": "100"}.items():
        monkeypatch.setenv(f"UPWELL_{name}", value)
    folder = str(tmp_path / "inbox")
    made = told(capsys, "init", folder, "--task", "tiny_answer")
    assert made["task"] == "tiny_answer"
    lines = [f"{ANSWER.words[n % 6]} {n},{ANSWER.labels[n % 2]}" for n in range(100)]
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    mapping = ("--map", "input=text,target=label")
    for accepted, known in ((100, 0), (0, 100)):
        read = told(capsys, "import", str(labels), *mapping, "-p", folder)
        assert (read["accepted"], read["duplicates"]) == (accepted, known)
    assert told(capsys, "turn", "-p", folder)["report"]
    return folder


def test_from_labels_to_an_answer_and_what_is_said_of_it(place: str, capsys: Printed) -> None:
    answer = told(capsys, "predict", "zinc roof", "-k", "2", "--user", "ann", "-p", place)
    assert answer["answer"] == ["metal", "fruit"]
    name = str(answer["prediction"])
    for said in ("up", "down", "fruit"):
        assert told(capsys, "say", name, said, "-p", place)["accepted"] == 1
    events = open_project(Path(place)).journal.events_after(100, 9).to_pylist()
    assert [(row["user"], row["kind"], row["value"]) for row in events] == [
        ("ann", "thumbs", 1.0), ("ann", "thumbs", -1.0), ("ann", "correction", None),
    ]  # fmt: skip
    assert json.loads(events[2]["payload"]) == {"correction": "fruit"}
    assert run(["say", name, "up", "-p", place]) == 0
    assert "--consent" in capsys.readouterr().out
    assert run(["say", name, "up", "--consent", "serve,analyse,train", "-p", place]) == 0
    assert "--consent" not in capsys.readouterr().out
    held = open_project(Path(place)).journal.counts()
    assert error(capsys, "say", name, "down", "--consent", "serve,foo", "-p", place) == "cli.usage"
    assert open_project(Path(place)).journal.counts() == held, "nothing was done"
    assert error(capsys, "say", "no such", "up", "-p", place) == "cli.no_prediction"
    assert run(["status", "-p", place]) == 0
    assert "textbook loss" in capsys.readouterr().out


def test_an_answer_need_not_know_who_asks(place: str, capsys: Printed) -> None:
    told(capsys, "predict", "zinc roof", "--user", "ann", "--no-personalize", "-p", place)
    kept = open_project(Path(place)).journal.predictions_after(0, 9).to_pylist()[-1]
    assert (kept["user"], json.loads(kept["output"])["personalize"]) == ("ann", False)
    assert error(capsys, "recommend", "ann", "--no-personalize", "-p", place) == "serve.other_verb"


def test_many_inputs_from_files_and_from_a_pipe(
    place: str, tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines, plain = tmp_path / "in.jsonl", tmp_path / "in.txt"
    lines.write_text('"gold"\n{"input":"plum","user":"bob"}\n{"b":1,"a":2}\n', encoding="utf-8")
    plain.write_text("gold\n\nplum\n", encoding="utf-8")
    found = told(capsys, "predict", "--file", str(lines), "-p", place)["answers"]
    assert isinstance(found, list)
    assert [(row["user"], row["input"]) for row in found] == [
        ("me", "gold"), ("bob", "plum"), ("me", {"b": 1, "a": 2}),
    ]  # fmt: skip
    found = told(capsys, "predict", "--file", str(plain), "-p", place)["answers"]
    assert isinstance(found, list)
    assert [row["answer"] for row in found] == [["metal"], ["fruit"]]
    monkeypatch.setattr("sys.stdin", io.StringIO("iron\npear\n"))
    assert run(["predict", "-", "-p", place, "--lang", "zh"]) == 0
    assert "metal" in capsys.readouterr().out


def test_what_cannot_be_asked_is_told(place: str, tmp_path: Path, capsys: Printed) -> None:
    assert error(capsys, "predict", "-p", place) == "cli.nothing_asked"
    gone = str(tmp_path / "gone.jsonl")
    assert error(capsys, "predict", "--file", gone, "-p", place) == "cli.no_inputs"
    (tmp_path / "bad.jsonl").write_text("{not json\n", encoding="utf-8")
    bad = str(tmp_path / "bad.jsonl")
    assert error(capsys, "predict", "--file", bad, "-p", place) == "cli.bad_line"
    assert error(capsys, "recommend", "ann", "-p", place) == "serve.other_verb"
    assert error(capsys, "init", str(tmp_path / "x"), "--task", "taging") == "plugin.unknown"

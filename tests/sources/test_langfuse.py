"""Langfuse's scores, in the shapes of its API, become events; what is broken is kept as bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.sources.taking import taken, written

from upwell.errors import SourceError
from upwell.interfaces.cli.main import run

BASE = {"projectId": "p", "timestamp": "2026-05-01T09:00:00.123Z", "source": "API",
        "environment": "default", "createdAt": "2026-05-01T09:00:01Z"}  # fmt: skip


def score(
    id: object, name: object, value: object, kind: str = "", **more: object
) -> dict[str, Any]:
    told = {"dataType": kind} if kind else {}
    return {**BASE, "id": id, "name": name, "value": value, **told, "traceId": "t1", **more}


def v3(score: str, name: str, value: object, told: str, **subject: str) -> dict[str, Any]:
    return {**BASE, "id": score, "name": name, "value": value, "dataType": told, "subject": subject}


def test_every_type_of_score_says_what_it_means(tmp_path: Path) -> None:
    scores = [
        score("1", "thumbs", 1, "BOOLEAN", stringValue="True"),
        score("2", "thumbs", 0, "BOOLEAN", stringValue="False"),
        score("3", "User Rating", 3.5, "NUMERIC"),
        score("4", "tone", 2, "CATEGORICAL", stringValue="rude"),
        score("5", "note", "too long", "TEXT"),
        score("6", "output", 0, "CORRECTION", stringValue="Paris"),
        score("7", "old", 2),
        score("8", "old", True),
    ]
    found = taken("langfuse", written(tmp_path / "s.json", scores))
    assert not found.bad
    told = [(row["kind"], row["value"], row["payload"]) for row in found.events]
    assert told == [
        ("thumbs", 1.0, {}),
        ("thumbs", -1.0, {}),
        ("user_rating", 3.5, {}),
        ("tone", None, {"text": "rude"}),
        ("note", None, {"text": "too long"}),
        ("correction", None, {"correction": "Paris", "name": "output"}),
        ("old", 2.0, {}),
        ("old", 1.0, {}),
    ]


def test_the_same_score_is_the_same_event_in_each_version_of_the_api(tmp_path: Path) -> None:
    old = [
        score("1", "thumbs", 0, "BOOLEAN", stringValue="False", observationId="o1"),
        score("2", "tone", 0, "CATEGORICAL", stringValue="kind"),
    ]
    new = [
        v3("1", "thumbs", False, "BOOLEAN", kind="observation", id="o1", traceId="t1"),
        v3("2", "tone", "kind", "CATEGORICAL", kind="trace", id="t1"),
    ]
    one = taken("langfuse", written(tmp_path / "old.json", {"data": old, "meta": {"page": 1}}))
    two = taken("langfuse", written(tmp_path / "new.json", {"data": new, "meta": {"limit": 50}}))
    assert one == two
    assert [row["prediction"] for row in one.events] == ["o1", "t1"]


@pytest.mark.parametrize("form", ["list", "page", "pages", "lines", "lines of pages"])
def test_files_come_in_many_forms(tmp_path: Path, form: str) -> None:
    scores = [score(str(n), "thumbs", n % 2 == 0, "BOOLEAN") for n in range(4)]
    pages = [{"data": scores[:2], "meta": {}}, {"data": scores[2:], "meta": {}}]
    forms = {
        "list": json.dumps(scores),
        "page": json.dumps({"data": scores, "meta": {"cursor": "x"}}, indent=1),
        "pages": json.dumps(pages),
        "lines": "\n".join(map(json.dumps, scores)),
        "lines of pages": "\n".join(map(json.dumps, pages)) + "\n",
    }
    found = taken("langfuse", written(tmp_path / "scores.json", forms[form]))
    assert [row["id"] for row in found.events] == ["0", "1", "2", "3"]


def test_who_said_it_is_the_author_or_the_user_of_the_trace(tmp_path: Path) -> None:
    scores = [
        score("1", "thumbs", True, userId="ann", authorUserId="x"),
        score("2", "thumbs", True, trace={"userId": "ben", "tags": []}),
        score("3", "thumbs", True, source="ANNOTATION", userId="ann", authorUserId="expert"),
        score("4", "thumbs", True),
        score("5", "thumbs", True, metadata={"prediction": "018f-a"}),
    ]
    found = taken("langfuse", written(tmp_path / "s.json", scores)).events
    users = ["ann", "ben", "expert", "prediction:t1", "prediction:018f-a"]
    assert [row["user"] for row in found] == users
    assert [row["source"] for row in found] == [
        "langfuse-api", "langfuse-api", "langfuse-annotation", "langfuse-api", "langfuse-api",
    ]  # fmt: skip
    assert found[4]["prediction"] == "018f-a"
    assert found[4]["payload"]["trace"] == "t1"


def test_what_was_asked_and_answered_goes_along(tmp_path: Path) -> None:
    given = score("1", "thumbs", False, input={"q": 1}, output="no", comment="wrong")
    (found,) = taken("langfuse", written(tmp_path / "s.json", [given])).events
    assert found["payload"] == {"comment": "wrong", "input": '{"q":1}', "target": "no"}


def test_broken_scores_are_bad_rows_and_hold_up_no_other(tmp_path: Path) -> None:
    session = v3("s", "thumbs", True, "BOOLEAN", kind="session", id="chat")
    scores = [
        score("1", "thumbs", "maybe", "BOOLEAN"),
        score("2", "stars", "many", "NUMERIC"),
        score("3", "stars", None, "NUMERIC"),
        score(None, "stars", 1, "NUMERIC"),
        score("5", None, 1, "NUMERIC"),
        {**score("6", "stars", 1, "NUMERIC"), "timestamp": "yesterday"},
        session,
        "a text",
        7,
        score("10", "stars", 1, "NUMERIC"),
    ]
    found = taken("langfuse", written(tmp_path / "s.json", scores))
    assert [row["id"] for row in found.events] == ["10"]
    told = [(row["code"], row["field"]) for row in found.bad]
    assert sorted(told) == sorted(
        [("collect.not_a_number", "value")] * 3
        + [("record.missing", "id"), ("record.missing", "user")]
        + [("record.missing", "kind")]
        + [("source.not_object", "")] * 2
        + [("collect.unreadable_time", "at")]
    )


def test_a_mapping_may_name_any_field_of_a_score(tmp_path: Path) -> None:
    file = written(tmp_path / "s.json", [score("1", "ok", True, sessionId="chat")])
    (found,) = taken("langfuse", file, {"user": "sessionId", "kind": "=thumbs"}).events
    assert (found["user"], found["kind"], found["value"]) == ("chat", "thumbs", 1.0)


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "source.empty"), ('[{"id": 1}, {', "source.not_json"), ("<html>", "source.not_json"),
     ("[" * 100_000, "source.not_json"), ('{"id": 1}\n{"id": ', "source.truncated")],
)  # fmt: skip
def test_what_is_no_json_is_said(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(SourceError) as refused:
        taken("langfuse", written(tmp_path / "s.json", text))
    assert refused.value.code == code
    for lang in ("en", "zh"):
        assert all(refused.value.explain(lang))


def test_importing_twice_counts_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path / "s.json", {"data": [score("1", "thumbs", True), score("2", 5, None)]})
    assert run(["init", str(tmp_path / "shop"), "--json"]) == 0
    capsys.readouterr()
    counts = []
    for _ in range(2):
        place = ("-p", str(tmp_path / "shop"), "--json")
        assert run(["import", str(file), "--format", "langfuse", *place]) == 0
        told = json.loads(capsys.readouterr().out)
        counts.append((told["accepted"], told["duplicates"], told["bad"]))
    assert counts == [(1, 0, 1), (0, 1, 1)]


def test_half_a_character_breaks_its_row_alone(tmp_path: Path) -> None:
    """Such text comes where a program cuts it in the middle of an emoji."""
    halved = [score("1", "note", "good", "TEXT"), score("2", "note", "\ud83d", "TEXT"),
              score("3", "note", "fine", "TEXT", userId="\ud83d")]  # fmt: skip
    (tmp_path / "s.json").write_text(json.dumps(halved), encoding="utf-8")
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(one) + "\n" for one in halved), "utf-8")
    for name in ("s.json", "s.jsonl"):
        found = taken("langfuse", tmp_path / name)
        assert ([row["id"] for row in found.events], len(found.bad)) == (["1"], 2)
    lines = [json.dumps({"user": user, "kind": "thumbs", "value": 1, "at": BASE["timestamp"]})
             for user in ("ann", "\ud83d", "bob")]  # fmt: skip
    (tmp_path / "events.jsonl").write_text("".join(f"{one}\n" for one in lines), "utf-8")
    found = taken("jsonl", tmp_path / "events.jsonl")
    assert ([row["user"] for row in found.events], len(found.bad)) == (["ann", "bob"], 1)

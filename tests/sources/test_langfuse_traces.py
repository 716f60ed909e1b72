"""Langfuse's traces and observations: generations in words are answers, scores find theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.sources.taking import taken, written

from upwell.errors import SourceError

ASKED = [{"role": "user", "content": "Capital of France?"}]
REPLY = {"role": "assistant", "content": "Paris."}


def generation(n: int, **more: object) -> dict[str, Any]:
    return {
        "id": f"o{n}", "traceId": "t1", "type": "GENERATION", "name": "llm", "model": "m-1",
        "startTime": f"2026-05-01T09:00:0{n}.000Z", "endTime": f"2026-05-01T09:00:0{n}.500Z",
        "input": ASKED, "output": REPLY, "level": "DEFAULT", **more,
    }  # fmt: skip


def trace(**more: object) -> dict[str, Any]:
    return {"id": "t1", "timestamp": "2026-05-01T09:00:00.000Z", "name": "chat", "userId": "ann",
            "sessionId": "s1", "input": None, "output": None, **more}  # fmt: skip


def score(name: str, value: object, **about: object) -> dict[str, Any]:
    return {"id": f"{name}-score", "name": name, "value": value, "source": "API",
            "timestamp": "2026-05-01T10:00:00.000Z", **about}  # fmt: skip


@pytest.mark.parametrize("form", ["whole", "wrapped", "lines", "scores first", "page"])
def test_generations_are_answers_and_scores_know_what_they_are_about(
    tmp_path: Path, form: str
) -> None:
    made = [generation(1), generation(2, output="Paris, of course.")]
    span = {**generation(3), "type": "SPAN"}
    said = [score("thumbs", True, observationId="o1", traceId="t1"),
            score("stars", 4, traceId="t1")]  # fmt: skip
    forms: dict[str, Any] = {
        "whole": {**trace(), "observations": [*made, span], "scores": said},
        "wrapped": {"trace": trace(scores=said), "observations": [*made, span]},
        "lines": "\n".join(map(json.dumps, [trace(), *made, span, *said])),
        "scores first": [*said, span, *made[::-1], trace()],
        "page": {"data": [trace(observations=["o1"]), *made, span, *said], "meta": {"page": 1}},
    }
    found = taken("langfuse", written(tmp_path / "t.json", forms[form]))
    assert not found.bad
    told = {row["id"]: row for row in found.events}
    assert sorted(told) == ["o1", "o2", "stars-score", "thumbs-score"]
    shown = told["o1"]
    assert (shown["kind"], shown["value"], shown["prediction"], shown["user"]) == (
        "shown", None, "o1", "ann",
    )  # fmt: skip
    assert shown["payload"] == {
        "input": "Capital of France?", "target": "Paris.", "model": "m-1", "conversation": "s1",
    }  # fmt: skip
    thumbs, stars = told["thumbs-score"], told["stars-score"]
    assert (thumbs["value"], thumbs["user"], thumbs["prediction"]) == (1.0, "ann", "o1")
    assert thumbs["payload"]["target"] == "Paris."
    assert (stars["prediction"], stars["payload"]["target"]) == ("t1", "Paris, of course.")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (ASKED, REPLY),
        ({"messages": ASKED, "tools": []}, [REPLY]),
        (json.dumps(ASKED), json.dumps(REPLY)),
        ("Capital of France?", "Paris."),
        ({"question": "Capital of France?"}, {"choices": [{"message": REPLY}]}),
        (json.dumps("Capital of France?"), {"content": [{"type": "text", "text": "Paris."}]}),
    ],
)
def test_words_come_in_many_shapes(tmp_path: Path, asked: object, said: object) -> None:
    file = written(tmp_path / "t.json", [generation(1, input=asked, output=said)])
    (found,) = taken("langfuse", file).events
    assert (found["payload"]["input"], found["payload"]["target"]) == (
        "Capital of France?", "Paris.",
    )  # fmt: skip
    assert found["user"] == "prediction:o1"


def test_a_reply_that_is_json_is_the_text_it_is(tmp_path: Path) -> None:
    file = written(tmp_path / "t.json", [generation(1, output='{"city": "Paris"}')])
    (found,) = taken("langfuse", file).events
    assert found["payload"]["target"] == '{"city": "Paris"}'


@pytest.mark.parametrize(
    "more",
    [
        {"output": None},
        {"output": ""},
        {"output": {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}},
        {"input": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        {"input": [*ASKED, {"role": "tool", "content": "x"}]},
        {"input": {"a": 1, "b": 2}},
        {"input": 7},
    ],
)
def test_what_is_not_in_words_is_passed_by(tmp_path: Path, more: dict[str, object]) -> None:
    file = written(tmp_path / "t.json", [generation(1, **more), generation(2)])
    found = taken("langfuse", file)
    assert [row["id"] for row in found.events] == ["o2"]
    assert not found.bad
    with pytest.raises(SourceError) as refused:
        taken("langfuse", written(tmp_path / "t.json", [generation(1, **more)]))
    assert refused.value.code == "source.no_content"


def test_a_trace_without_generations_is_the_answer_itself(tmp_path: Path) -> None:
    own = trace(input="Capital of France?", output="Paris.", observations=["o1"], scores=["x"])
    found = taken("langfuse", written(tmp_path / "t.json", [own, score("stars", 2, traceId="t1")]))
    shown, stars = found.events
    assert (shown["kind"], shown["prediction"], shown["id"]) == ("shown", "t1", "t1")
    assert stars["payload"]["target"] == "Paris."
    both = taken("langfuse", written(tmp_path / "t.json", [own, generation(1)]))
    assert [row["id"] for row in both.events] == ["o1"]


def test_without_a_user_it_is_that_of_the_session(tmp_path: Path) -> None:
    file = written(tmp_path / "t.json", [trace(userId=None), generation(1)])
    assert [row["user"] for row in taken("langfuse", file).events] == ["conversation:s1"]
    mapped = taken("langfuse", file, {"user": "traceId"})
    assert [row["user"] for row in mapped.events] == ["t1"]

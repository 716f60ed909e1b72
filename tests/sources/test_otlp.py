"""Traces with GenAI content: answers that were shown, and evaluations as feedback on them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.sources.taking import taken, written
from tests.traced import RESULT, chat, judged, logs, parts, span, spans

from upwell.errors import SourceError


def lines(path: Path, *rows: object) -> Path:
    told = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return written(path, "".join(f"{row}\n" for row in told))


def test_an_answer_is_shown_and_says_nothing_by_itself(tmp_path: Path) -> None:
    told = chat(
        1,
        **{
            "gen_ai.response.model": "m-1",
            "user.id": "ann",
            "gen_ai.system_instructions": '[{"type":"text","content":"Be brief."}]',
        },
    )
    http = {"traceId": "7a", "spanId": "9", "name": "GET /", "attributes": []}
    found = taken("otlp", lines(tmp_path / "t.jsonl", spans(told, http)))
    (event,) = found.events
    assert not found.bad
    assert (event["kind"], event["value"], event["user"], event["prediction"]) == (
        "shown", None, "ann", "r1",
    )  # fmt: skip
    asked = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]
    assert event["payload"] == {
        "input": asked, "target": "4", "conversation": "c", "model": "m-1",
    }  # fmt: skip


def test_content_may_be_nested_attributes(tmp_path: Path) -> None:
    nested = span(1, **{"gen_ai.input.messages": [parts("user", "2+2?")],
                        "gen_ai.output.messages": [
                            {"role": "assistant", "parts": [
                                {"type": "reasoning", "content": "hm"},
                                {"type": "text", "content": "4"}]}]})  # fmt: skip
    (event,) = taken("otlp", lines(tmp_path / "t.jsonl", spans(nested))).events
    assert (event["payload"]["input"], event["payload"]["target"]) == ("2+2?", "4")
    assert event["user"] == "conversation:c"


@pytest.mark.parametrize("where", ["log by id", "log by span", "event on the span", "before"])
def test_an_evaluation_is_feedback_on_its_answer(tmp_path: Path, where: str) -> None:
    said = {"gen_ai.evaluation.score.value": 0.25, "gen_ai.evaluation.score.label": "poor",
            "gen_ai.evaluation.explanation": "too short"}  # fmt: skip
    one = judged("Is it helpful?", **said)
    if where == "event on the span":
        told = [spans({**chat(1), "events": [{**one, "name": RESULT["eventName"]}]}, chat(2))]
    elif where == "log by span":
        told = [spans(chat(1), chat(2)), logs({**one, **RESULT, "traceId": "7a", "spanId": "1"})]
    else:
        by_id = {**judged("Is it helpful?", **said, **{"gen_ai.response.id": "r1"}), **RESULT}
        told = [spans(chat(1), chat(2)), logs(by_id)]
    rows = told[::-1] if where == "before" else told
    found = taken("otlp", lines(tmp_path / "t.jsonl", *rows))
    assert not found.bad
    (event,) = [row for row in found.events if row["kind"] != "shown"]
    assert (event["kind"], event["value"], event["prediction"]) == ("is_it_helpful", 0.25, "r1")
    assert event["user"] == "conversation:c"
    assert event["payload"] == {
        "input": "2+2?", "target": "4", "text": "poor", "comment": "too short",
        "conversation": "c",
    }  # fmt: skip


def test_an_evaluation_of_an_answer_that_is_elsewhere_names_it(tmp_path: Path) -> None:
    one = judged("thumbs", **{"gen_ai.evaluation.score.value": 1, "gen_ai.response.id": "018f"})
    (event,) = taken("otlp", lines(tmp_path / "t.jsonl", logs({**one, **RESULT}))).events
    assert (event["prediction"], event["user"], event["payload"]) == ("018f", "prediction:018f", {})


def test_broken_lines_and_spans_are_bad_rows_and_hold_up_no_other(tmp_path: Path) -> None:
    wrong = chat(3, **{"gen_ai.input.messages": "not json"})
    half = chat(4, said="\ud800")
    called = span(5, **{
        "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "blob"}]}]),
        "gen_ai.output.messages": json.dumps([parts("assistant", "4")])})  # fmt: skip
    rows = ['{"resourceSpans": [', {"resourceSpans": 7}, {"spans": []}, "[]"]
    file = lines(tmp_path / "t.jsonl", spans(chat(1), wrong, half, called), *rows, spans(chat(2)))
    found = taken("otlp", file)
    assert [row["prediction"] for row in found.events] == ["r1", "r2"]
    codes = {row["code"] for row in found.bad}
    assert codes == {"source.nothing_said", "source.not_object"}
    assert len(found.bad) == 6
    assert taken("otlp", file) == found


@pytest.mark.parametrize(
    "wrong",
    [chat(3, **{"gen_ai.input.messages": "[" * 5000}), chat(3, **{"user.id": "\ud800"}),
     chat(3, **{"gen_ai.conversation.id": "\ud800"}),
     chat(3, **{"gen_ai.response.id": "\ud800", "user.id": "ann"}),
     {**span(3), "events": [{**RESULT, **judged("thumbs", **{"user.id": "\ud800"})}]},
     {**span(3), "events": [{**RESULT, **judged("thumbs", **{
         "gen_ai.evaluation.explanation": "\ud800"})}]}],
)  # fmt: skip
def test_what_nobody_could_keep_is_a_bad_row_and_holds_up_no_other(
    tmp_path: Path, wrong: dict[str, object]
) -> None:
    found = taken("otlp", lines(tmp_path / "t.jsonl", spans(chat(1), wrong, chat(2))))
    assert [row["prediction"] for row in found.events] == ["r1", "r2"]
    assert [row["code"] for row in found.bad] == ["source.nothing_said"]


def test_an_attribute_may_be_the_user_of_answers_and_evaluations(tmp_path: Path) -> None:
    one = judged("thumbs", **{"gen_ai.evaluation.score.value": 1, "gen_ai.response.id": "r1"})
    file = lines(tmp_path / "t.jsonl", spans(chat(1, session="s")), logs({**one, **RESULT}))
    assert [row["user"] for row in taken("otlp", file, {"user": "session"}).events] == ["s", "s"]


def test_traces_without_content_are_told_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as refused:
        taken("otlp", lines(tmp_path / "t.jsonl", spans(span(1), span(2))))
    assert refused.value.code == "source.no_content"
    assert all(all(refused.value.explain(lang)) for lang in ("en", "zh"))

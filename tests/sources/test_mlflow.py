"""MLflow's assessments, in the shape of ``Trace.to_json``, become feedback and labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.sources.taking import taken, written

ASKED = {"messages": [{"role": "user", "content": "Capital of France?"}]}
ROOT, INNER = "sX2ubGZ7c+I=", "AAAAAAAAAAE="


def assessment(n: int, name: str, value: object, **more: object) -> dict[str, Any]:
    of = "expectation" if name.startswith("expected") else "feedback"
    return {"assessment_id": f"a-{n}", "assessment_name": name, "trace_id": "tr-1",
            "source": {"source_type": "HUMAN", "source_id": "ann"},
            "create_time": "2026-05-01T09:00:00.624Z", of: {"value": value}, "valid": True,
            **more}  # fmt: skip


def span(name: str, inputs: object, outputs: object) -> dict[str, Any]:
    told = {"mlflow.spanInputs": json.dumps(inputs), "mlflow.spanOutputs": json.dumps(outputs)}
    parent = None if name == ROOT else ROOT
    return {"span_id": name, "parent_span_id": parent, "name": "chat", "attributes": told}


def trace(*assessments: object, inputs: object = ASKED, outputs: object = "Paris") -> Any:
    info = {"trace_id": "tr-1", "trace_metadata": {"mlflow.trace.user": "eve"},
            "assessments": list(assessments)}  # fmt: skip
    spans = [span(INNER, {"query": "France"}, ["doc"]), span(ROOT, inputs, outputs)]
    return {"info": info, "data": {"spans": spans}}


def lines(path: Path, *rows: object) -> Path:
    told = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return written(path, "".join(f"{row}\n" for row in told))


def test_feedback_says_what_it_means(tmp_path: Path) -> None:
    judge = {"source": {"source_type": "LLM_JUDGE", "source_id": "gpt"}}
    one = trace(
        assessment(1, "thumbs", True, rationale="nice"),
        assessment(2, "thumbs", False, metadata={"prediction": "018f"}),
        assessment(3, "Relevance to query", "yes", **judge),
        assessment(4, "score", 0.5, **judge),
        assessment(5, "thumbs", True, valid=False),
        assessment(6, "expected_facts", ["a", "b"]),
    )
    found = taken("mlflow", lines(tmp_path / "t.jsonl", one))
    assert not found.bad
    said = {"input": "Capital of France?", "target": "Paris"}
    told = [(row["kind"], row["value"], row["user"], row["source"], row["prediction"],
             row["payload"]) for row in found.events]  # fmt: skip
    assert told == [
        ("thumbs", 1.0, "ann", "mlflow-human", "tr-1", {**said, "comment": "nice"}),
        ("thumbs", -1.0, "ann", "mlflow-human", "018f",
         {**said, "metadata": {"prediction": "018f"}}),
        ("relevance_to_query", None, "eve", "mlflow-llm_judge", "tr-1", {**said, "text": "yes"}),
        ("score", 0.5, "eve", "mlflow-llm_judge", "tr-1", said),
        ("expected_facts", None, "ann", "mlflow-human", "tr-1", {**said, "expected": ["a", "b"]}),
    ]  # fmt: skip


def test_an_expected_response_is_a_label(tmp_path: Path) -> None:
    file = lines(tmp_path / "t.jsonl", trace(assessment(1, "expected_response", "Paris!")))
    (event,) = taken("mlflow", file).events
    assert (event["kind"], event["user"]) == ("label", "")
    assert event["payload"] == {"input": "Capital of France?", "target": "Paris!"}
    (named,) = taken("mlflow", file, {"user": "annotator"}).events
    assert named["user"] == "ann"


@pytest.mark.parametrize(
    ("inputs", "outputs", "wanted"),
    [
        ({"question": "2+2?"}, "4", ("2+2?", "4")),
        ("2+2?", {"role": "assistant", "content": "4"}, ("2+2?", "4")),
        ({"a": 2, "b": 3}, 5, ({"a": 2, "b": 3}, 5)),
        (ASKED, {"choices": [{"message": {"role": "assistant", "content": "Paris"}}]},
         ("Capital of France?", "Paris")),
        (ASKED, {"messages": [*ASKED["messages"], {"role": "assistant", "content": "Paris"}]},
         ("Capital of France?", "Paris")),
    ],
)  # fmt: skip
def test_what_was_asked_and_answered_in_many_shapes(
    tmp_path: Path, inputs: object, outputs: object, wanted: tuple[object, object]
) -> None:
    one = trace(assessment(1, "thumbs", True), inputs=inputs, outputs=outputs)
    (event,) = taken("mlflow", lines(tmp_path / "t.jsonl", one)).events
    assert (event["payload"]["input"], event["payload"]["target"]) == wanted


def test_a_span_may_be_assessed(tmp_path: Path) -> None:
    one = trace(assessment(1, "thumbs", True, span_id="0000000000000001"))
    (event,) = taken("mlflow", lines(tmp_path / "t.jsonl", one)).events
    assert event["payload"] == {"input": "France", "target": ["doc"]}


def test_what_is_broken_holds_up_no_other(tmp_path: Path) -> None:
    wrong = [{"assessment_id": "x"}, {**assessment(2, "thumbs", True), "source": None},
             assessment(3, "expected_response", ""), 7]  # fmt: skip
    rows = ["{", {"info": {}}, {"info": 7, "data": {"spans": []}}, trace(*wrong[:3])]
    file = lines(tmp_path / "t.jsonl", trace(assessment(1, "thumbs", True)), *rows,
                 trace(assessment(9, "thumbs", True)))  # fmt: skip
    found = taken("mlflow", file)
    assert [row["id"] for row in found.events] == ["a-1", "a-9"]
    codes = {row["code"] for row in found.bad}
    assert codes == {"source.nothing_said", "source.not_object"}
    assert len(found.bad) == 6


def test_what_nobody_could_keep_is_a_bad_row_and_holds_up_no_other(tmp_path: Path) -> None:
    deep = trace(assessment(2, "thumbs", True))
    deep["data"]["spans"][1]["attributes"]["mlflow.spanInputs"] = "[" * 5000
    half = trace(
        assessment(3, "thumbs", True, source={"source_type": "HUMAN", "source_id": "\ud800"})
    )
    good = [trace(assessment(n, "thumbs", True)) for n in (1, 9)]
    found = taken("mlflow", lines(tmp_path / "t.jsonl", good[0], deep, half, good[1]))
    assert [row["id"] for row in found.events] == ["a-1", "a-9"]
    assert [row["code"] for row in found.bad] == ["source.nothing_said"] * 2

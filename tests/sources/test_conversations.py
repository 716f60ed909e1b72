"""Conversations and opinions on replies, in the shapes of OpenAI's and TRL's training files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.sources.taking import Taken, taken, written

from upwell.errors import SourceError
from upwell.interfaces.cli.main import run

USER = {"role": "user", "content": "2+2?"}
BEFORE = [{"role": "system", "content": "Be brief."}, USER]


def says(text: str, **more: object) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def lines(path: Path, rows: Sequence[object]) -> Path:
    told = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    return written(path, "".join(f"{row}\n" for row in told))


def told(found: Taken) -> list[tuple[object, ...]]:
    return [
        (row["kind"], row["payload"]["input"], row["payload"]["target"], row["value"])
        for row in found.events
    ]


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"messages": [USER, says("4")]}, [("label", "2+2?", "4", None)]),
        ({"messages": [*BEFORE, says("4"), USER]}, [("label", BEFORE, "4", None)]),
        (
            {"messages": [USER, says("4", weight=1), USER, says("5", weight=0)]},
            [("label", "2+2?", "4", None)],
        ),
        (
            {"messages": [USER, says("hm"), USER, says("4")]},
            [("label", [USER, says("hm"), USER], "4", None)],
        ),
        (
            {"messages": [{"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
                          USER, says("4")]},
            [("label", BEFORE, "4", None)],
        ),
        (
            {"input": {"messages": BEFORE, "tools": []}, "preferred_output": [says("4")],
             "non_preferred_output": [says("5")]},
            [("thumbs", BEFORE, "4", 1.0), ("thumbs", BEFORE, "5", -1.0)],
        ),
    ],
)  # fmt: skip
def test_openai(tmp_path: Path, row: object, wanted: list[tuple[object, ...]]) -> None:
    found = taken("openai_jsonl", lines(tmp_path / "f.jsonl", [row]))
    assert not found.bad
    assert told(found) == wanted


TRL: list[tuple[object, list[tuple[object, ...]]]] = [
    ({"prompt": "2+2?", "completion": "4"}, [("label", "2+2?", "4", None)]),
    ({"prompt": [USER], "completion": [says("4")]}, [("label", "2+2?", "4", None)]),
    ({"prompt": "2+2?", "completion": "4", "label": True}, [("thumbs", "2+2?", "4", 1.0)]),
    ({"prompt": BEFORE, "completion": [says("5")], "label": False},
     [("thumbs", BEFORE, "5", -1.0)]),
    ({"prompt": "2+2?", "chosen": "4", "rejected": "5"},
     [("thumbs", "2+2?", "4", 1.0), ("thumbs", "2+2?", "5", -1.0)]),
    ({"chosen": [USER, says("4")], "rejected": [USER, says("5")]},
     [("thumbs", "2+2?", "4", 1.0), ("thumbs", "2+2?", "5", -1.0)]),
    ({"prompt": "2+2?", "chosen": [USER, says("4")], "rejected": [USER, says("5")],
      "messages": [USER, says("4")]},
     [("thumbs", "2+2?", "4", 1.0), ("thumbs", "2+2?", "5", -1.0)]),
    ({"messages": [*BEFORE, says("4")]}, [("label", BEFORE, "4", None)]),
    ({"prompt": "[1, 2]", "completion": "3"},
     [("label", [{"role": "user", "content": "[1, 2]"}], "3", None)]),
]  # fmt: skip


@pytest.mark.parametrize(("row", "wanted"), TRL)
@pytest.mark.parametrize("ending", ["jsonl", "json", "parquet"])
def test_trl(tmp_path: Path, row: object, wanted: list[tuple[object, ...]], ending: str) -> None:
    path = tmp_path / f"f.{ending}"
    if ending == "parquet":
        parquet.write_table(pa.Table.from_pylist([row]), path)
    elif ending == "json":
        written(path, json.dumps([row], indent=1))
    else:
        lines(path, [row])
    found = taken("trl", path)
    assert not found.bad
    assert told(found) == wanted


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"text": "once upon a time"},
        {"messages": []},
        {"messages": [USER]},
        {"messages": [says("4")]},
        {"messages": [BEFORE[0], says("4")]},
        {"messages": [USER, says("4"), says("5")]},
        {"messages": [USER, says(" ")]},
        {"messages": [USER, says("4", weight=0)]},
        {"messages": [USER, {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]},
        {"messages": [{"role": "tool", "content": "x"}, says("4")]},
        {"messages": [USER, says("Let me see."), {"role": "tool", "content": "4"}]},
        {"messages": [USER, says("4"), USER, {**says("", weight=0), "tool_calls": [{"id": "1"}]}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}, says("4")]},
        {"messages": [USER, says("\ud800")]},
        {"messages": "2+2?"},
        {"prompt": "2+2?", "completion": "4", "label": "yes"},
        {"prompt": "2+2?", "chosen": "4"},
        {"prompt": [USER], "chosen": [], "rejected": [says("5")]},
        {"prompt": BEFORE, "completion": [USER]},
        '{"messages": [{"role": "user", "cont',
        "[1, 2]",
        "7",
    ],
)
@pytest.mark.parametrize("name", ["openai_jsonl", "trl"])
def test_one_broken_line_in_many_is_a_bad_row_and_no_other(
    tmp_path: Path, name: str, row: object
) -> None:
    rows: list[object] = [{"messages": [USER, says(str(n))]} for n in range(2500)]
    text = row if isinstance(row, str) else json.dumps(row)
    found = taken(name, lines(tmp_path / "f.jsonl", [*rows[:1200], text, *rows[1200:]]))
    assert [row["payload"]["target"] for row in found.events] == [str(n) for n in range(2500)]
    is_object = text.startswith("{") and text.endswith("}")
    code = "source.nothing_said" if is_object else "source.not_object"
    assert [(row["code"], row["field"]) for row in found.bad] == [(code, "")]
    assert json.loads(json.loads(found.bad[0]["raw"])["payload"]) == {"unreadable": shown(text)}


def shown(text: str) -> str:
    """A row's text as it is kept, where half a surrogate pair is a question mark."""
    return text.replace("\\ud800", "?")


@pytest.mark.parametrize(("lang", "why"), [("en", "holds no conversation"), ("zh", "没有可以学习")])
def test_why_nothing_can_be_learned_of_a_row_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lang: str, why: str
) -> None:
    file = lines(tmp_path / "f.jsonl", [{"messages": [USER, says(text)]} for text in ("4", " ")])
    place = ("-p", str(tmp_path / "shop"))
    assert run(["init", str(tmp_path / "shop")]) == 0
    assert run(["import", str(file), "--format", "openai_jsonl", *place]) == 0
    assert "source.nothing_said" in capsys.readouterr().out
    assert run(["bad-rows", *place, "--lang", lang, "--json"]) == 0
    (kept,) = json.loads(capsys.readouterr().out)["rows"]
    assert kept["reason"].startswith("The row holds no conversation with a reply")
    assert run(["bad-rows", "--rows", *place, "--lang", lang]) == 0
    assert why in " ".join(capsys.readouterr().out.split())


KNOWN: list[tuple[str, dict[str, Any], str]] = [
    ("f.jsonl", {"prompt": "2+2?", "completion": "4", "label": True}, "--format trl"),
    ("f.jsonl", {"chosen": "4", "rejected": "5"}, "--format trl"),
    ("f.parquet", {"messages": [USER, says("4")]}, "--format trl"),
    ("f.jsonl", {"messages": [USER, says("4")]}, "--format openai_jsonl / --format trl"),
    (
        "f.jsonl",
        {"messages": [], "input": {}, "preferred_output": [], "non_preferred_output": []},
        "--format openai_jsonl",
    ),
    ("f.jsonl", {"resourceSpans": []}, "--format otlp"),
    ("f.jsonl", {"info": {}, "data": {}}, "--format mlflow"),
]


@pytest.mark.parametrize(("name", "row", "formats"), KNOWN)
def test_who_named_no_format_is_told_which_one_the_columns_are_of(
    tmp_path: Path, name: str, row: dict[str, Any], formats: str
) -> None:
    path = tmp_path / name
    if path.suffix == ".parquet":
        parquet.write_table(pa.Table.from_pylist([row]), path)
    else:
        lines(path, [row])
    with pytest.raises(SourceError) as refused:
        taken(path.suffix[1:], path)
    assert refused.value.code == "source.other_format"
    assert all(formats in refused.value.explain(lang)[2] for lang in ("en", "zh"))


@pytest.mark.parametrize("name", ["f.jsonl", "f.csv"])
def test_columns_of_no_known_format_are_to_be_mapped(tmp_path: Path, name: str) -> None:
    text = "prompt,completion\na,b\n" if name.endswith("csv") else '{"prompt": "a", "text": "b"}\n'
    with pytest.raises(SourceError) as refused:
        taken(name[2:], written(tmp_path / name, text))
    assert refused.value.code == "source.unmapped"


def test_a_broken_first_line_is_one_bad_row(tmp_path: Path) -> None:
    found = taken(
        "trl", lines(tmp_path / "f.jsonl", ['{"prompt', {"prompt": "a", "completion": "b"}])
    )
    assert (len(found.events), len(found.bad)) == (1, 1)


def test_a_file_that_is_cut_off_gives_the_rows_before(tmp_path: Path) -> None:
    path = lines(tmp_path / "f.jsonl", [{"messages": [USER, says(str(n))]} for n in range(9)])
    path.write_text(path.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    upwell, place = tmp_path / "shop", ("-p", str(tmp_path / "shop"))
    assert run(["init", str(upwell)]) == 0
    assert run(["import", str(path), "--format", "openai_jsonl", *place]) == 2
    path.write_text("nothing\n", encoding="utf-8")
    with pytest.raises(SourceError) as refused:
        taken("openai_jsonl", path)
    assert refused.value.code == "source.not_json_lines"


def test_importing_twice_counts_once_under_any_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row for row, _ in TRL]
    one, two = lines(tmp_path / "a.jsonl", rows), lines(tmp_path / "b.jsonl", rows[::-1])
    assert run(["init", str(tmp_path / "shop"), "--json"]) == 0
    counts = []
    for path in (one, one, two):
        capsys.readouterr()
        assert run(["import", str(path), "--format", "trl", "-p", str(tmp_path / "shop"),
                    "--consent", "train", "--json"]) == 0  # fmt: skip
        counts.append(json.loads(capsys.readouterr().out))
    # What several rows of the file say alike counts once.
    assert [count["accepted"] for count in counts] == [6, 0, 0]
    assert [count["bad"] for count in counts] == [0, 0, 0]


def test_a_mapping_says_whose_and_when_and_names_rows(tmp_path: Path) -> None:
    row = {"prompt": "2+2?", "chosen": "4", "rejected": "5", "rater": "ann", "nr": 7,
           "when": "2026-05-01T09:00:00Z", "topic": "sums"}  # fmt: skip
    file = lines(tmp_path / "f.jsonl", [row, {**row, "rater": "ben", "nr": 8}])
    mapping = {"user": "rater", "at": "when", "id": "nr", "payload": "topic"}
    found = taken("trl", file, mapping).events
    assert [row["id"] for row in found] == ["7:chosen", "7:rejected", "8:chosen", "8:rejected"]
    assert [row["user"] for row in found] == ["ann", "ann", "ben", "ben"]
    assert {row["at"].year for row in found} == {2026}
    assert found[0]["payload"] == {"input": "2+2?", "target": "4", "topic": "sums"}
    unnamed = taken("trl", file, {"user": "rater"}).events
    assert len({row["id"] for row in unnamed}) == 4

"""Label Studio's exports become labels, spans and ratings, whatever the format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.sources.taking import taken, written

from upwell.errors import SourceError
from upwell.interfaces.cli.main import run

AT = "2026-05-01T09:00:00.123456Z"


def result(name: str, kind: str, **value: object) -> dict[str, Any]:
    return {"id": "r", "from_name": name, "to_name": "text", "type": kind, "value": value}


def task(id: int, data: dict[str, Any], *results: dict[str, Any], **more: object) -> dict[str, Any]:
    annotation = {"id": 100 + id, "completed_by": {"id": 7, "email": "kim@lab.example"},
                  "result": list(results), "was_cancelled": False, "ground_truth": False,
                  "created_at": AT, "updated_at": AT, "lead_time": 4.2, **more}  # fmt: skip
    return {"id": id, "data": data, "annotations": [annotation], "predictions": [], "meta": {}}


def targets(file: Path, **mapping: str) -> list[object]:
    found = taken("label_studio", file, mapping)
    assert not found.bad
    return [row["payload"].get("target") for row in found.events]


def test_choices_are_labels_of_nobody(tmp_path: Path) -> None:
    tasks = [
        task(1, {"text": "good"}, result("sentiment", "choices", choices=["pos"])),
        task(2, {"text": "坏"}, result("sentiment", "choices", choices=["neg"]), ground_truth=True),
    ]
    found = taken("label_studio", written(tmp_path / "e.json", tasks))
    assert [row["payload"] for row in found.events] == [
        {"input": "good", "lead_time": 4.2, "target": "pos"},
        {"input": "坏", "lead_time": 4.2, "target": "neg", "ground_truth": True},
    ]
    assert [row["id"] for row in found.events] == ["101:sentiment", "102:sentiment"]
    assert {(row["kind"], row["user"], row["source"]) for row in found.events} == {
        ("label", "", "label_studio")
    }


def test_labels_may_be_their_annotators(tmp_path: Path) -> None:
    file = written(
        tmp_path / "e.json", [task(1, {"text": "x"}, result("s", "choices", choices=["a"]))]
    )
    (row,) = taken("label_studio", file, {"user": "annotator"}).events
    assert row["user"] == "kim@lab.example"


def test_what_was_skipped_or_not_annotated_says_nothing(tmp_path: Path) -> None:
    tasks = [
        task(1, {"text": "x"}, was_cancelled=True),
        {"id": 2, "data": {"text": "y"}, "annotations": []},
        {"id": 3, "data": {"text": "z"}},
        task(4, {"text": "good"}, result("s", "choices", choices=["pos"])),
    ]
    found = taken("label_studio", written(tmp_path / "e.json", tasks))
    assert (len(found.events), found.bad) == (1, [])


def test_spans_are_counted_in_characters(tmp_path: Path) -> None:
    text = "👍 Ann 去北京"
    tasks = [
        # A browser counts the thumb as two; a script that made the file may count it as one.
        task(
            1, {"text": text}, result("ner", "labels", start=3, end=6, text="Ann", labels=["PER"])
        ),
        task(
            2, {"text": text}, result("ner", "labels", start=7, end=9, text="北京", labels=["LOC"])
        ),
        task(3, {"text": "none"}),
    ]
    assert targets(written(tmp_path / "e.json", tasks)) == [
        '{"spans":[[2,5,"PER"]]}', '{"spans":[[7,9,"LOC"]]}', '{"spans":[]}'
    ]  # fmt: skip


def test_stars_are_ratings_of_their_annotator(tmp_path: Path) -> None:
    tasks = [task(n, {"text": f"t{n}"}, result("q", "rating", rating=n)) for n in (1, 5)]
    tasks[0]["meta"] = {"upwell_id": "p1"}
    found = taken("label_studio", written(tmp_path / "e.json", tasks)).events
    assert [(row["kind"], row["user"], row["value"]) for row in found] == [
        ("rating", "kim@lab.example", 1.0), ("rating", "kim@lab.example", 5.0)
    ]  # fmt: skip
    assert [row["prediction"] for row in found] == ["p1", None]
    assert [row["payload"]["input"] for row in found] == ["t1", "t5"]
    of_items = [task(1, {"item": "film", "text": "?"}, result("q", "rating", rating=2))]
    (row,) = taken("label_studio", written(tmp_path / "i.json", of_items)).events
    assert (row["item"], row["value"], "input" in row["payload"]) == ("film", 2.0, False)


def test_texts_numbers_and_several_choices(tmp_path: Path) -> None:
    data = {"text": "x"}
    tasks = [
        task(1, data, result("a", "textarea", text=["first", "second"])),
        task(2, data, result("a", "number", number=3)),
        task(3, data, result("a", "choices", choices=["b", "a"])),
        task(4, data, result("other", "choices", choices=["z"])),
    ]
    found = targets(written(tmp_path / "e.json", tasks), target="a")
    assert found == ["first\nsecond", "3", '["a","b"]']


def test_several_questions_or_columns_must_be_named(tmp_path: Path) -> None:
    both = (
        result("tone", "choices", choices=["kind"]),
        result("topic", "choices", choices=["bank"]),
    )
    file = written(tmp_path / "e.json", [task(1, {"title": "t", "body": "b"}, *both)])
    for mapping, field in (({}, "target"), ({"target": "tone"}, "input")):
        with pytest.raises(SourceError) as refused:
            taken("label_studio", file, mapping)
        assert (refused.value.code, refused.value.details["field"]) == ("source.unmapped", field)
    assert targets(file, target="topic", input="body") == ["bank"]
    (row,) = taken("label_studio", file, {"target": "tone", "input": "title+body"}).events
    assert row["payload"]["input"] == {"body": "b", "title": "t"}


def test_json_min_and_csv_say_the_same(tmp_path: Path) -> None:
    tasks = [
        task(
            1, {"text": "Ann"}, result("ner", "labels", start=0, end=3, text="Ann", labels=["PER"])
        ),
        task(2, {"text": "[x]"}, result("ner", "labels", start=1, end=2, text="x", labels=["O"])),
    ]
    spans = [[one["value"] for one in entry["annotations"][0]["result"]] for entry in tasks]
    rows = [
        {"text": entry["data"]["text"], "id": entry["id"], "ner": found, "annotator": 7,
         "annotation_id": 100 + entry["id"], "created_at": AT, "updated_at": AT, "lead_time": 4.2}
        for entry, found in zip(tasks, spans, strict=True)
    ]  # fmt: skip
    names = sorted(rows[0])
    quoted = [[json.dumps(row[name]) if name == "ner" else str(row[name]) for name in names]
              for row in rows]  # fmt: skip
    lines = [",".join('"' + cell.replace('"', '""') + '"' for cell in row)
             for row in (names, *quoted)]  # fmt: skip
    whole = taken("label_studio", written(tmp_path / "e.json", tasks))
    minimal = taken("label_studio", written(tmp_path / "min.json", rows))
    table = taken("label_studio", written(tmp_path / "e.csv", "\n".join(lines)), {"target": "ner"})
    assert whole == minimal
    for one, other in zip(whole.events, table.events, strict=True):
        one["payload"]["lead_time"] = "4.2"
        assert one == other


def test_broken_annotations_are_bad_rows(tmp_path: Path) -> None:
    good = task(1, {"text": "abc"}, result("ner", "labels", start=0, end=2, labels=["X"]))
    tasks: list[Any] = [
        good,
        task(2, {"text": "abc"}, result("ner", "labels", start=1, end=9, labels=["X"])),
        task(3, {"text": "abc"}, result("ner", "labels", start=0, end=2, text="zz", labels=["X"])),
        task(4, {"text": "abc"}, result("ner", "rectanglelabels", x=1, rectanglelabels=["X"])),
        {"id": 5, "data": "no object", "annotations": [{"result": []}]},
        {"id": 6, "data": {"text": "abc"}, "annotations": ["no object"]},
        {**task(7, {"text": "abc"}, result("ner", "labels", start=0, end=1, labels=["Y"])), "x": 1},
        "no task",
    ]
    tasks[6]["annotations"][0]["created_at"] = "no time"
    found = taken("label_studio", written(tmp_path / "e.json", tasks))
    assert [row["id"] for row in found.events] == ["101:ner"]
    assert len(found.bad) == 7
    assert {row["code"] for row in found.bad} == {
        "source.nothing_said", "source.not_object", "collect.unreadable_time"
    }  # fmt: skip


def test_importing_twice_counts_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [
        task(n, {"text": f"t{n}"}, result("s", "choices", choices=["ab"[n % 2]])) for n in range(6)
    ]
    file = written(tmp_path / "export.json", tasks)
    shop = ("-p", str(tmp_path / "shop"), "--json")
    assert run(["init", str(tmp_path / "shop"), "--task", "text_classification", "--json"]) == 0
    capsys.readouterr()
    counts = []
    for _ in range(2):
        assert run(["import", str(file), "-f", "label_studio", *shop]) == 0
        told = json.loads(capsys.readouterr().out)
        counts.append((told["accepted"], told["duplicates"], told["bad"]))
    assert counts == [(6, 0, 0), (0, 6, 0)]

"""Labelled rows of any file: what is asked and what is right stand in the payload."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from upwell.errors import SourceError
from upwell.plugins import plugin
from upwell.records import EARLIEST
from upwell.stages.collect.intake import sort_out

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def taken(name: str, location: Path, mapping: Mapping[str, str]) -> list[dict[str, object]]:
    """The events that intake makes of a file without a bad row; payloads read."""
    found: list[dict[str, object]] = []
    for batch in plugin("sources", name).read(str(location), mapping):
        made = sort_out(batch, "import", NOW)
        assert made.bad.num_rows == 0
        found += made.events.to_pylist()
    return [{**row, "payload": json.loads(str(row["payload"]))} for row in found]


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_labels_need_neither_user_nor_time(tmp_path: Path) -> None:
    file = written(tmp_path / "l.csv", 'text,label\n"Good, really",pos\n坏,neg\n')
    first, second = taken("csv", file, {"input": "text", "target": "label"})
    assert first["payload"] == {"input": "Good, really", "target": "pos"}
    assert second["payload"] == {"input": "坏", "target": "neg"}
    assert (first["kind"], first["user"], first["at"], first["id"]) == (
        "label",
        "",
        EARLIEST,
        "l:1",
    )


def test_what_is_mapped_or_there_goes_before_what_is_taken_for_granted(tmp_path: Path) -> None:
    file = written(tmp_path / "l.csv", "text,label,user,at\ngood,pos,ann,1767225600\n")
    mapping = {"input": "text", "target": "label", "kind": "=thumbs", "value": "=1"}
    (row,) = taken("csv", file, mapping)
    assert (row["kind"], row["user"], row["at"], row["value"]) == ("thumbs", "ann", NOW, 1.0)
    assert row["payload"] == {"input": "good", "target": "pos"}


@pytest.mark.parametrize("wanted", ["*", "age+job"])
def test_a_table_is_an_object_of_its_columns(tmp_path: Path, wanted: str) -> None:
    rows = [
        {"age": 39, "job": "smith", "risk": "low"},
        {"age": None, "job": "cook", "risk": "high"},
    ]
    csv = written(tmp_path / "t.csv", "age,job,risk\n39,smith,low\n,cook,high\n")
    lines = written(tmp_path / "t.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    table = tmp_path / "t.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), table)
    for name, file, age in (("csv", csv, "39"), ("jsonl", lines, 39), ("parquet", table, 39)):
        found = taken(name, file, {"input": wanted, "target": "risk"})
        assert [row["payload"] for row in found] == [
            {"input": {"age": age, "job": "smith"}, "target": "low"},
            {"input": {"job": "cook"}, "target": "high"},
        ]


def test_what_is_nested_is_kept_in_one_form(tmp_path: Path) -> None:
    text = '{"t":"Ann","spans":{"spans":[[0,3,"PER"]],"rest":1.0}}\n'
    file = written(tmp_path / "n.jsonl", text)
    (row,) = taken("jsonl", file, {"input": "t", "target": "spans"})
    assert row["payload"] == {"input": "Ann", "target": '{"rest":1.0,"spans":[[0,3,"PER"]]}'}


def test_corrections_stand_beside_what_else_the_payload_gathers(tmp_path: Path) -> None:
    file = written(tmp_path / "c.csv", "who,when,p,right,page\nann,1767225600,p1,pos,home\n")
    mapping = {"user": "who", "at": "when", "prediction": "p", "kind": "=correction",
               "correction": "right", "payload": "page+p"}  # fmt: skip
    (row,) = taken("csv", file, mapping)
    assert row["prediction"] == "p1"
    assert row["payload"] == {"correction": "pos", "page": "home", "p": "p1"}


def test_a_column_that_is_not_there_is_told_with_the_nearest(tmp_path: Path) -> None:
    file = written(tmp_path / "l.csv", "text,label\ngood,pos\n")
    for mapping in ({"input": "txt", "target": "label"}, {"input": "text+labl", "target": "label"}):
        with pytest.raises(SourceError) as refused:
            list(plugin("sources", "csv").read(str(file), mapping))
        assert refused.value.code == "source.unknown_column"

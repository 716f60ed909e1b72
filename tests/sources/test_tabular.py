"""CSV, JSON lines, Parquet and atomic files: mapping, encodings, and whatever is wrong."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from upwell.errors import SourceError
from upwell.plugins import plugin
from upwell.records import Event
from upwell.sources import _delimited
from upwell.stages.collect.intake import Sorted, sort_out
from upwell.tables import schema

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MAPPING = {"user": "uid", "item": "movie", "value": "stars", "at": "when", "kind": "=rating"}
HEAD = "uid,movie,stars,when\n"


def taken(name: str, location: Path, mapping: Mapping[str, str]) -> Sorted:
    """What intake makes of a source's batches."""
    parts = [
        sort_out(batch, "import", NOW)
        for batch in plugin("sources", name).read(str(location), mapping)
    ]
    return Sorted(
        pa.concat_tables([part.events for part in parts]),
        pa.concat_tables([part.bad for part in parts]),
        np.concatenate([part.bad_at for part in parts]),
    )


def refused(name: str, location: Path, mapping: Mapping[str, str]) -> SourceError:
    with pytest.raises(SourceError) as caught:
        list(plugin("sources", name).read(str(location), mapping))
    assert all(caught.value.explain(lang) for lang in ("en", "zh"))
    return caught.value


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def test_columns_constants_and_row_ids(tmp_path: Path) -> None:
    file = written(tmp_path / "r.csv", HEAD + "7,i1,4.5,881250949\n8,i2,1,1997-12-04T15:55:49Z\n")
    found = taken("csv", file, MAPPING)
    assert found.bad.num_rows == 0
    first, second = found.events.to_pylist()
    assert first["at"] == second["at"]
    assert (first["id"], first["user"], first["value"]) == ("r:1", "7", 4.5)
    assert (second["id"], second["kind"], second["source"]) == ("r:2", "rating", "import")


def test_columns_are_gathered_into_the_payload(tmp_path: Path) -> None:
    facts = {"item": "movie", "kind": "=item", "at": "=1997-01-01T00:00:00Z"}
    file = written(tmp_path / "m.csv", "movie,title,genres\n1,Heat,Crime\n2,星,\n")
    for wanted in ("*", "title+genres"):
        events = taken("csv", file, {**facts, "payload": wanted}).events
        read = [json.loads(payload) for payload in events["payload"].to_pylist()]
        assert read == [{"title": "Heat", "genres": "Crime"}, {"title": "星"}]
    nothing = taken("csv", file, facts).events
    assert set(nothing["payload"].to_pylist()) == {"{}"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_encodings_and_delimiters(tmp_path: Path, encoding: str, delimiter: str) -> None:
    rows = HEAD + "李雷,肖申克的救赎,5,881250949\n韩梅梅,霸王别姬,4,881250949\n"
    file = written(tmp_path / "r.csv", rows.replace(",", delimiter), encoding)
    assert taken("csv", file, MAPPING).events["user"].to_pylist() == ["李雷", "韩梅梅"]


def test_gb18030_that_begins_late_in_a_file(tmp_path: Path) -> None:
    plain = "".join(f"{n},i,3,881250949\n" for n in range(80_000))
    file = written(tmp_path / "r.csv", HEAD + plain + "李雷,霸王别姬,5,881250949\n", "gb18030")
    assert taken("csv", file, MAPPING).events["item"][-1].as_py() == "霸王别姬"


@pytest.mark.parametrize(
    "content",
    [
        "uid,movie,stars,when\nCafé,é,1,881250949\n".encode("latin-1"),
        HEAD.encode() + b"\x00\xff\xfe,1,1,1\n",
        HEAD.encode() + "霸王别姬,霸王别姬,1,881250949\n".encode()[:-1] + b"\xe9\n",
    ],
)
def test_bytes_that_are_no_text_are_placed(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "r.csv"
    file.write_bytes(content)
    error = refused("csv", file, MAPPING)
    with pytest.raises(UnicodeDecodeError) as expected:
        content.decode()
    assert error.code == "source.not_text"
    assert error.details["byte"] == f"{expected.value.start:,}"


def test_a_row_of_another_width_is_kept_as_a_bad_row_and_ids_do_not_move(tmp_path: Path) -> None:
    file = written(tmp_path / "r.csv", HEAD + "1,i,3,881250949\noops\n\n3,i,3,881250949\n")
    found = taken("csv", file, MAPPING)
    assert found.events["id"].to_pylist() == ["r:1", "r:3"]
    assert found.bad["code"].to_pylist() == ["source.other_width"]
    assert "oops" in found.bad["raw"][0].as_py()
    written(file, HEAD + "1,i,3,881250949\n2,i,4,881250949\n\n3,i,3,881250949\n")
    assert taken("csv", file, MAPPING).events["id"].to_pylist() == ["r:1", "r:2", "r:3"]


def _csv(rows: list[bool]) -> str:
    lines = (f"{n},i,3,881250949\n" if whole else "broken\n" for n, whole in enumerate(rows, 1))
    return HEAD + "".join(lines)


@given(st.lists(st.booleans(), max_size=60), st.integers(64, 200))
def test_row_numbers_hold_across_blocks(
    tmp_path_factory: pytest.TempPathFactory, rows: list[bool], block: int
) -> None:
    file = written(tmp_path_factory.mktemp("csv") / "r.csv", _csv([True, *rows]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_delimited, "BLOCK", block)
        parts = list(_delimited.parts(file, HEAD.strip().split(","), ",", "utf-8"))
    found = {
        int(number): uid
        for part in parts
        for number, uid in zip(part.numbers, part.batch["uid"].to_pylist(), strict=True)
    }
    assert found == {n: str(n) for n, whole in enumerate([True, *rows], 1) if whole}
    lost = sorted(number for part in parts for number, _ in part.broken)
    assert lost == [n for n, whole in enumerate([True, *rows], 1) if not whole]


def test_a_file_that_ends_within_a_row_says_so(tmp_path: Path) -> None:
    file = written(tmp_path / "r.csv", HEAD + "1,i,3,881250949\n2,i,4\n3,i")
    error = refused("csv", file, MAPPING)
    assert (error.code, error.details["row"], error.details["kept"]) == (
        "source.truncated",
        "3",
        "2",
    )
    lines = written(
        tmp_path / "r.jsonl", '{"user":"u","kind":"click","at":881250949}\n{"user":"u",'
    )
    error = refused("jsonl", lines, {})
    assert (error.code, error.details["row"], error.details["kept"]) == (
        "source.truncated",
        "2",
        "1",
    )


@pytest.mark.parametrize("name", ["csv", "jsonl", "recbole"])
def test_an_empty_file_says_so(tmp_path: Path, name: str) -> None:
    ending = "inter" if name == "recbole" else name
    assert refused(name, written(tmp_path / f"r.{ending}", ""), {}).code == "source.empty"


def test_unknown_unmapped_and_doubled_columns_are_named(tmp_path: Path) -> None:
    file = written(tmp_path / "r.csv", HEAD + "1,i,3,881250949\n")
    error = refused("csv", file, {**MAPPING, "user": "uidd"})
    assert (error.code, error.details["nearest"]) == ("source.unknown_column", "uid")
    assert refused("csv", file, {"user": "uid", "kind": "=x"}).details["field"] == "at"
    assert refused("csv", file, {"at": "when", "kind": "=x"}).code == "source.unmapped"
    doubled = written(tmp_path / "d.csv", "a,a\n1,2\n")
    assert refused("csv", doubled, {}).code == "source.twice"


def test_wrong_values_are_left_to_intake(tmp_path: Path) -> None:
    rows = (
        "1,i,five,881250949\n2,i,nan,881250949\n3,i,3,881250949000\n"
        ",i,3,881250949\n5,i,3,0000-01-01T00:00:00Z\n"
    )
    found = taken("csv", written(tmp_path / "r.csv", HEAD + rows), MAPPING)
    assert found.events.num_rows == 0
    assert set(found.bad["code"].to_pylist()) == {
        "collect.not_a_number",
        "record.not_finite",
        "collect.milliseconds",
        "record.missing",
        "record.bad_time",
    }


def test_json_lines_keep_their_types_and_their_bad_lines(tmp_path: Path) -> None:
    rows = [
        {"user": 7, "kind": "click", "at": 881250949, "item": "i", "payload": {"a": [1]}},
        {"user": "u", "kind": "click", "at": "1997-12-04T15:55:49Z", "value": 2},
    ]
    text = "\ufeff" + "\n".join(json.dumps(row) for row in rows) + "\n\n[1]\nnot json\n"
    text += '{"user": "\\ud800"}\n'
    found = taken("jsonl", written(tmp_path / "e.jsonl", text), {})
    assert found.events["user"].to_pylist() == ["7", "u"]
    assert json.loads(found.events["payload"][0].as_py()) == {"a": [1]}
    assert [raw for raw in found.bad["raw"].to_pylist() if "not json" in raw]
    assert found.bad["code"].to_pylist() == ["source.not_object"] * 2 + ["source.bad_text"]
    array = written(tmp_path / "a.jsonl", '[\n{"user": "u"}\n]\n')
    assert refused("jsonl", array, {}).code == "source.not_json_lines"


def test_packed_files_are_read_and_cut_ones_named(tmp_path: Path) -> None:
    rows = HEAD + "".join(f"{n},i{n * 7919 % 1000},3,{881250949 + n}\n" for n in range(20_000))
    packed = tmp_path / "r.csv.gz"
    packed.write_bytes(gzip.compress(rows.encode()))
    events = taken("csv", packed, MAPPING).events
    assert (events.num_rows, events["id"][-1].as_py()) == (20_000, "r:20000")
    packed.write_bytes(packed.read_bytes()[:-2000])
    assert refused("csv", packed, MAPPING).code in ("source.unreadable", "source.truncated")


def test_parquet_files_of_a_folder_have_ids_of_their_own(tmp_path: Path) -> None:
    table = pa.table(
        {"uid": [1, 2], "movie": ["a", "b"], "stars": [3, 4], "when": [881250949, 881250950]}
    )
    for year in ("2025", "2026"):
        (tmp_path / "in" / year).mkdir(parents=True)
        parquet.write_table(table, tmp_path / "in" / year / "part.parquet")
    found = taken("parquet", tmp_path / "in", MAPPING)
    assert found.events["id"].to_pylist() == [
        "2025/part:1",
        "2025/part:2",
        "2026/part:1",
        "2026/part:2",
    ]
    assert found.bad.num_rows == 0


def test_a_cut_parquet_file_is_named(tmp_path: Path) -> None:
    location, _ = plugin("sources", "parquet").toy(tmp_path)
    file = Path(location)
    file.write_bytes(file.read_bytes()[:-10])
    assert refused("parquet", file, {}).code == "source.unreadable"


def test_naive_times_reach_intake_as_such(tmp_path: Path) -> None:
    file = tmp_path / "n.parquet"
    naive = pa.array([datetime(2026, 1, 1)], pa.timestamp("ns"))
    parquet.write_table(pa.table({"user": ["u"], "kind": ["click"], "at": naive}), file)
    assert taken("parquet", file, {}).bad["code"].to_pylist() == ["record.naive_time"]


def test_atomic_files_are_facts_and_ratings(tmp_path: Path) -> None:
    plugin("sources", "recbole").toy(tmp_path)
    events = taken("recbole", tmp_path, {}).events
    assert events["kind"].to_pylist() == ["item", "item", "user", "rating", "rating"]
    assert json.loads(events["payload"][2].as_py()) == {"age": 24.0}
    assert events["at"][3].as_py() == datetime(1997, 12, 4, 15, 55, 49, tzinfo=UTC)
    plain = written(
        tmp_path / "b.inter", "user_id:token\titem_id:token\ttimestamp:float\nu\ti\t881250949\n"
    )
    assert taken("recbole", plain, {}).events["kind"].to_pylist() == ["click"]


def test_batches_of_clean_data_have_the_schema_whatever_their_size(tmp_path: Path) -> None:
    rows = HEAD + "".join(f"{n},i,3,881250949\n" for n in range(300_000))
    file = written(tmp_path / "r.csv", rows)
    mapping = {**MAPPING, "source": "=shop"}
    batches = list(plugin("sources", "csv").read(str(file), mapping))
    assert len(batches) > 1
    assert all(batch.schema.equals(schema(Event)) for batch in batches)

"""What leaves a project: rows that other trainers read and Upwell reads back, and versions."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.shop import NOW, TABLES, USERS, Printed, answer, shop_in
from tests.sources.taking import taken
from tests.tiny_task import install

from upwell import loop
from upwell.errors import StageError
from upwell.records import Example
from upwell.service import Upwell
from upwell.store.project import create_project, open_project
from upwell.tables import schema
from upwell.wiring import exporting
from upwell.wiring.purge import purge

FORMS = ("trl-sft", "trl-kto", "trl-dpo", "openai-sft", "openai-dpo")
Row = tuple[str, str, bool]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


@pytest.fixture
def shop(tmp_path: Path) -> Upwell:
    return shop_in(tmp_path / "shop")


def learned(upwell: Upwell) -> Counter[Row]:
    """Rows that a turn learned from: input, target, whether it is liked."""
    (version, *_) = reversed(upwell.project.ledger.versions("tiny_answer"))
    train = upwell.project.snapshots.read(version.snapshot).train.to_pylist()
    return Counter(
        (row["input"], row["target"], row["sign"] != -1)
        for row in train
        if row["weight"] * row["reliability"] > 0
    )


def read_back(path: Path, form: str) -> Counter[Row]:
    """The rows that the import of a file makes."""
    found = taken("trl" if form.startswith("trl") else "openai_jsonl", path)
    assert not found.bad
    return Counter(
        (asked if isinstance(asked, str) else canonical(asked), row["payload"]["target"],
         row["value"] != -1.0)
        for row in found.events
        for asked in [row["payload"]["input"]]
    )  # fmt: skip


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_exported_imports_again_as_the_same_rows(
    shop: Upwell, tmp_path: Path, capsys: Printed, form: str
) -> None:
    path, place = tmp_path / "rows.jsonl", ("-p", str(shop.project.folder))
    said = answer(capsys, "export", "--format", form, "--out", str(path), *place)
    assert said["rows"] == len(path.read_text(encoding="utf-8").splitlines()) > 50
    rows = learned(shop)
    if form.endswith("sft"):
        rows = Counter({row: n for row, n in rows.items() if row[2]})
    if form.endswith("dpo"):
        both = {row[0] for row in rows if row[2]} & {row[0] for row in rows if not row[2]}
        rows = Counter({row: n for row, n in rows.items() if row[0] in both})
    assert rows == read_back(path, form)
    assert any(row[0].startswith("[") for row in rows)
    text = path.read_text(encoding="utf-8")
    train = shop.project.snapshots.read(said["snapshot"]).train
    names = {*USERS, *train["user"].to_pylist(), *train["id"].to_pylist()}
    assert not [name for name in names if f'"{name}"' in text or "@shop" in text]


@pytest.mark.parametrize("form", FORMS)
def test_parquet_holds_the_same(shop: Upwell, tmp_path: Path, capsys: Printed, form: str) -> None:
    place = ("-p", str(shop.project.folder))
    for ending in ("jsonl", "parquet"):
        answer(capsys, "export", "--format", form, "--out", str(tmp_path / f"r.{ending}"), *place)
    lines = (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()
    rows = parquet.read_table(tmp_path / "r.parquet").to_pylist()
    assert [without_nulls(row) for row in rows] == [json.loads(line) for line in lines]


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def test_rows_go_into_another_project_and_are_learned_from(
    shop: Upwell, tmp_path: Path, capsys: Printed
) -> None:
    path = tmp_path / "rows.parquet"
    answer(capsys, "export", "--format", "trl-kto", "--out", str(path), "-p",
           str(shop.project.folder))  # fmt: skip
    # With the seed of the first project, what it learned from would all be learned from again.
    tables: dict[str, dict[str, object]] = {**TABLES, "split": {"seed": 1}}
    other = Upwell(open_project(create_project(tmp_path / "other", "other", tables)))
    place = ("-p", str(other.project.folder))
    for accepted in (parquet.read_table(path).num_rows, 0):
        said = answer(capsys, "import", str(path), "--format", "trl", "--consent", "train", *place)
        assert (said["accepted"], said["bad"]) == (accepted, 0)
    loop.turn(other.project, now=datetime.now(UTC))
    whole = learned(shop)
    part = learned(other)
    assert set(part) <= set(whole)
    assert len(part) > 0.6 * len(whole)


def test_who_no_longer_allows_it_is_withheld(shop: Upwell, tmp_path: Path, capsys: Printed) -> None:
    place = ("-p", str(shop.project.folder))

    def exported(name: str) -> dict[str, Any]:
        out = str(tmp_path / name)
        return answer(capsys, "export", "--format", "trl-kto", "--out", out, *place)

    first = exported("a.jsonl")
    assert first["withheld"] == 0
    shop.consent(USERS[:3], (), since=NOW)
    second = exported("b.jsonl")
    assert second["snapshot"] == first["snapshot"]
    assert second["rows"] + second["withheld"] == first["rows"]
    assert second["withheld"] > 10
    purge(shop.project, "source", "bot", "fraud", NOW)
    third = exported("c.jsonl")
    assert third["withheld"] > second["withheld"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), "cli.export_one"),
        (("--user", "ann", "--format", "trl-kto"), "cli.export_one"),
        (("--format", "trl-kto"), "cli.export_where"),
        (("--model", "x"), "cli.export_where"),
        (("--format", "trl-koto", "--out", "new"), "cli.export_format"),
        (("--format", "trl-kto", "--out", "old"), "cli.export_exists"),
        (("--format", "trl-kto", "--out", "new", "--snapshot", "0" * 64), "snapshot.missing"),
        (("--format", "trl-kto", "--out", "new"), "export.no_snapshot"),
        (("--model", "x", "--out", "new"), "cli.no_version"),
    ],
)
def test_what_cannot_be_exported_is_said(
    tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...], code: str,
) -> None:  # fmt: skip
    create_project(tmp_path / "shop", "shop", TABLES)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").touch()
    said = answer(capsys, "export", *arguments, "-p", str(tmp_path / "shop"), code=2)
    assert said["error"]["code"] == code
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("task", ["recommend", "rating", "tabular", "tagging"])
def test_rows_that_are_no_texts_stay(tmp_path: Path, capsys: Printed, task: str) -> None:
    project = open_project(create_project(tmp_path / "p", "p", {"project": {"task": task}}))
    snapshot = project.snapshots.write(nothing(), task, NOW, 0).id
    arguments = ("--format", "trl-kto", "--out", str(tmp_path / "x"), "--snapshot", snapshot)
    said = answer(capsys, "export", *arguments, "-p", str(project.folder), code=2)
    assert said["error"]["code"] == "export.no_text"


def nothing() -> dict[str, pa.Table]:
    empty = schema(Example).empty_table()
    items = pa.table({"item": pa.array([], pa.string()), "text": pa.array([], pa.string())})
    return {"train": empty, "validation": empty, "test": empty, "items": items}


def test_texts_of_classes_may_go(tmp_path: Path) -> None:
    project = open_project(
        create_project(tmp_path / "p", "p", {"project": {"task": "text_classification"}})
    )
    snapshot = project.snapshots.write(nothing(), "text_classification", NOW, 0).id
    found = exporting.handed(project, snapshot, NOW)
    with pytest.raises(StageError) as refused:
        exporting.told(found, "trl-sft")
    assert refused.value.code == "export.nothing"

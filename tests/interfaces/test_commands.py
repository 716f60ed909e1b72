"""Each command on a real project: what it prints, what ``--json`` holds, what it changes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

from upwell.interfaces.cli.commands import import_
from upwell.interfaces.cli.main import run
from upwell.store.project import Project, open_project

Printed = pytest.CaptureFixture[str]


def answer(printed: Printed, *arguments: str, code: int = 0) -> dict[str, object]:
    """The one JSON document that a command prints."""
    assert run([*arguments, "--json"]) == code
    found: dict[str, object] = json.loads(printed.readouterr().out)
    return found


def test_init_makes_a_project_that_opens(tmp_path: Path, capsys: Printed) -> None:
    told = answer(capsys, "init", str(tmp_path / "shop"))
    assert told["name"] == "shop"
    assert open_project(tmp_path / "shop").settings.project.name == "shop"


def test_init_says_what_to_do_first(tmp_path: Path, capsys: Printed) -> None:
    for task, first in (("recommend", "import FILE"), ("tagging", "labels.csv"), ("chat", "serve")):
        assert run(["init", str(tmp_path / task), "--task", task]) == 0
        assert first in capsys.readouterr().out.replace("\n", " ")


def test_init_never_overwrites(tmp_path: Path, capsys: Printed) -> None:
    answer(capsys, "init", str(tmp_path / "shop"))
    told = answer(capsys, "init", str(tmp_path / "shop"), code=2)
    error = told["error"]
    assert isinstance(error, dict)
    assert error["code"] == "project.exists"


def test_models_lists_every_version(held: Project, capsys: Printed) -> None:
    told = answer(capsys, "models", "-p", str(held.folder))
    assert told["champion"] == "recommend-1"
    assert [one["id"] for one in rows(told["versions"])] == [f"recommend-{n}" for n in range(3)]


def test_a_model_tells_its_reports_decisions_and_history(held: Project, capsys: Printed) -> None:
    told = answer(capsys, "models", "recommend-1", "-p", str(held.folder))
    assert [one["champion"] for one in rows(told["reports"])] == ["recommend-0"]
    assert [one["act"] for one in rows(told["decisions"])] == ["promote"]
    assert len(rows(told["served"])) == 1


def test_promote_and_rollback_move_what_serves(held: Project, capsys: Printed) -> None:
    place = ("-p", str(held.folder))
    answer(capsys, "promote", "recommend-2", *place)
    assert answer(capsys, "models", *place)["champion"] == "recommend-2"
    answer(capsys, "rollback", *place)
    assert answer(capsys, "models", *place)["champion"] == "recommend-1"


def test_report_writes_both_pages(held: Project, capsys: Printed) -> None:
    told = answer(capsys, "report", "-p", str(held.folder))
    pages = told["pages"]
    assert isinstance(pages, dict)
    assert all(Path(page).is_file() for page in pages.values())
    assert run(["report", "-p", str(held.folder), "--lang", "zh"]) == 0
    assert "report.zh.html" in capsys.readouterr().out


def test_status_of_a_new_project_says_what_comes_next(tmp_path: Path, capsys: Printed) -> None:
    answer(capsys, "init", str(tmp_path))
    assert answer(capsys, "status", "-p", str(tmp_path))["champion"] is None
    assert run(["status", "-p", str(tmp_path)]) == 0
    assert "upwell import" in capsys.readouterr().out


@pytest.fixture
def clicks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source of three rows: one good, the same again, one whose time is no time."""
    good = {"id": "1", "source": "web", "user": "u", "kind": "click", "item": "i"}
    listed = [
        {**good, "at": "2026-01-01T00:00:00Z"},
        {**good, "at": "2026-01-01T00:00:00Z"},
        {**good, "id": "2", "at": "yesterday"},
    ]

    def read(location: str, mapping: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
        yield from pa.Table.from_pylist(listed).to_batches()

    monkeypatch.setattr(import_, "plugin", lambda kind, name: SimpleNamespace(read=read))


@pytest.mark.usefixtures("clicks")
def test_import_accounts_for_every_row(tmp_path: Path, capsys: Printed) -> None:
    answer(capsys, "init", str(tmp_path))
    told = answer(capsys, "import", "x", "--format", "made-up", "-p", str(tmp_path))
    counts = [told[name] for name in ("rows", "accepted", "duplicates", "bad", "dry_run")]
    assert counts == [3, 1, 1, 1, False]
    assert [(one["field"], one["rows"]) for one in rows(told["bad_rows"])] == [("at", 1)]
    assert open_project(tmp_path).journal.counts()["events"] == 1


@pytest.mark.usefixtures("clicks")
def test_a_dry_run_needs_no_project_and_keeps_nothing(
    tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = answer(capsys, "import", "x", "--format", "made-up", "--dry-run")
    assert [told["rows"], told["accepted"], told["dry_run"]] == [3, 1, True]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("lang", "said"), [("en", "Nothing was done"), ("zh", "没有执行")])
@pytest.mark.usefixtures("clicks")
def test_an_import_with_a_mistyped_purpose_takes_nothing_in(
    tmp_path: Path, capsys: Printed, lang: str, said: str
) -> None:
    answer(capsys, "init", str(tmp_path))
    told = ("--format", "made-up", "--consent", "serve,learn", "--lang", lang)
    assert run(["import", "x", *told, "-p", str(tmp_path)]) == 2
    shown = capsys.readouterr().err.replace("\n", " ")
    assert "[cli.usage]" in shown
    assert all(word in shown for word in ("learn", "serve, analyse, train", said))
    assert not any(open_project(tmp_path).journal.counts().values())


def test_an_import_says_in_chinese_what_is_wrong_with_a_row(
    tmp_path: Path, capsys: Printed
) -> None:
    answer(capsys, "init", str(tmp_path), "--task", "chat")
    file, told = tmp_path / "x.jsonl", [{"role": "user", "content": "hi"}]
    told += [{"role": "assistant", "content": "hello"}]
    file.write_text(json.dumps({"messages": told}) + "\nbroken\n", encoding="utf-8")
    named = ("--format", "openai_jsonl", "--lang", "zh", "-p", str(tmp_path))
    assert run(["import", str(file), *named]) == 0
    shown = capsys.readouterr().out
    assert "该行不是 JSON 对象" in shown
    assert "The line" not in shown


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["import", "x.unheard-of"], "cli.no_format"),
        (["import", "x", "--format", "csv", "--map", "user"], "cli.bad_map"),
        (["import", "x", "--format", "csv", "--map", "who=uid"], "cli.bad_map"),
        (["turn", "--as-of", "yesterday"], "cli.bad_time"),
        (["turn", "--as-of", "2026-01-01T00:00:00"], "cli.bad_time"),
        (["promote", "recommend-7"], "cli.no_version"),
        (["models", "recommend-7"], "cli.no_version"),
        (["list", "stages"], "cli.bad_kind"),
        (["check", "stages"], "cli.bad_kind"),
    ],
)
@pytest.mark.usefixtures("clicks")
def test_bad_input_has_its_code(
    held: Project, capsys: Printed, arguments: list[str], code: str
) -> None:
    told = answer(capsys, *arguments, "-p", str(held.folder), code=2)
    error = told["error"]
    assert isinstance(error, dict)
    assert error["code"] == code


def rows(found: object) -> list[dict[str, object]]:
    assert isinstance(found, list)
    return found

"""What leaves a project as a version: its folder, with a card that says what it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from tests.shop import NOW, USERS, Printed, answer, shop_in
from tests.tiny_task import ANSWER, install

from upwell.interfaces import model_card
from upwell.interfaces.cli.main import run
from upwell.records import Decision, Json, ModelVersion
from upwell.service import Upwell
from upwell.wiring import exporting
from upwell.wiring.judging import WHOLE
from upwell.wiring.purge import purge


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Upwell:
    install(monkeypatch)
    return shop_in(tmp_path / "shop")


def test_a_version_is_a_folder_that_loads_with_a_card(
    shop: Upwell, tmp_path: Path, capsys: Printed
) -> None:
    out, place = tmp_path / "given", ("-p", str(shop.project.folder))
    more = ("--license", "apache-2.0", "--language", "en", "--language", "zh")
    said = answer(capsys, "export", "--model", "tiny_answer-0", "--out", str(out), *more, *place)
    (version,) = shop.project.ledger.versions("tiny_answer")
    assert (said["digest"], said["damaged"], said["tainted"]) == (version.digest, "", False)
    assert ANSWER.load(out).labels == ["fruit", "metal"]
    kept = shop.project.models.verified(version.path, version.digest)
    for path in kept.iterdir():
        assert (out / path.name).read_bytes() == path.read_bytes()
    card = ModelCard.load(out / "README.md")
    head = card.data.to_dict()
    assert (head["license"], head["language"]) == ("apache-2.0", ["en", "zh"])
    assert head["tags"] == ["upwell", "tiny_answer"]
    report = shop.project.ledger.reports("tiny_answer")[0].metrics[0]
    (told,) = head["model-index"][0]["results"][0]["metrics"]
    assert (told["type"], told["value"]) == (report.name, report.value)
    assert told["args"] == {"low": report.value_low, "high": report.value_high, "n": report.n}
    wanted = [version.snapshot, version.digest, "246", "tiny_answer-0 is promoted", "No guarantee"]
    assert not [text for text in wanted if text not in card.content]
    assert answer(capsys, "export", "--model", "tiny_answer-0", "--out", str(out), *place, code=2)


def test_a_card_tells_nothing_that_users_wrote(
    shop: Upwell, tmp_path: Path, capsys: Printed
) -> None:
    for lang in ("en", "zh"):
        out = tmp_path / lang
        answer(capsys, "export", "--model", "tiny_answer-0", "--out", str(out), "--lang", lang,
               "-p", str(shop.project.folder))  # fmt: skip
        card = (out / "README.md").read_text(encoding="utf-8")
        assert 'license: "unknown"' in card
        assert "language" not in card.split("---")[1]
        assert not [word for word in (*ANSWER.words, *USERS, "Perhaps", "shop") if word in card]


def test_a_card_names_no_group_and_no_place(tmp_path: Path) -> None:
    recipe: dict[str, Json] = {"base": str(tmp_path / "secret" / "base-1"), "seed": 3}
    version = ModelVersion("m-1", "chat", NOW, "m-0", "0" * 64, recipe, 3.5, "m-1", "1" * 64)
    reason: dict[str, Json] = {
        "key": "gate.slices.note", "group": "Basel", "metric": "accuracy", "gain": -0.1,
        "low": -0.2, "high": 0.0, "users": 9,
    }  # fmt: skip
    decision = Decision("m-1", "m-1", "chat", NOW, "hold", (reason,))
    origin = model_card.Origin(version, {"train": 7}, None, [decision])
    config = json.dumps({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"})
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    for lang in ("en", "zh"):
        text = model_card.card(origin, exporting.Folder(tmp_path), "", [], lang)
        assert "Basel" not in text
        assert str(tmp_path) not in text
        assert "ε = 3.5" in text
    assert 'library_name: "transformers"\npipeline_tag: "text-generation"' in text
    hub = replace(version, recipe={"base": "org/base-1"}, epsilon=None)
    told = model_card.card(replace(origin, version=hub), exporting.Folder(tmp_path), "", [], "en")
    assert 'base_model: "org/base-1"' in told


@pytest.mark.parametrize(
    ("task", "base", "hub"),
    [
        ("chat", "minilm", "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("chat", "smollm2", "HuggingFaceTB/SmolLM2-135M-Instruct"),
        ("text_classification", "minilm", "sentence-transformers/all-MiniLM-L6-v2"),
    ],
)
def test_a_card_names_what_the_default_bases_are(
    tmp_path: Path, task: str, base: str, hub: str
) -> None:
    version = ModelVersion("m-1", task, NOW, "m-0", "0" * 64, {"base": base}, None, "m-1", "1" * 64)
    told = model_card.Origin(version, {}, None, [])
    card = model_card.card(told, exporting.Folder(tmp_path), "", [], "en")
    assert f'base_model: "{hub}"' in card


def test_a_card_has_the_results_that_were_decided_by(shop: Upwell) -> None:
    """A second report, over the first version, tells how far all versions have come."""
    ledger = shop.project.ledger
    (version,) = ledger.versions("tiny_answer")
    report = ledger.reports("tiny_answer")[0]
    whole = replace(report, id=f"{report.id}{WHOLE}", challenger=version.id, champion="before")
    ledger.add_report(whole)
    told = model_card.origin_of(shop.project, version).report
    assert told is not None
    assert told.id == report.id


@pytest.mark.parametrize("wrong", ["damaged", "tainted"])
def test_what_should_not_be_given_needs_force_and_says_so(
    shop: Upwell, tmp_path: Path, capsys: Printed, wrong: str
) -> None:
    place, name = ("-p", str(shop.project.folder)), "tiny_answer-0"
    (version,) = shop.project.ledger.versions("tiny_answer")
    if wrong == "tainted":
        purge(shop.project, "user", USERS[1], "fraud", NOW)
    else:
        folder = shop.project.models.verified(version.path, version.digest)
        (folder / "config.json").write_text("{}", encoding="utf-8")
        (folder / "link").symlink_to(tmp_path)
    out = tmp_path / "given"
    said = answer(capsys, "export", "--model", name, "--out", str(out), *place, code=2)
    codes = {"damaged": "model.damaged", "tainted": "export.tainted"}
    assert said["error"]["code"] == codes[wrong]
    assert not out.exists()
    said = answer(capsys, "export", "--model", name, "--out", str(out), "--force", *place)
    assert (bool(said["damaged"]), said["tainted"]) == (wrong == "damaged", wrong == "tainted")
    assert f"**{wrong.title()}: " in (out / "README.md").read_text(encoding="utf-8")
    assert not (out / "link").exists()


def converter(folder: Path, script: str) -> str:
    """A folder for the PATH with a converter that does what ``script`` says."""
    path = folder / "convert-hf-to-gguf"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_a_version_becomes_a_gguf_file_where_the_converter_is_installed(
    shop: Upwell, tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, name = ("-p", str(shop.project.folder)), ("export", "--model", "tiny_answer-0")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    said = answer(capsys, *name, "--out", str(tmp_path / "a"), "--gguf", "f16", *place, code=2)
    assert said["error"]["code"] == "cli.no_gguf_tool"
    assert not (tmp_path / "a").exists()
    monkeypatch.setenv("PATH", converter(tmp_path, 'echo "$5 of $1" > "$3"'))
    out = tmp_path / "b"
    said = answer(capsys, *name, "--out", str(out), "--gguf", "f16", *place)
    assert Path(str(said["gguf"])).read_text() == f"f16 of {out}\n"
    monkeypatch.setenv("PATH", converter(tmp_path, 'mkdir "$1/groups"; echo x > "$3"'))
    assert run([*name, "--out", str(tmp_path / "e"), "--gguf", "f16", *place]) == 0
    assert "adapters of groups of users are not in it" in " ".join(capsys.readouterr().out.split())
    for stray in (("--format", "trl-sft", "--gguf", "f16"), ("--model", "m", "--snapshot", "s")):
        said = answer(capsys, "export", *stray, "--out", str(tmp_path / "d"), *place, code=2)
        assert (said["error"]["code"], stray[2] in str(said)) == ("cli.usage", True)
    monkeypatch.setenv(
        "PATH", converter(tmp_path, 'echo x > "$3"; echo "no such kind" >&2; exit 1')
    )
    said = answer(capsys, *name, "--out", str(tmp_path / "c"), "--gguf", "f16", *place, code=2)
    assert (said["error"]["code"], "no such kind" in str(said)) == ("cli.gguf_failed", True)
    assert (tmp_path / "c" / "README.md").is_file()
    assert not (tmp_path / "c" / "model.gguf").exists()

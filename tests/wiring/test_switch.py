"""Another version serves only whole: what was tampered with is refused, and nothing moves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.tiny_task import install
from tests.wiring.turns import DAY, TASK, labelled, opened, spoiled, taken

from upwell.errors import StoreError
from upwell.service import Upwell
from upwell.store.project import Project
from upwell.wiring.switch import earlier, switch
from upwell.words import LANGUAGES

OLD, NEW = f"{TASK}-0", f"{TASK}-1"
REASON = {"key": "release.by_hand"}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    install(monkeypatch)
    yield
    monkeypatch.undo()


@pytest.fixture
def upwell(tmp_path: Path) -> Upwell:
    """A project in which the second version serves."""
    found = opened(tmp_path)
    for number, steps in enumerate((40, 0)):
        found.capture(labelled(range(200 * number, 200 * number + 200)), now=DAY)
        taken(found.project, spoiled(steps), DAY + timedelta(hours=number))
    switch(found.project, "promote", NEW, REASON, id="by-hand", now=DAY + timedelta(hours=1))
    return found


def champion(project: Project) -> str | None:
    found = project.ledger.champion(TASK)
    return found.id if found else None


def folder(project: Project) -> Path:
    made = project.ledger.version(OLD)
    return project.models.verified(made.path, made.digest)


def test_back_and_forth_is_recorded_and_answers_follow(upwell: Upwell) -> None:
    project = upwell.project
    assert earlier(project) == OLD
    for number, (act, version) in enumerate([("rollback", OLD), ("promote", NEW)]):
        decision = switch(project, act, version, REASON, id=f"d{number}", now=DAY)
        assert (decision.act, decision.model) == (act, version)
        assert upwell.predict("ann", "apple 1", now=DAY)["model"].to_pylist() == [version]
    since = project.ledger.alias_history(TASK)["since"].to_pylist()
    assert since == sorted(since)


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "manifest.json"])
def test_one_changed_byte_is_refused_and_moves_nothing(upwell: Upwell, file: str) -> None:
    path = folder(upwell.project) / file
    whole = path.read_bytes()
    for place in (0, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(StoreError) as refused:
            switch(upwell.project, "rollback", OLD, REASON, id=f"d{place}", now=DAY)
        assert refused.value.code == "model.damaged"
        assert all(file in refused.value.explain(lang)[0] for lang in LANGUAGES)
        assert champion(upwell.project) == NEW
    path.write_bytes(whole)
    switch(upwell.project, "rollback", OLD, REASON, id="mended", now=DAY)
    assert champion(upwell.project) == OLD


def test_a_missing_and_an_added_file_are_refused(upwell: Upwell) -> None:
    added = folder(upwell.project) / "more.py"
    added.write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match=r"model\.damaged"):
        switch(upwell.project, "rollback", OLD, REASON, id="added", now=DAY)
    added.unlink()
    (folder(upwell.project) / "config.json").unlink()
    with pytest.raises(StoreError, match=r"model\.damaged"):
        switch(upwell.project, "rollback", OLD, REASON, id="missing", now=DAY)
    assert champion(upwell.project) == NEW


def test_a_version_that_nobody_knows_is_refused(upwell: Upwell) -> None:
    with pytest.raises(StoreError, match=r"ledger\.no_version"):
        switch(upwell.project, "promote", f"{TASK}-9", REASON, id="unheard", now=DAY)
    assert champion(upwell.project) == NEW

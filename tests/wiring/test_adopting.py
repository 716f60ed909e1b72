"""A base that speaks serves from the first day, and is what must be beaten."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.chatting import MODEL

from upwell import loop
from upwell.errors import PluginError
from upwell.ports import Manner
from upwell.records import PURPOSES, Decision, ModelVersion
from upwell.service import Upwell
from upwell.store.project import Project, create_project, open_project
from upwell.tasks import chat
from upwell.wiring.adopting import BASE, adopt
from upwell.wiring.chat import Spoken

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def project_of(folder: Path, task: str = "chat", **tune: object) -> Project:
    made = create_project(folder, "desk", {"project": {"task": task}, "tune": tune})
    return open_project(made)


@pytest.fixture
def base(tmp_path: Path) -> str:
    (tmp_path / "tiny").mkdir()
    chat.save(MODEL, tmp_path / "tiny")
    return str(tmp_path / "tiny")


def test_the_base_serves_before_anything_was_learned(tmp_path: Path, base: str) -> None:
    project = project_of(tmp_path / "desk", base=base)
    version = adopt(project, NOW)
    assert version is not None
    assert project.ledger.champion("chat") == version
    assert Upwell(project).predict("ann", "hello")["model"][0].as_py() == BASE


def test_the_first_who_talks_talks_to_the_base(tmp_path: Path, base: str) -> None:
    upwell = Upwell(project_of(tmp_path / "desk", base=base))
    spoken = Spoken([{"role": "user", "content": "hello"}], "ann", manner=Manner(max_tokens=2))
    reply = upwell.chat(spoken, now=NOW)
    assert reply.voice.version == BASE
    assert list(reply.pieces())


def test_adopting_again_changes_nothing(tmp_path: Path, base: str) -> None:
    project = project_of(tmp_path / "desk", base=base)
    first = adopt(project, NOW)
    assert adopt(project, NOW + timedelta(days=1)) == first
    assert len(project.ledger.decisions("chat")) == 1


def test_a_kill_between_the_version_and_its_serving_is_made_good(
    tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = project_of(tmp_path / "desk", base=base)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(project.ledger), "decide", killed)
        with pytest.raises(KeyboardInterrupt):
            adopt(project, NOW)
    assert project.ledger.champion("chat") is None
    assert adopt(project, NOW) == project.ledger.champion("chat")


def test_what_serves_already_is_left_alone(tmp_path: Path, base: str) -> None:
    project = project_of(tmp_path / "desk", base=base)
    version = adopt(project, NOW)
    assert version is not None
    other = ModelVersion(
        "mine", "chat", NOW, None, version.snapshot, {}, None, version.path, version.digest
    )
    project.ledger.add_version(other)
    project.ledger.decide(Decision("d", "mine", "chat", NOW, "promote", ()), "mine")
    assert adopt(project, NOW) is None
    assert project.ledger.champion("chat") == other


@pytest.mark.parametrize(("task", "tune"), [("recommend", {}), ("chat", {"base": ""})])
def test_nothing_is_adopted_where_nothing_speaks(
    tmp_path: Path, task: str, tune: dict[str, object]
) -> None:
    project = project_of(tmp_path / "desk", task, **tune)
    assert adopt(project, NOW) is None
    assert project.ledger.versions(task) == []


def test_the_first_who_asks_is_answered_by_the_base(tmp_path: Path, base: str) -> None:
    upwell = Upwell(project_of(tmp_path / "desk", base=base))
    assert upwell.predict("ann", "hello")["model"][0].as_py() == BASE


@pytest.mark.parametrize(
    ("base", "code"), [("/nowhere", "chat.no_base"), ("no such model", "chat.no_model")]
)
def test_who_asks_is_told_why_the_base_cannot_answer(
    tmp_path: Path, base: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    upwell = Upwell(project_of(tmp_path / "desk", base=base))
    with pytest.raises(PluginError) as refused:
        upwell.predict("ann", "hello")
    assert refused.value.code == code


def test_a_base_that_is_not_there_is_told(tmp_path: Path) -> None:
    project = project_of(tmp_path / "desk", base=str(tmp_path / "nowhere"))
    with pytest.raises(PluginError, match=r"chat\.no_base"):
        adopt(project, NOW)


def test_a_turn_is_measured_against_the_base(tmp_path: Path, base: str) -> None:
    project = project_of(tmp_path / "desk", base=base, epochs=1, batch_rows=16)
    upwell = Upwell(project)
    users = [f"user-{number}" for number in range(40)]
    upwell.capture(
        {
            "id": f"c{number}", "user": user, "kind": "correction", "at": NOW,
            "payload": {"input": f"say {number}", "target": "no", "correction": "yes, of course"},
        }
        for number, user in enumerate(users)
    )  # fmt: skip
    upwell.consent(users, PURPOSES, since=NOW - timedelta(days=1))
    decision = loop.turn(project, now=NOW + timedelta(days=1))
    version = project.ledger.version(decision.model)
    assert version.parent == BASE
    assert "gate.first.promote" not in [reason["key"] for reason in decision.reasons]

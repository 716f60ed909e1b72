"""Who speaks under which name, and who does no longer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests import talking
from tests.talking import add

from upwell.errors import StageError
from upwell.interfaces.http.errors import status_of
from upwell.plugins import plugin
from upwell.service import Upwell
from upwell.stages.serve.live import Live
from upwell.store.erasures import Erasures, Reached
from upwell.wiring.chat import Spoken
from upwell.wiring.erasing import finish_begun, forget, settle
from upwell.wiring.voices import Voices


@pytest.fixture
def upwell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Upwell:
    talking.install(monkeypatch)
    found = talking.opened(tmp_path / "shop")
    add(found, "talker-0")
    return found


def asked(upwell: Upwell, name: str) -> str:
    reply = upwell.chat(Spoken([{"role": "user", "content": "hi"}], user="ben", model=name))
    reply.close()
    return reply.voice.version


def names(upwell: Upwell) -> list[str]:
    return [one.name for one in upwell.chats.voices.names()]


def test_a_version_that_learned_from_somebody_who_was_forgotten_answers_to_no_name(
    upwell: Upwell,
) -> None:
    now, project = datetime.now(UTC), upwell.project
    assert asked(upwell, "talker-0") == "talker-0"
    erasure = forget(project, "ann", id="e", now=now)
    Erasures(project.journal).reach([Reached(erasure.id, "talker-0", 3)])
    finish_begun(project, now)
    # Until another serves it has to.
    assert asked(upwell, "shop") == asked(upwell, "talker-0") == "talker-0"
    add(upwell, "talker-1")
    settle(project, now)
    for service in (upwell, Upwell(project)):
        assert asked(service, "shop") == "talker-1"
        assert names(service) == ["shop", "shop@champion", "talker-1"]
        with pytest.raises(StageError) as caught:
            asked(service, "talker-0")
        assert (caught.value.code, status_of(caught.value)) == ("serve.no_model", 404)
        assert not service.chats.voices.knows("talker-0")


def test_it_is_held_no_longer(upwell: Upwell) -> None:
    now, live = datetime.now(UTC), Live(plugin("tasks", talking.TASK))
    voices = Voices(upwell.project, live)
    voices.of("talker-0", "", "", now)
    erasure = forget(upwell.project, "ann", id="e", now=now)
    Erasures(upwell.project.journal).reach([Reached(erasure.id, "talker-0", None)])
    add(upwell, "talker-1")
    assert live.holds("talker-0")
    voices.names()
    assert not live.holds("talker-0")

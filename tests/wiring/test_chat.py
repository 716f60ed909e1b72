"""What a model's template does not take is a fault of what was asked, not of who was to answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests import talking
from tests.talking import AT, TASK, Talker, add

from upwell.errors import StageError
from upwell.interfaces.http.errors import status_of
from upwell.ports import Manner, Pieces
from upwell.service import Upwell
from upwell.store.trials import Trials
from upwell.tasks._chat_template import Template
from upwell.wiring import trials
from upwell.wiring.chat import Spoken

HELLO = {"role": "user", "content": "hi"}
# The rules of Gemma's and Mistral's own templates.
STRICT = Template(
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{{ m.content }}{% endfor %}",
    {},
)


class Strict(Talker):
    """Talks where the template takes the messages."""

    def talk(self, model: Any, messages: Sequence[Mapping[str, str]], manner: Manner) -> Pieces:
        STRICT.render(messages, True)
        yield from Talker.talk(self, model, messages, manner)


@pytest.fixture
def upwell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Upwell:
    monkeypatch.setattr(talking, "Talker", Strict)
    talking.install(monkeypatch)
    found = talking.opened(tmp_path / "shop")
    add(found, "talker-0")
    add(found, "talker-1", promote=False)
    return found


@pytest.mark.parametrize(
    ("messages", "why"),
    [([{"role": "system", "content": "be kind"}, HELLO], "no system"),
     ([HELLO, HELLO], "roles must alternate")],
)  # fmt: skip
def test_messages_that_a_template_refuses_end_no_trial(
    upwell: Upwell, messages: list[dict[str, str]], why: str
) -> None:
    trials.start(upwell.project, "talker-1", AT, id="try", mode="ab", share=0.9)
    for number in range(6):
        with pytest.raises(StageError, match=why) as caught:
            upwell.chat(Spoken(messages, f"u{number}", "shop"))
        assert (caught.value.code, status_of(caught.value)) == ("chat.refused", 400)
    assert Trials(upwell.project.journal).running(TASK) is not None
    voices = {upwell.chat(Spoken([HELLO], f"u{n}", "shop")).voice.version for n in range(20)}
    assert "talker-1" in voices

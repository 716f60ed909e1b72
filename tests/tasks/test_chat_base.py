"""Where a base is looked for, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.chatting import DATA, MODEL

from upwell.errors import PluginError
from upwell.tasks import chat


@pytest.mark.parametrize(
    ("base", "code"),
    [
        ("no such model", "chat.no_model"),
        ("no/such/model", "chat.no_base"),
        ("nowhere.gguf", "chat.no_base"),
        ("/no/where", "chat.no_base"),
        ("./nowhere", "chat.no_base"),
        ("~/nowhere", "chat.no_base"),
        ("~nobody-at-all/x", "chat.no_base"),
    ],
)
def test_a_base_that_is_not_there_is_named(
    base: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(PluginError) as refused:
        chat.start(base, DATA, 0)
    assert (refused.value.code, refused.value.details["base"]) == (code, base)
    what, now, _ = refused.value.explain("en")
    assert base in what
    assert ("Repo id" in what) is (code == "chat.no_model")
    assert now == "Nothing was trained; what serves has not changed.", "nothing may serve"


def test_a_base_may_lie_in_the_home_of_who_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    chat.save(MODEL, tmp_path / "tiny")
    assert chat.start("~/tiny", DATA, 0).parameters()

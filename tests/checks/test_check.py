"""Promises are found, told in words, and tried on any plugin without stopping at the first."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

import upwell.checks
from upwell.checks import check, promises
from upwell.errors import PluginError
from upwell.plugins import KINDS, Kind
from upwell.words import LANGUAGES, catalogue


@pytest.mark.parametrize("kind", KINDS)
def test_every_promise_has_a_sentence_and_every_sentence_a_promise(kind: Kind) -> None:
    wanted = {f"check.{kind}.{promise.__name__}" for promise in promises(kind)}
    for lang in LANGUAGES:
        assert {key for key in catalogue(lang) if key.startswith(f"check.{kind}.")} == wanted


def test_only_public_functions_of_the_module_itself_are_promises() -> None:
    names = [promise.__name__ for promise in promises("tasks")]
    assert names == sorted(names)
    assert not {"require", "schema", "catalogue"} & set(names)


def test_check_goes_on_after_a_plugin_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = ModuleType("empty_plugin")
    monkeypatch.setitem(sys.modules, "empty_plugin", empty)
    monkeypatch.setattr(upwell.checks, "plugin", lambda kind, name: empty)
    results = check("sources", "mine")
    assert len(results) == len(promises("sources"))
    assert not any(result.kept for result in results)
    assert all("AttributeError" in result.found for result in results)
    assert results[0].sentence("en") == "Every batch has the Event schema."


def test_check_tells_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(found: object, folder: Path) -> None:
        raise PluginError("check.broken", found="1 ≠ 2")

    def kept(found: object, folder: Path) -> None:
        assert folder.is_dir()

    monkeypatch.setattr(upwell.checks, "plugin", lambda kind, name: ModuleType("any"))
    monkeypatch.setattr(upwell.checks, "promises", lambda kind: [broken, kept])
    results = check("tasks", "mine")
    assert [(result.kept, result.found) for result in results] == [(False, "1 ≠ 2"), (True, "")]


def test_an_unknown_plugin_is_refused() -> None:
    with pytest.raises(PluginError, match=r"plugin\.unknown"):
        check("tasks", "no-such-task")

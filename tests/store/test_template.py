"""A new project's file: whoever takes the '# ' away changes nothing of what is learned."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from upwell.plugins import locations, plugin
from upwell.ports import Adaptable, Choosing, Talking
from upwell.settings import FILE, Settings, TuneSettings
from upwell.stages.clean.own_scale import own_kinds
from upwell.store.project import create_project

TASKS = list(locations("tasks"))


def text_of(folder: Path, task: str) -> str:
    path = create_project(folder, "shop", {"project": {"task": task}}) / FILE
    return path.read_text(encoding="utf-8")


def shown_in(text: str) -> Settings:
    """The settings with every default that the text shows set to what it shows."""
    return Settings(**tomllib.loads(re.sub(r"^# (?=\w+ = |\[)", "", text, flags=re.MULTILINE)))


def learned_by(task: str, tune: TuneSettings) -> dict[str, object]:
    chosen, toy = plugin("tasks", task), plugin("tasks", task).toy(0)
    if isinstance(chosen, Adaptable):
        tune = chosen.adapt(chosen.start("", toy, 0), toy, tune)
    return tune.model_dump()


@pytest.mark.parametrize("task", TASKS)
def test_defaults_that_are_set_as_shown_train_as_those_that_are_not(
    task: str, tmp_path: Path
) -> None:
    text = text_of(tmp_path, task)
    told = learned_by(task, shown_in(text).tune)
    assert told == learned_by(task, Settings(**tomllib.loads(text)).tune)


@pytest.mark.parametrize("task", TASKS)
def test_ratings_are_read_as_before_where_the_rule_is_set_as_shown(
    task: str, tmp_path: Path
) -> None:
    is_talk = isinstance(plugin("tasks", task), Talking)
    rules = shown_in(text_of(tmp_path, task)).feedback
    assert list(rules) == ["rating"]
    assert list(own_kinds(rules, is_talk)) == list(own_kinds({}, is_talk))


@pytest.mark.parametrize("task", TASKS)
def test_what_the_task_chooses_is_named_without_a_value(task: str, tmp_path: Path) -> None:
    section = text_of(tmp_path, task).split("\n[tune]\n")[1].split("\n\n")[0].splitlines()
    chosen = plugin("tasks", task)
    names = set(chosen.CHOOSES) if isinstance(chosen, Choosing) else set()
    free = {line[3:].split(" ")[0] for line in section if line.endswith("where it is not set")}
    assert free == names
    assert not any(re.match(rf"(# )?{name} = ", line) for name in names for line in section)


def test_what_is_chosen_for_a_project_is_set_all_the_same(tmp_path: Path) -> None:
    tables: Mapping[str, Mapping[str, Any]] = {"project": {"task": "chat"}, "tune": {"epochs": 2}}
    text = (create_project(tmp_path, "shop", tables) / FILE).read_text(encoding="utf-8")
    assert "\nepochs = 2\n" in text
    assert "\n#: beta is chosen by the task where it is not set\n" in text

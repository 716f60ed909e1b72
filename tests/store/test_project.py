from __future__ import annotations

import re
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from upwell.errors import SettingsError, StoreError
from upwell.settings import FeedbackRule, ProjectSettings, Settings, load
from upwell.store.keys import FILE, project_key
from upwell.store.project import create_project, find_project, open_project
from upwell.store.template import template


def test_a_new_project_opens_and_keeps_its_key(tmp_path: Path) -> None:
    folder = create_project(tmp_path / "shop", "shop")
    first = open_project(folder)
    assert first.settings.project.name == "shop"
    assert first.journal.counts()["events"] == 0
    assert first.ledger.champion("recommend") is None
    assert first.lake.watermark() == 0
    first.journal.close()
    second = open_project(folder)
    assert second.key == first.key
    second.journal.close()
    assert (folder / "data").stat().st_mode & 0o777 == 0o700
    assert (folder / "data" / ".gitignore").read_text(encoding="utf-8") == "*\n"


def test_another_key_is_refused(tmp_path: Path) -> None:
    folder = create_project(tmp_path, "shop")
    open_project(folder).journal.close()
    (folder / "data" / "keys" / FILE).write_bytes(bytes(32))
    with pytest.raises(StoreError) as raised:
        open_project(folder)
    assert raised.value.code == "key.changed"


def test_a_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: project_key(tmp_path / "keys"), range(16)))
    assert [len(key) for key in keys] == [32]
    assert [path.name for path in (tmp_path / "keys").iterdir()] == [FILE]
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "keys" / FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / "keys" / FILE).write_bytes(b"short")
    with pytest.raises(StoreError) as raised:
        project_key(tmp_path / "keys")
    assert raised.value.code == "key.damaged"


def test_a_project_is_found_from_within_and_the_demo_from_beside(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    with pytest.raises(SettingsError) as raised:
        find_project(inner)
    assert raised.value.code == "settings.no_project"
    demo = create_project(inner / "upwell-demo", "demo")
    assert find_project(inner) == demo
    own = create_project(tmp_path / "a", "own")
    assert find_project(inner) == own
    assert find_project(demo) == demo


def test_a_project_is_never_overwritten(tmp_path: Path) -> None:
    create_project(tmp_path, "one")
    with pytest.raises(StoreError) as raised:
        create_project(tmp_path, "two")
    assert raised.value.code == "project.exists"
    assert load(tmp_path).project.name == "one"


@pytest.mark.parametrize("name", ["", "Ups & Downs", 'a"b', "x" * 65])
def test_a_bad_name_makes_no_project(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError) as raised:
        create_project(tmp_path, name)
    assert raised.value.code == "settings.bad_value"
    assert list(tmp_path.iterdir()) == []


def test_the_template_says_what_the_settings_are() -> None:
    text = template("shop")
    assert Settings(**tomllib.loads(text)).project.name == "shop"
    shown = re.sub(r"^# (?=\w+ = |\[)", "", text, flags=re.MULTILINE)
    told = tomllib.loads(shown)
    rule = FeedbackRule(reads="rating", good=4.0, bad=2.0)
    assert Settings(**told) == Settings(
        project=ProjectSettings(name="shop"), feedback={"rating": rule}
    )
    for key, field in Settings.model_fields.items():
        names = FeedbackRule.model_fields if key == "feedback" else type(field.default).model_fields
        section = re.split(rf"\n(?:# )?\[{key}", text)[1].split("\n[")[0]
        assert all(re.search(rf"^(# |#: )?{name} ", section, re.MULTILINE) for name in names)

"""Settings from the environment, beside variables of Upwell that are no settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from upwell.errors import SettingsError
from upwell.settings import FILE, load


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / FILE).write_text("[tune]\nepochs = 3\nseed = 7\n", encoding="utf-8")
    return tmp_path


def test_the_environment_wins_over_the_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPWELL_TUNE__EPOCHS", "5")
    monkeypatch.setenv("UPWELL_FEEDBACK__RATING__GOOD", "4.5")
    settings = load(project)
    assert (settings.tune.epochs, settings.tune.seed) == (5, 7)
    assert settings.feedback["rating"].good == 4.5


@pytest.mark.parametrize("name", ["UPWELL_DATA", "UPWELL_PROJECT", "UPWELL_SERVE", "UPWELL_CACHE"])
def test_a_variable_that_names_no_key_is_no_setting(
    project: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "somewhere")
    assert load(project).tune.epochs == 3


def test_an_unknown_key_in_the_environment_is_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPWELL_TUNE__EPOCH", "5")
    with pytest.raises(SettingsError) as caught:
        load(project)
    assert caught.value.details["nearest"] == "epochs"

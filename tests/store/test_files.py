"""Folders that are private and durable."""

from __future__ import annotations

from pathlib import Path

import pytest

from upwell.store import files
from upwell.store.files import private_folder


def test_every_folder_that_is_made_is_listed_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync", synced.append)
    made = private_folder(tmp_path / "shop" / "data")
    assert synced == [tmp_path / "shop", tmp_path]
    assert made.stat().st_mode & 0o777 == 0o700
    private_folder(made)
    assert len(synced) == 2

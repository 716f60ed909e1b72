from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from upwell.errors import StoreError
from upwell.store.models import Models

Save = Callable[[Path], None]


def saver(weights: bytes = b"weights") -> Save:
    def save(folder: Path) -> None:
        (folder / "config.json").write_text("{}", encoding="utf-8")
        (folder / "part").mkdir()
        (folder / "part" / "model.safetensors").write_bytes(weights)

    return save


def test_a_model_is_whole_private_and_verified(tmp_path: Path) -> None:
    models = Models(tmp_path)
    path, digest = models.write("m1", saver())
    folder = models.verified(path, digest)
    assert folder == tmp_path / "m1"
    modes = {inner.is_dir(): inner.stat().st_mode & 0o777 for inner in folder.rglob("*")}
    assert modes == {True: 0o700, False: 0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [inner.name for inner in tmp_path.iterdir()] == ["m1"]


def test_the_same_again_changes_nothing_and_other_content_is_refused(tmp_path: Path) -> None:
    models = Models(tmp_path)
    first = models.write("m1", saver())
    assert models.write("m1", saver()) == first
    with pytest.raises(StoreError) as raised:
        models.write("m1", saver(b"other"))
    assert raised.value.code == "model.exists"
    models.verified(*first)
    second = models.write("m1", saver(b"other"), replace=True)
    assert second[1] != first[1]
    models.verified(*second)


def _remove(folder: Path) -> None:
    (folder / "config.json").unlink()


def _remove_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def _alter(folder: Path) -> None:
    (folder / "part" / "model.safetensors").write_bytes(b"weightz")


def _add(folder: Path) -> None:
    (folder / "evil.bin").write_bytes(b"")


def _link(folder: Path) -> None:
    weights = folder / "part" / "model.safetensors"
    weights.rename(folder.parent / "elsewhere")
    weights.symlink_to(folder.parent / "elsewhere")


def _rewrite_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text('{"files":{}}', encoding="utf-8")


@pytest.mark.parametrize(
    ("harm", "file"),
    [
        (_remove, "config.json"),
        (_remove_manifest, "manifest.json"),
        (_alter, "part/model.safetensors"),
        (_add, "evil.bin"),
        (_link, "part/model.safetensors"),
        (_rewrite_manifest, "manifest.json"),
    ],
)
def test_a_damaged_model_is_refused(tmp_path: Path, harm: Save, file: str) -> None:
    models = Models(tmp_path)
    path, digest = models.write("m1", saver())
    harm(tmp_path / "m1")
    with pytest.raises(StoreError) as raised:
        models.verified(path, digest)
    assert (raised.value.code, raised.value.details["file"]) == ("model.damaged", file)


@pytest.mark.parametrize("path", ["../m1", "", "m2", "/etc", "a/b"])
def test_a_path_leads_nowhere_else(tmp_path: Path, path: str) -> None:
    models = Models(tmp_path / "models")
    _, digest = models.write("m1", saver())
    with pytest.raises(StoreError) as raised:
        models.verified(path, digest)
    assert raised.value.code == "model.damaged"
    if path != "m2":
        with pytest.raises(StoreError) as raised:
            models.write(path, saver())
        assert raised.value.code == "model.bad_id"


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    def full(folder: Path) -> None:
        saver()(folder)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StoreError) as raised:
        Models(tmp_path).write("m1", full)
    assert raised.value.code == "store.disk_full"
    assert list(tmp_path.iterdir()) == []


def test_leftovers_are_swept(tmp_path: Path) -> None:
    saver()(tmp_path)
    (tmp_path / ".tmp-dead").mkdir()
    (tmp_path / ".tmp-file").touch()
    models = Models(tmp_path)
    assert (models.sweep(), models.sweep()) == (2, 0)
    assert (tmp_path / "part").is_dir()

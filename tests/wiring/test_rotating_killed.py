"""A rotation of pseudonyms that is killed between any two of its steps can be finished."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest
from tests.wiring.rotated import KEY, content, rotated, stored, users

from upwell.errors import StoreError
from upwell.stages.protect.pseudonyms import Pseudonyms
from upwell.store.project import open_project
from upwell.wiring.rotating import to_rotate

STEPS = (
    "upwell.wiring.rotating.tidy", "upwell.wiring.rotating.secret",
    "upwell.store.renaming.write_lake", "upwell.store.renaming.write_files",
    "upwell.store.renaming.write_snapshots", "upwell.store.renaming.write_models",
    "upwell.store.renaming.commit",
    "upwell.store.renaming.move_in", "upwell.store.lake.Lake.drop_unlisted",
    "upwell.store.snapshots.Snapshots.adopt", "upwell.store.snapshots.Snapshots._remove",
    "upwell.store.models.Models.adopt",
    "upwell.wiring.rotating.emptied", "upwell.wiring.rotating.put_in_force",
    "upwell.store.veil.sync",
)  # fmt: skip
KILLED = """
import os, signal, sys
from unittest.mock import patch
from upwell.interfaces.cli.main import run
with patch(sys.argv[1], lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)):
    run(["keys", "rotate-pseudonyms", "--json", "-p", sys.argv[2]])
"""


@pytest.mark.parametrize("step", STEPS)
def test_killed_anywhere_it_can_be_finished(
    folder: Path, made: Path, tmp_path: Path, step: str
) -> None:
    told = subprocess.run([sys.executable, "-c", KILLED, step, str(folder)], check=False)
    assert told.returncode == -signal.SIGKILL
    is_begun = (folder / "data" / "keys" / "names.next").exists()
    assert is_begun == (step.rpartition(".")[2] not in ("tidy", "secret", "sync"))
    if is_begun:
        with pytest.raises(StoreError, match=r"key\.rotating"):
            open_project(folder)
    if not step.endswith("sync"):
        assert rotated(folder).resumed == is_begun
    before, after = open_project(copytree(made, tmp_path / "before")), open_project(folder)
    assert content(after, "recommend-0") == content(before, "recommend-0")
    assert dict(to_rotate(after)) == dict(to_rotate(before))
    assert not (folder / "data" / "rotation").exists()
    old = [Pseudonyms(KEY).of(user).encode() for user in users(before)]
    assert not [name for text in stored(folder) for name in old if name in text]

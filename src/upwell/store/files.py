"""Files that are whole or absent: written aside, forced to disk, then renamed into place.

A rename is atomic, so a reader sees the old state or the new one; the folder is forced to disk
too, because a rename that only the page cache knows is lost with the power. Folders are private
(0700) and files too (0600).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from upwell.errors import StoreError

TEMPORARY = ".tmp-"
_BLOCK = 1 << 20
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def private_folder(path: Path) -> Path:
    """Make ``path`` (and its parents) where it is absent, readable by its owner alone.

    What was made is there after a power cut, so that what is forced to disk inside it can be found.
    """
    if not path.is_dir():
        made = [one for one in (path, *path.parents) if not one.exists()]
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o700)
        for one in made:
            sync(one.parent)
    return path


def sync(path: Path) -> None:
    """Force one file's or folder's content to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes in hex; memory stays at one block of a mebibyte."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def staging(parent: Path) -> Iterator[Path]:
    """A temporary folder beside what it will become; it is gone afterwards unless published."""
    with full_disk_told():
        temporary, lock = _locked(private_folder(parent))
    try:
        with full_disk_told():
            yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(lock)


def _locked(parent: Path) -> tuple[Path, int]:
    """A new temporary folder and its lock, which ends with the process at the latest."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=parent))
        # A sweep may come between making and locking: then the folder is gone, and another is made.
        with suppress(FileNotFoundError):
            lock = os.open(path, os.O_RDONLY)
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_SH)
            if path.exists():
                return path, lock
            os.close(lock)


def publish(temporary: Path, final: Path) -> None:
    """Make a finished file or folder visible under its final name, durable from then on."""
    inside = sorted(temporary.rglob("*")) if temporary.is_dir() else []
    for path in (*inside, temporary):
        path.chmod(0o700 if path.is_dir() else 0o600)
        sync(path)
    temporary.replace(final)
    sync(final.parent)


def sweep(folder: Path) -> int:
    """Remove what killed writers left; returns how much. What a living one uses stays."""
    return sum(_swept(path) for path in sorted(folder.glob(f"{TEMPORARY}*")))


def _swept(path: Path) -> bool:
    """Remove one leftover, unless its writer lives and holds its lock."""
    with suppress(FileNotFoundError, BlockingIOError):
        lock = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
            return True
        finally:
            os.close(lock)
    return False


@contextmanager
def full_disk_told() -> Iterator[None]:
    """Turn every way of saying 'no space left' into one StoreError."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise StoreError("store.disk_full") from error
        raise
    except duckdb.Error as error:
        if "No space left" in str(error):
            raise StoreError("store.disk_full") from error
        raise

"""A file system for SQLite whose every change goes past a simulated disk first.

Files are real, so that what is read back is what a page cache would give; nothing is synced in
earnest, and what would survive is the disk's to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
from sqlalchemy.dialects import registry
from typing_extensions import Buffer, override

from bench.soaking.disk import Disk
from bench.soaking.stored import FILES

NAME = "soak"
URL = f"sqlite+apsw:///data/{FILES[0]}?vfs={NAME}"
"""A project's journal on that file system."""
_LOGS = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL

registry.register("sqlite.apsw", "bench.soaking.driver", "Dialect")


@contextmanager
def mounted(disk: Disk) -> Iterator[None]:
    """Databases of ``URL`` are on the disk until the block ends; they must be closed by then."""
    system = _System(disk)
    try:
        yield
    finally:
        system.unregister()


class _System(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__(NAME, "")

    @override
    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return apsw.VFSFile("", None, flags) if name is None else _File(self._disk, name, flags)

    @override
    def xDelete(self, filename: str, syncdir: bool) -> None:
        error = self._disk.met("delete", Path(filename).name)
        if error is not None:
            raise error
        super().xDelete(filename, False)
        self._disk.delete(Path(filename).name, syncdir)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename, flags: list[int]) -> None:
        super().__init__("", name, flags)
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._disk, self._name = disk, Path(path).name
        # As SQLite does on Unix: the first sync of a log that was opened syncs its folder too.
        self._with_folder = bool(flags[0] & _LOGS)
        disk.open(self._name)

    @override
    def xWrite(self, data: Buffer, offset: int) -> None:
        error, whole = self._disk.met("write", self._name), bytes(data)
        arrived = whole if error is None else whole[: len(whole) // 2]
        super().xWrite(arrived, offset)
        self._disk.write(self._name, offset, arrived)
        if error is not None:
            raise error

    @override
    def xTruncate(self, newsize: int) -> None:
        error = self._disk.met("truncate", self._name)
        if error is not None:
            raise error
        super().xTruncate(newsize)
        self._disk.write(self._name, newsize, None)

    @override
    def xSync(self, flags: int) -> None:
        error = self._disk.met("sync", self._name)
        if error is not None:
            self._disk.forget(self._name)
            raise error
        self._disk.sync(self._name, self._with_folder)
        self._with_folder = False

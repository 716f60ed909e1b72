"""A disk with a write cache: what it holds for sure, and what a power cut may leave of the rest.

Bytes are sure when their file was synced after they were written; names when their folder was.
Of the rest a cut keeps any part in any order: a write is lost, whole, or torn into sectors. Bytes
around a write stay as they are, as SQLite presumes of every disk (power-safe overwrite).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Literal, TypeAlias

import numpy as np

SECTOR = 512
TORN = 0.4
"""How many of the kept writes are torn."""
Act: TypeAlias = Literal["write", "truncate", "sync", "delete"]
Trouble: TypeAlias = Callable[[Act, str], Exception | None]
"""Asked before every change of a file: what it runs into, or None."""


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes at a place; with None the file ends there."""

    offset: int
    data: bytes | None

    def onto(self, content: bytearray) -> None:
        """Write them; a gap before them is zeros."""
        end = self.offset + len(self.data or b"")
        content.extend(bytes(max(0, end - len(content))))
        if self.data is None:
            del content[self.offset :]
        else:
            content[self.offset : end] = self.data

    def sectors(self) -> Iterator[Write]:
        """The parts that a disk writes whole or not at all."""
        data, start = self.data or b"", 0
        while start < len(data):
            end = start + SECTOR - (self.offset + start) % SECTOR
            yield Write(self.offset + start, data[start:end])
            start = end


@dataclass(slots=True)
class Content:
    """A file's bytes that are sure, and what was written since."""

    sure: bytearray = field(default_factory=bytearray)
    unsure: list[Write] = field(default_factory=list)

    def sync(self) -> None:
        """All is sure now."""
        for one in self.unsure:
            one.onto(self.sure)
        self.unsure.clear()

    def left(self, chance: np.random.Generator, kept: float) -> bytes:
        """What a cut leaves; each unsure write is kept with probability ``kept``."""
        content = bytearray(self.sure)
        for place in chance.permutation(len(self.unsure)):
            one = self.unsure[place]
            if chance.random() >= kept:
                continue
            if one.data is None or chance.random() >= TORN:
                one.onto(content)
                continue
            for part in one.sectors():
                if chance.random() < 0.5:
                    part.onto(content)
        return bytes(content)


def calm(_: Act, __: str) -> None:
    """No trouble."""


class Disk:
    """The files of one folder that were opened through it, by name; safe among threads."""

    def __init__(self, folder: Path, names: tuple[str, ...], trouble: Trouble = calm) -> None:
        """Begin with those of ``names`` that the folder has."""
        found = [folder / name for name in names if (folder / name).exists()]
        self.trouble = trouble
        self.is_off = False
        self._files = {path.name: Content(bytearray(path.read_bytes())) for path in found}
        self._sure = dict(self._files)
        self._lock = Lock()

    def met(self, act: Act, name: str) -> Exception | None:
        """What a change that is about to be made runs into."""
        with self._lock:
            return self.trouble(act, name)

    def open(self, name: str) -> None:
        """The file is made where it is absent; its name is not sure yet."""
        with self._lock:
            if not self.is_off:
                self._files.setdefault(name, Content())

    def write(self, name: str, offset: int, data: bytes | None) -> None:
        """Bytes that may be in the cache alone; see ``Write``."""
        with self._lock:
            if not self.is_off and name in self._files:
                self._files[name].unsure.append(Write(offset, data))

    def sync(self, name: str, with_folder: bool) -> None:
        """The file is sure, and so is what the folder lists ``with_folder``."""
        with self._lock:
            if self.is_off:
                return
            if name in self._files:
                self._files[name].sync()
            if with_folder:
                self._sure = dict(self._files)

    def forget(self, name: str) -> None:
        """A sync failed: what it should have made sure is lost, and no later one brings it back.

        Linux marks pages clean that it could not write.
        """
        with self._lock:
            if not self.is_off and name in self._files:
                self._files[name].unsure.clear()

    def delete(self, name: str, with_folder: bool) -> None:
        """The file is gone, for sure ``with_folder``."""
        with self._lock:
            if not self.is_off:
                self._files.pop(name, None)
                if with_folder:
                    self._sure = dict(self._files)

    def left(self, chance: np.random.Generator, kept: float) -> dict[str, bytes]:
        """The files after a cut now; a name that is not sure is there or not."""
        names = self._files if chance.random() < kept else self._sure
        return {name: content.left(chance, kept) for name, content in sorted(names.items())}

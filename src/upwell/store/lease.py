"""Who has a project open: a lock that all may hold together, or one alone.

It is on an open file, so it ends with its process at the latest, and with whom it was given to.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path

from upwell.errors import StoreError
from upwell.store.files import full_disk_told

FILE = "open.lock"


class Lease:
    """The right to use the project in ``folder``, as long as this object is there.

    Raises StoreError ``key.rotating`` while another has it alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with full_disk_told():
            self._lock = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o600)
        self.release = weakref.finalize(self, os.close, self._lock)
        if not self._taken(fcntl.LOCK_SH):
            self.release()
            raise StoreError("key.rotating", folder=folder)

    def take_alone(self) -> None:
        """Hold it alone from now on. Raises StoreError ``project.in_use`` where others hold it."""
        if not self._taken(fcntl.LOCK_EX):
            self._taken(fcntl.LOCK_SH)
            raise StoreError("project.in_use", folder=self._folder)

    def _taken(self, how: int) -> bool:
        try:
            fcntl.flock(self._lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

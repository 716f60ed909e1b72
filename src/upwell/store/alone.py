"""One turn at a time: a lock that the operating system holds, and lets go with the process.

The lock is on an open file, so a process that was killed holds none, and what its file says of it
is history. Two threads of one process exclude each other too. On PostgreSQL the database holds a
second lock for the machines that share it; a lost connection lets go of that one early.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from zlib import crc32

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from upwell.errors import StoreError
from upwell.store.database import told
from upwell.store.files import full_disk_told, private_folder

FILE = "turn.lock"
_TURNS = 709_486
"""Names the lock among PostgreSQL's advisory locks; any number that no other program uses."""


@contextmanager
def alone(folder: Path, engine: Engine, task: str, now: datetime) -> Iterator[None]:
    """Hold the lock of the turns in ``folder`` (and of ``task`` in a shared database).

    Raises StoreError ``turn.running`` with the holder's process and since when, or
    ``turn.running_elsewhere`` where another machine holds it.
    """
    with full_disk_told():
        private_folder(folder)
        lock = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError("turn.running", **_holder(lock)) from None
        holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": now.isoformat()}
        os.ftruncate(lock, 0)
        os.pwrite(lock, json.dumps(holder).encode(), 0)
        with _in_database(engine, task):
            yield
    finally:
        os.close(lock)


def _holder(lock: int) -> dict[str, object]:
    """Who holds the lock, as far as the file can tell."""
    try:
        found = dict(json.loads(os.pread(lock, 4096, 0)))
    except ValueError:
        found = {}
    return {name: found.get(name, "?") for name in ("pid", "host", "since")}


@contextmanager
def _in_database(engine: Engine, task: str) -> Iterator[None]:
    if engine.dialect.name != "postgresql":
        yield
        return
    key = (_TURNS, crc32(task.encode()) & 0x7FFFFFFF)
    with told(), engine.connect() as connection:
        taken = connection.exec_driver_sql("SELECT pg_try_advisory_lock(%s, %s)", key)
        if not taken.scalar_one():
            raise StoreError("turn.running_elsewhere", task=task)
        connection.commit()
        try:
            yield
        finally:
            # A connection that was lost has let go already, and what was done inside stands.
            with suppress(DBAPIError):
                connection.exec_driver_sql("SELECT pg_advisory_unlock(%s, %s)", key).close()
                connection.commit()

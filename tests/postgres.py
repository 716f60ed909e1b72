"""A PostgreSQL server of one's own: in a temporary folder, on a socket in it, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import URL, delete

from upwell.store import schema as sql
from upwell.store.files import staging, sweep
from upwell.store.journal import Journal

NO_SERVER = "there is no PostgreSQL server here to run; `make postgres` installs one"
JOURNAL = "journal"
# Deleting few rows is far quicker than new tables or a new database.
_EMPTY = "; ".join(
    [
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        *(str(delete(table)) for table in reversed(sql.metadata.sorted_tables)),
        "SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'",
    ]
)
_PLACES = "lib/postgresql/*/bin/postgres"
_SETTINGS = ("listen_addresses=", "shared_buffers=16MB", "max_connections=60", "lc_messages=C",
             "wal_level=minimal", "max_wal_senders=0")  # fmt: skip
_SECONDS = 60
_ROOM = 1 << 30


def programs() -> Path | None:
    """The folder of ``postgres`` and ``initdb``; None where there is none, or nobody to run it."""
    on_path = shutil.which("postgres")
    found = [Path(on_path).resolve()] if on_path else sorted(Path("/usr").glob(_PLACES))[::-1]
    named = [path.parent for path in found if (path.parent / "initdb").exists()]
    return named[0] if named and (os.getuid() or _owner()) else None


def _owner() -> pwd.struct_passwd | None:
    """Who runs the server where this is root, whom PostgreSQL refuses."""
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    others = [known[name] for name in ("postgres", "nobody") if name in known]
    return others[0] if others and os.getuid() == 0 else None


@dataclass(slots=True)
class Server:
    """One server, its data and its socket in ``folder``."""

    programs: Path
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    made: int = 0

    def url(self, database: str) -> str:
        """The address of a database, as ``[data] journal`` takes it."""
        where = {"host": str(self.folder)}
        url = URL.create("postgresql+psycopg", "upwell", database=database, query=where)
        return url.render_as_string(hide_password=False)

    def emptied(self) -> str:
        """The address of a database with the journal's tables, all of them empty."""
        self.ask(_EMPTY, JOURNAL)
        return self.url(JOURNAL)

    def fresh(self) -> str:
        """The address of a new database that holds nothing."""
        self.made += 1
        self.ask(f"CREATE DATABASE made_{self.made}")
        return self.url(f"made_{self.made}")

    def ask(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """The rows that a statement gives."""
        where = f"host={self.folder} user=upwell dbname={database}"
        with psycopg.connect(where, autocommit=True) as connection:
            done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []

    def make(self) -> None:
        """Lay out the data."""
        asked = ("-D", str(self.folder / "data"), "-U", "upwell", "-A", "trust", "-E", "UTF8",
                 "--locale=C", "--no-sync")  # fmt: skip
        assert self._run("initdb", asked).wait(_SECONDS) == 0, self.log()

    def start(self, *settings: str) -> None:
        """Begin to serve, and wait until it does."""
        chosen = [part for setting in (*_SETTINGS, *settings) for part in ("-c", setting)]
        asked = ("-D", str(self.folder / "data"), "-k", str(self.folder), *chosen)
        until = time.monotonic() + _SECONDS
        self.process = self._run("postgres", asked)
        while not self._answers():
            assert time.monotonic() < until, self.log()
            if self.process.poll() is not None:
                # The processes of a server that was killed take a moment to notice.
                self.process = self._run("postgres", asked)
            time.sleep(0.05)

    def kill(self) -> None:
        """End it without a warning."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it and all of its processes, whose data nobody needs again."""
        self._end(signal.SIGQUIT)

    def log(self) -> str:
        """What its programs said."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def _end(self, sign: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(sign)
            self.process.wait(_SECONDS)
            self.process = None

    def _answers(self) -> bool:
        try:
            return bool(self.ask("SELECT 1"))
        except psycopg.OperationalError:
            return False

    def _run(self, program: str, asked: Sequence[str]) -> subprocess.Popen[bytes]:
        """One of its programs, in the name of somebody who is not root."""
        owner = _owner()
        # Where the system can see to it, nothing goes on when the tests were killed.
        bound = [path, "--pdeathsig", "QUIT"] if (path := shutil.which("setpriv")) else []
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [*bound, str(self.programs / program), *asked],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                start_new_session=True, user=owner and owner.pw_uid, group=owner and owner.pw_gid,
                extra_groups=None if owner is None else [],
            )  # fmt: skip


def _home() -> Path:
    """Where servers have their folders: memory that looks like a disk, where there is enough."""
    memory = Path("/dev", "shm")
    is_roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > _ROOM
    home = (memory if is_roomy else Path(tempfile.gettempdir())) / f"upwell-tests-{os.getuid()}"
    home.mkdir(exist_ok=True)
    # The server's own user must find the way.
    home.chmod(0o755)
    return home


@contextmanager
def serving(found: Path) -> Iterator[Server]:
    """A new server of these programs; nothing of it is left afterwards, nor of killed ones."""
    home = _home()
    sweep(home)
    with staging(home) as folder:
        owner = _owner()
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        server = Server(found, folder)
        server.make()
        server.start()
        try:
            server.ask(f"CREATE DATABASE {JOURNAL}")
            Journal.open(server.url(JOURNAL), folder).close()
            yield server
        finally:
            server.stop()

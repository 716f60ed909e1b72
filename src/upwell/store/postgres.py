"""PostgreSQL: how it is reached, and what a server must promise before it is trusted.

A commit that returned is on disk, whatever the defaults of the server, the database or the role
are: a server that does not force its log to disk is refused, and each writer asks for a
synchronous commit of its own transaction.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL, ColumnElement, Connection, case, func, select

from upwell.errors import StoreError

DRIVER = "postgresql+psycopg"
NAMES = (DRIVER, "postgresql", "postgres")
_WRITERS, _IN_TURN = 7_094_861, 7_094_862
"""Advisory locks; any numbers that no other program uses."""
_PATIENCE, _SILENCE = "30s", "60s"
"""How long a lock is waited for, and how long its holder may say nothing: a machine that lost its
power, or its network, must not hold up all others."""
_ASKED = {
    "application_name": "upwell",
    "client_encoding": "utf8",
    "connect_timeout": "5",
    # A server that went away without a word is given up after 20 seconds, not after two hours.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "2",
    "tcp_user_timeout": "20000",
    # Of several hosts the one that takes writes.
    "target_session_attrs": "read-write",
}
_PROMISES = """
SELECT current_setting('fsync'), set_config('synchronous_commit', 'on', true),
       current_setting('server_encoding')
"""


def location(url: URL) -> URL:
    """The URL with our driver, and what we ask of a connection where the URL does not say.

    >>> from sqlalchemy import make_url
    >>> location(make_url("postgres://db/shop?connect_timeout=9")).query["connect_timeout"]
    '9'
    """
    return url.set(drivername=DRIVER, query={**_ASKED, **url.query})


def prepare(connection: Any, _: object) -> None:
    """Refuse a server that could lose what it has confirmed, or that cannot hold every text.

    Raises StoreError ``store.not_durable`` or ``store.not_utf8``.
    """
    try:
        with connection.cursor() as cursor:
            fsync, commit, encoding = cursor.execute(_PROMISES).fetchone()
        connection.rollback()
        for setting, value in (("fsync", fsync), ("synchronous_commit", commit)):
            if value != "on":
                raise StoreError("store.not_durable", setting=setting, value=value)
        if encoding != "UTF8":
            raise StoreError("store.not_utf8", encoding=encoding)
    except Exception:
        connection.close()
        raise


def begin(connection: Connection) -> None:
    """Begin to write: wait for the writers' lock, at most 30 seconds; the end gives it back."""
    commit = func.current_setting("synchronous_commit")
    # Where a standby must have applied a commit too, that is more than "on".
    durable = case((commit == "remote_apply", commit), else_="on")
    _hold(connection, _WRITERS, func.set_config("synchronous_commit", durable, True))


def take_turns(connection: Connection) -> None:
    """Wait for another lock likewise: that of ``database.in_turn``."""
    _hold(connection, _IN_TURN)


def _hold(connection: Connection, lock: int, *more: ColumnElement[str]) -> None:
    settings = {"lock_timeout": _PATIENCE, "idle_in_transaction_session_timeout": _SILENCE}
    bounds = [func.set_config(name, value, True) for name, value in settings.items()]
    connection.execute(select(*more, *bounds, func.pg_advisory_xact_lock(lock)))

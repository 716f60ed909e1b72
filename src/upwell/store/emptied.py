"""What was deleted from a database leaves its files too."""

from __future__ import annotations

from sqlalchemy import Engine

from upwell.store.database import told


def emptied(engine: Engine) -> None:
    """Let the database's files hold no byte of rows that were deleted.

    SQLite is written anew and its log cut off. PostgreSQL clears its tables; its write-ahead log,
    its replicas and backups keep what was deleted as long as they are set to.
    """
    alone = engine.execution_options(isolation_level="AUTOCOMMIT")
    with told(), alone.connect() as connection:
        connection.exec_driver_sql("VACUUM").close()
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").close()

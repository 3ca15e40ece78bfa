"""A real PostgreSQL, from the package ``pgserver``, in a temporary directory and on a socket there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

__all__ = ["PostgresServer", "writing"]

_SQLITE_SAYS = (
    (r"\bBLOB\b", "BYTEA"),
    (r"\bDATETIME\b", "TIMESTAMPTZ"),
    (r"\(datetime\('now', 'subsec'\)\)", "''"),
    (r"(BOOLEAN[A-Z ]*) DEFAULT 0", r"\1 DEFAULT FALSE"),
)


class PostgresServer:
    """A server, running until ``close``. Its superuser is ``postgres``, without a password; ``locked`` has the password
    ``secret``."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="wr-pg-", dir="/tmp"))
        # pgserver looks for it when it is imported, and makes a lock there.
        os.environ.setdefault("XDG_RUNTIME_DIR", str(self.directory))
        import pgserver

        self._pgserver = pgserver
        self._server = pgserver.get_server(self.directory / "data", cleanup_mode="delete")
        self._numbers = count()
        self.execute("ALTER SYSTEM SET fsync = off")
        self.execute("ALTER SYSTEM SET autovacuum = off")  # its commits would be noticed too
        self.execute("CREATE ROLE locked LOGIN PASSWORD 'secret'")
        hba = self.directory / "data" / "pg_hba.conf"
        hba.write_text("local all locked scram-sha-256\n" + hba.read_text())
        self.execute("SELECT pg_reload_conf()")

    @property
    def socket_directory(self) -> Path:
        """Where its socket is."""
        return self.directory / "data"

    def url(self, database: str = "postgres", *, user: str = "postgres", password: str = "") -> str:
        """A URL of that database."""
        return f"postgresql://{user}{':' if password else ''}{password}@/{database}?host={self.socket_directory}"

    def new_database(self) -> str:
        """The name of an empty database."""
        name = f"host_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def execute(self, sql: str, database: str = "postgres") -> list[Any]:
        """One statement of the superuser's, in a transaction of its own; its rows."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        """Stop it, as its operator does; connections are ended."""
        self._control("stop", "-m", "fast")

    def start(self) -> None:
        """Start it again, with the same data."""
        self._control("-o", f'-h "" -k {self.socket_directory}', "-l", str(self.socket_directory / "log"), "start")

    def _control(self, *arguments: str) -> None:
        self._pgserver.pg_ctl(["-w", *arguments], pgdata=self._server.pgdata, user=self._server.system_user)

    def close(self) -> None:
        """Stop it, and remove its files."""
        # pgserver knows only the process that it has started itself.
        with suppress(subprocess.CalledProcessError):
            self.stop()
        self._server.cleanup()
        shutil.rmtree(self.directory, ignore_errors=True)


class _Writer:
    """sqlite3's way to write, over psycopg."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        return self._connection.execute(_translated(sql), parameters or None)

    def executemany(self, sql: str, many: Sequence[Sequence[Any]]) -> None:
        self._connection.cursor().executemany(_translated(sql), many)

    def executescript(self, sql: str) -> None:
        self._connection.execute(_translated(sql))


@contextmanager
def writing(url: str) -> Iterator[_Writer]:
    """A connection that commits at the end and is closed."""
    with psycopg.connect(url) as connection:
        yield _Writer(connection)


def _translated(sql: str) -> Any:
    sql = sql.replace("?", "%s")
    for sqlite, postgres in _SQLITE_SAYS:
        sql = re.sub(sqlite, postgres, sql)
    return sql

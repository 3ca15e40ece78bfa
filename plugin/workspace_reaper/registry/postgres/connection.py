"""Which server and database a URL names, and a connection to it: read-only, and bounded in time on every side."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workspace_reaper.model.errors import ConfigurationError

if TYPE_CHECKING:
    from psycopg import Connection

_APPLICATION = "workspace-reaper"
_FORM = "write postgresql://user@host:5432/database"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Seconds. ``lock`` and ``statement`` bind the server; ``connect`` is for each of the host's addresses; ``whole`` binds
    us, where a server, or the way to it, stands still."""

    lock: float = 1.0
    statement: float = 3.0
    connect: int = 3
    whole: float = 10.0


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A database on a server. ``parameters`` are libpq's, as the URL has them; ``location`` is a URL for display, without
    user and password."""

    parameters: Mapping[str, str] = field(repr=False)
    location: str

    def connect(self, limits: ConnectionLimits) -> Connection:
        """A connection whose transactions are read-only, and see one moment. Raises psycopg's errors."""
        import psycopg

        options = (
            "-c default_transaction_read_only=on",
            "-c row_security=off",  # rows that a policy hides are an error, and not gone
            f"-c statement_timeout={limits.statement * 1000:.0f}",
            f"-c lock_timeout={limits.lock * 1000:.0f}",
            f"-c idle_in_transaction_session_timeout={limits.whole * 1000:.0f}",
        )
        given = self.parameters.get("options", "")
        bounds = {
            "application_name": _APPLICATION,
            "client_encoding": "utf8",
            "connect_timeout": limits.connect,
            "keepalives": 1,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": int(limits.whole * 1000),
            "options": " ".join([given, *options]).strip(),
        }
        # prepare_threshold None: a prepared statement would not survive a pooler between us and the server.
        connection = psycopg.connect(**{**self.parameters, **bounds}, prepare_threshold=None)  # type: ignore[arg-type]
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        return connection

    def without_password(self, text: str) -> str:
        """The text, should somebody have quoted a password in it."""
        for name, value in self.parameters.items():
            if "password" in name and value:
                text = text.replace(value, "***")
        return text


class Lifeline:
    """Ends a conversation with a server that stands still: a statement limit is kept by the server alone, and keepalives are
    answered by its kernel. Of one connection, for any thread."""

    def __init__(self, descriptor: int, seconds: float) -> None:
        # Of its own, so that it never meets a descriptor that was closed and given out again.
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._seconds = seconds
        self._timer: threading.Timer | None = None
        self.is_cut = False
        self.hold()

    def hold(self) -> None:
        """From now on it has these seconds, until ``let_go``."""
        self.let_go()
        self._timer = threading.Timer(self._seconds, self.cut)
        self._timer.daemon = True
        self._timer.start()

    def let_go(self) -> None:
        """It is not waited for any more."""
        if self._timer is not None:
            self._timer.cancel()

    def cut(self) -> None:
        """End the connection at once: a waiting query gets an error."""
        self.is_cut = True
        with suppress(OSError):  # it has ended
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def close(self) -> None:
        """The connection is closed."""
        self.let_go()
        self._socket.close()


def server_of(database_url: str) -> ServerAddress:
    """What ``database_url`` names. ``ConfigurationError``, which never repeats the URL, if psycopg is not there or it can't be
    read as libpq reads it."""
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:  # also where psycopg is there and finds no libpq
        raise ConfigurationError(
            "database_url: a PostgreSQL database needs psycopg: pip install 'workspace-reaper[postgres]'"
        ) from error
    _, _, rest = database_url.partition("://")
    try:
        parameters = {name: str(value) for name, value in conninfo_to_dict(f"postgresql://{rest}").items()}
    except psycopg.Error:
        raise ConfigurationError(f"database_url: is no PostgreSQL URL that libpq can read: {_FORM}") from None
    return ServerAddress(parameters, _location(parameters))


def _location(parameters: Mapping[str, str]) -> str:
    """As libpq completes it from its environment, of which a person may not think."""
    from psycopg import pq

    defaults = {one.keyword.decode(): one.val.decode() for one in pq.Conninfo.get_defaults() if one.val is not None}
    known = {**defaults, **parameters}
    host = known.get("host") or known.get("hostaddr") or "localhost"
    port, database = known.get("port", "5432"), known.get("dbname") or known.get("user", "")
    if "/" in host:
        return f"postgresql:///{database}?host={host}&port={port}"
    return f"postgresql://{host}:{port}/{database}"

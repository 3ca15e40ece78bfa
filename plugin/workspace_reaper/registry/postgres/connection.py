"""The server and database that a URL names, and read-only connections to it with time limits."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.registry.location import form_problem
from workspace_reaper.util.passwords import may_contain_password

if TYPE_CHECKING:
    from psycopg import Connection

_APPLICATION = "workspace-reaper"
_FORM = "write postgresql://user@host:5432/database"
_ESCAPES = "In a password write %40 for '@', %3A for ':', %2F for '/', %3F for '?' and %25 for '%', or put it into ~/.pgpass"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Time limits in seconds.

    Attributes:
        lock: The longest wait for a lock. The server enforces it.
        statement: The longest statement. The server enforces it.
        connect: The longest attempt to connect, for each address of the server's host.
        whole: The longest conversation. We enforce it, because a server or a network that hangs enforces nothing.
    """

    lock: float = 1.0
    statement: float = 3.0
    connect: int = 3
    whole: float = 10.0


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A database on a server.

    Attributes:
        parameters: The parameters of libpq in the URL.
        location: A URL for display, without user and password.
    """

    parameters: Mapping[str, str] = field(repr=False)
    location: str

    def connect(self, limits: ConnectionLimits) -> Connection:
        """Connect. Transactions are read-only and see one snapshot. Raises psycopg's errors.

        What else protects is set in each transaction (``protection.protect``): a connection pooler drops options that are sent
        with the connection, or refuses the connection.
        """
        import psycopg

        bounds = {
            "application_name": _APPLICATION,
            "client_encoding": "utf8",
            "connect_timeout": limits.connect,
            "keepalives": 1,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": int(limits.whole * 1000),
        }
        # prepare_threshold None: a prepared statement does not work through a connection pooler.
        connection = psycopg.connect(**{**self.parameters, **bounds}, prepare_threshold=None)  # type: ignore[arg-type]
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        return connection

    def without_password(self, text: str) -> str:
        """Return the text with the password replaced: messages may quote it."""
        for name, value in self.parameters.items():
            if "password" in name and value:
                text = text.replace(value, "***")
        return text


class Lifeline:
    """The time limit of one connection to a server that may hang. For any thread.

    Only the server enforces a statement limit, and its kernel answers keepalives even if the server hangs.
    """

    def __init__(self, descriptor: int, seconds: float) -> None:
        # A duplicate: the original descriptor may be closed and assigned to another file.
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._seconds = seconds
        self._timer: threading.Timer | None = None
        self.is_cut = False
        self.hold()

    def hold(self) -> None:
        """Start the limit. It ends with ``let_go``."""
        self.let_go()
        self._timer = threading.Timer(self._seconds, self.cut)
        self._timer.daemon = True
        self._timer.start()

    def let_go(self) -> None:
        """End the limit."""
        if self._timer is not None:
            self._timer.cancel()

    def cut(self) -> None:
        """End the connection at once: a running query gets an error."""
        self.is_cut = True
        with suppress(OSError):  # it has ended already
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def close(self) -> None:
        """Release the duplicate of a connection that is closed."""
        self.let_go()
        self._socket.close()


def server_of(database_url: str) -> ServerAddress:
    """Return the database that ``database_url`` names.

    Raises:
        ConfigurationError: psycopg is not installed, libpq cannot parse the URL, or a part that is shown may be a password. The
            text does not contain the URL.
    """
    _, _, rest = database_url.partition("://")
    _check_form(rest)
    try:
        import psycopg
        from psycopg.conninfo import conninfo_to_dict
    except ImportError as error:  # also if psycopg is installed and finds no libpq
        raise ConfigurationError(
            "database_url: a PostgreSQL database needs psycopg: pip install 'workspace-reaper[postgres]'"
        ) from error
    try:
        parameters = {name: str(value) for name, value in conninfo_to_dict(f"postgresql://{rest}").items()}
    except psycopg.Error:
        raise ConfigurationError(f"database_url: libpq cannot parse this PostgreSQL URL. {_ESCAPES}; {_FORM}") from None
    if ":" in parameters.get("user", "") and "password" not in parameters:
        # An escaped colon makes the password a part of the user, which the server quotes.
        raise ConfigurationError(f"database_url: the user contains a ':', and there is no password. {_ESCAPES}; {_FORM}")
    return ServerAddress(parameters, _location(parameters))


def _check_form(rest: str) -> None:
    """Refuse a URL of which libpq would take a part of the password for the host, and show it. ``rest`` follows ``://``.

    Raises:
        ConfigurationError: The text contains no part of the URL.
    """
    problem = form_problem(rest)
    if problem is not None:
        raise ConfigurationError(f"database_url: this URL {problem}. {_ESCAPES}; {_FORM}")


def _location(parameters: Mapping[str, str]) -> str:
    """Return the location, completed by libpq from its environment variables.

    Raises:
        ConfigurationError: What would be shown may contain a password.
    """
    from psycopg import pq

    defaults = {one.keyword.decode(): one.val.decode() for one in pq.Conninfo.get_defaults() if one.val is not None}
    known = {**defaults, **parameters}
    host = known.get("host") or known.get("hostaddr") or "localhost"
    port, database = known.get("port", "5432"), known.get("dbname") or known.get("user", "")
    if may_contain_password(host) or may_contain_password(database):
        raise ConfigurationError(
            "database_url: the host or the name of the database contains what may be a password: write '?' before the first "
            f"parameter, and '&' between two. {_ESCAPES}; {_FORM}"
        )
    if "/" in host:
        return f"postgresql:///{database}?host={host}&port={port}"
    return f"postgresql://{host}:{port}/{database}"

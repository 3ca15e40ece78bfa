"""Messages for a PostgreSQL database that cannot be read: what is wrong, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable

from workspace_reaper.registry.postgres.connection import ConnectionLimits, ServerAddress


class ConnectionEnded(Exception):
    """An error for a connection that we have ended. The text contains the reason."""


# Some by texts: psycopg has no code for a refused connection.
_BEFORE_CODES = (
    (
        "row-level security",
        "hides rows from this role: ALTER ROLE … BYPASSRLS, or name a role without policies in database_url",
    ),
    ("hot standby", "is a standby: name the primary in database_url, or start it"),
    (
        "transaction blocks not allowed",
        "is behind a pooler that splits transactions: set pool_mode = transaction or session, or name the server itself in "
        "database_url",
    ),
    ("session is read-only", "is asked for a session that may write: write target_session_attrs=primary in database_url"),
)
_BY_CODE = {
    "42501": "may not be read by this role: GRANT SELECT on the host's tables, and USAGE on their schema, to it",
    "57014": "took longer than {limits.statement:g} s: check the load of the server, and add a missing index",
    "55P03": "is locked, and was so for {limits.lock:g} s: if this lasts, find the transaction that keeps it (pg_locks)",
}
# Names are removed before: those of a host, a role or a database may contain any of these texts.
_NAME = re.compile(r""""[^"]*"|\bhost '[^']*'""")
_BY_TEXT = (
    ("password", "refuses the password: correct it in database_url, PGPASSWORD or ~/.pgpass"),
    ("authentication failed", "refuses this role: correct the user in database_url, or pg_hba.conf"),
    ("pg_hba.conf", "does not let this role in from here: correct pg_hba.conf, or sslmode in database_url"),
    ("role ", "does not know this role: correct the user in database_url"),
    ("database ", "is not there: correct the name of the database in database_url"),
    ("too many clients", "has no connection left: raise its max_connections, or close some of them"),
    ("connection slots", "has no connection left: raise its max_connections, or close some of them"),
    ("starting up", "is starting or stopping: wait for it"),
    ("shutting down", "is starting or stopping: wait for it"),
    ("recovery", "is starting or stopping: wait for it"),
    ("unsupported startup parameter", "is behind a pooler that takes no options: remove options from database_url"),
    ("refused", "does not listen: start it, or correct host and port in database_url"),
    ("no such file", "does not listen: start it, or correct host and port in database_url"),
    ("timeout expired", "does not answer within {limits.connect:g} s: start it, or correct host and port in database_url"),
    ("invalid port number", "has no port of that number: correct the port in database_url"),
    ("name or service", "has no address: correct the host in database_url"),
    ("resolve", "has no address: correct the host in database_url"),
    ("closed", "ended the connection: if this lasts, read its log"),
    ("terminat", "ended the connection: if this lasts, read its log"),
)


def in_words(error: Exception, server: ServerAddress, limits: ConnectionLimits) -> str:
    """Return one sentence about ``error``, without a password."""
    if isinstance(error, ConnectionEnded):
        return f"{server.location} {error}."
    cause = getattr(error, "orig", None) or error
    text = server.without_password(" ".join((str(cause) or type(cause).__name__).split()))
    by_code = _BY_CODE.get(getattr(cause, "sqlstate", None) or "")
    advice = _by_text(_BEFORE_CODES, text) or by_code or _by_text(_BY_TEXT, text) or "cannot be read"
    return f"{server.location} {advice.format(limits=limits)} ({text})."


def _by_text(known: Iterable[tuple[str, str]], text: str) -> str | None:
    said = _NAME.sub("", text).lower()
    return next((words for sign, words in known if sign in said), None)

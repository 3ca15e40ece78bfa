"""What protects a transaction on the host's server: set in the transaction itself, and read back."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from workspace_reaper.registry.postgres.connection import ConnectionLimits
from workspace_reaper.registry.postgres.errors import ConnectionEnded

# Settings of a transaction that has begun with BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY, as the server shows them.
_OF_TRANSACTION = {"transaction_read_only": "on", "transaction_isolation": "repeatable read"}


def protect(connection: Connection, limits: ConnectionLimits) -> None:
    """Protect the transaction that begins on this connection.

    Rows that a policy hides are an error from now on, and do not seem to be gone. A pooler that drops or shares the state of
    sessions changes nothing: the settings belong to the transaction.

    Raises:
        ConnectionEnded: The server does not report the settings as they were set.
    """
    wanted = {
        "row_security": "off",
        "statement_timeout": f"{limits.statement * 1000:.0f}",
        "lock_timeout": f"{limits.lock * 1000:.0f}",
        "idle_in_transaction_session_timeout": f"{limits.whole * 1000:.0f}",
    }
    setting = ", ".join("pg_catalog.set_config(%s, %s, true)" for _ in wanted)
    parameters = tuple(word for pair in wanted.items() for word in pair)
    accepted = dict(zip(wanted, connection.exec_driver_sql(f"SELECT {setting}", parameters).one(), strict=True))
    expected = {**accepted, "row_security": "off", **_OF_TRANSACTION}
    reading = ", ".join("pg_catalog.current_setting(%s)" for _ in expected)
    found = dict(zip(expected, connection.exec_driver_sql(f"SELECT {reading}", tuple(expected)).one(), strict=True))
    if strange := {name: value for name, value in found.items() if value != expected[name]}:
        shown = ", ".join(f"{name} is {value!r} instead of {expected[name]!r}" for name, value in strange.items())
        raise ConnectionEnded(
            f"does not keep the protection of a transaction ({shown}): name the server itself in database_url, or a pooler "
            "that keeps a transaction on one connection (pool_mode = transaction or session)"
        )

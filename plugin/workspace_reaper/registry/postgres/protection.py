"""What protects a transaction on the host's server: set in the transaction itself, and read back."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import Any

from sqlalchemy.engine import Connection

from workspace_reaper.registry.postgres.connection import ConnectionLimits
from workspace_reaper.registry.postgres.errors import ConnectionEnded

# Undoes what another client of a pooler has set on the connection to the server. With another search path or role, other tables
# would be read, and a view may select by any setting. The rollback at the end of each transaction restores all of it.
_RESET = "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL"

# A client's temporary tables come last, or one with the name of the host's table would be read instead.
_SEARCH_PATH = "concat_ws(', ', nullif(pg_catalog.current_setting('search_path'), ''), 'pg_temp')"

# Settings of a transaction that has begun with BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY, as the server shows them.
_OF_TRANSACTION = {"transaction_read_only": "on", "transaction_isolation": "repeatable read"}

# One word in libpq's "options": a backslash takes the next character literally.
_WORD = re.compile(r"(?:[^\s\\]|\\.)+", re.DOTALL)
_SETTING = re.compile(r"(?:-c|--)(?P<name>[^=]+)=(?P<value>.*)", re.DOTALL)


def protect(connection: Connection, limits: ConnectionLimits) -> None:
    """Protect the transaction that begins on this connection.

    Rows that a policy hides are an error from now on, and do not seem to be gone. A pooler that drops or shares the state of
    sessions changes nothing: the settings belong to the transaction, also those that the URL asks for in ``options``.

    Raises:
        ConnectionEnded: The server does not report the settings as they were set.
    """
    raw: Any = connection.connection.driver_connection
    wanted = {
        **options_of(raw.info.options),
        "client_encoding": "utf8",
        "row_security": "off",
        "statement_timeout": f"{limits.statement * 1000:.0f}",
        "lock_timeout": f"{limits.lock * 1000:.0f}",
        "idle_in_transaction_session_timeout": f"{limits.whole * 1000:.0f}",
    }
    connection.exec_driver_sql(_RESET, execution_options={"no_parameters": True})
    setting = ", ".join("pg_catalog.set_config(%s, %s, true)" for _ in wanted)
    parameters = tuple(word for pair in wanted.items() for word in pair)
    values = connection.exec_driver_sql(
        f"SELECT {setting}, pg_catalog.set_config('search_path', {_SEARCH_PATH}, true)", parameters
    ).one()
    accepted = dict(zip((*wanted, "search_path"), values, strict=True))
    expected = {**accepted, "row_security": "off", **_OF_TRANSACTION}
    reading = ", ".join("pg_catalog.current_setting(%s)" for _ in expected)
    found = dict(zip(expected, connection.exec_driver_sql(f"SELECT {reading}", tuple(expected)).one(), strict=True))
    if strange := {name: value for name, value in found.items() if value != expected[name]}:
        shown = ", ".join(f"{name} is {value!r} instead of {expected[name]!r}" for name, value in strange.items())
        raise ConnectionEnded(
            f"does not keep the protection of a transaction ({shown}): name the server itself in database_url, or a pooler "
            "that keeps a transaction on one connection (pool_mode = transaction or session)"
        )


def options_of(text: str) -> dict[str, str]:
    """Return the settings in libpq's ``options``: ``-c name=value``, ``-cname=value`` or ``--name=value``.

    A pooler may drop them, and they may decide which table is read (``search_path``) and as whom (``role``).
    """
    words = [re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL) for word in _WORD.findall(text)]
    joined = [f"-c{after}" if word == "-c" else word for word, after in zip_longest(words, words[1:], fillvalue="")]
    settings = [match for word in joined if (match := _SETTING.fullmatch(word))]
    return {match["name"].replace("-", "_"): match["value"] for match in settings}

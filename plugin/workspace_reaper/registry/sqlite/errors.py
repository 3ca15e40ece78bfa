"""Messages for an SQLite database that cannot be read: what is wrong, and what to do."""

from __future__ import annotations

import pwd
from pathlib import Path

from workspace_reaper.registry.location import DatabaseNotFound

_DAMAGED = "is damaged: check it with sqlite3's 'pragma integrity_check'"
_ADVICE = (
    # By texts: Python 3.10 does not report SQLite's error codes.
    ("is locked", "is locked, and was so for {limit:g} s: if this lasts, find the program that keeps a transaction open on it"),
    ("not a database", "is not an SQLite database: set database_url to the database of the {schema} host"),
    (
        "readonly database",
        "needs recovery, or a write-ahead log set up, which only a user who may write it can do: "
        "run the reaper as the host's user{owner}, or start the host",
    ),
    ("unable to open", "cannot be opened: run the reaper as the host's user{owner}, or give it the right to read"),
    ("malformed", _DAMAGED),
    ("utf-8", _DAMAGED),
    ("databaseerror", _DAMAGED),  # no text: Python 3.10 cannot decode a message that is not UTF-8
    ("disk i/o", "cannot be read from its disk: check the disk and the file system"),
)


def in_words(error: Exception, path: str, schema: str, busy_limit: float) -> str:
    """Return one sentence about ``error``. ``busy_limit`` is in seconds."""
    cause = getattr(error, "orig", None) or error
    text = str(cause) or type(cause).__name__
    if isinstance(error, DatabaseNotFound):
        return f"{path} {text}."
    known = next((advice for sign, advice in _ADVICE if sign in text.lower()), None)
    if known is not None:
        return f"{path} {known.format(limit=busy_limit, schema=schema, owner=_owner(path))} ({text})."
    return f"{path} cannot be read: {text}."


def _owner(path: str) -> str:
    """Return the owner of the file in brackets, or an empty text if it is unknown."""
    try:
        return f" ({pwd.getpwuid(Path(path).stat().st_uid).pw_name})"
    except (OSError, KeyError):
        return ""

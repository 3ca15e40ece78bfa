"""Errors of the ledger's file as messages that say what to do."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from workspace_reaper.model.errors import LedgerError
from workspace_reaper.util.files import advice

# What SQLite and the file system raise.
ERRORS = (sqlite3.Error, OSError)

_ADVICE = (
    ("is full", "the disk is full: free some space there"),
    ("disk i/o error", "the disk fails or a limit is reached: check its free space, its quota and the system log"),
    ("readonly", "it cannot be written: run as its owner, on a file system that is mounted writable"),
    ("is locked", "another program holds its lock: find that program (for example with fuser) and stop it"),
    ("malformed", "it is damaged: move it away, and keep it for an analysis. The state in it is lost"),
    ("could not decode", "it is damaged: move it away, and keep it for an analysis. The state in it is lost"),
    ("not a database", "it is not an SQLite database: move it away, or set another state_dir"),
    ("unable to open", "it cannot be opened: check the permissions of the file and of its directory"),
)


def shown(path: Path) -> str:
    """Return ``path`` as text that any terminal can print, with undecodable bytes escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def ledger_error(path: Path, error: Exception) -> LedgerError:
    """Return the error to raise for one of ``ERRORS``. Its message names the file, the cause and what to do."""
    if isinstance(error, OSError):
        what, to_do = error.strerror or str(error), advice(error)
    else:
        what = str(error)
        to_do = next((text for sign, text in _ADVICE if sign in what.lower()), "please report this as a bug of the reaper")
    return LedgerError(f"The ledger {shown(path)} cannot be used ({what}): {to_do}.")

"""What went wrong with the file, in a sentence for a person."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from workspace_reaper.model.errors import LedgerError

__all__ = ["FAULTS", "fault", "shown"]

FAULTS = (SQLAlchemyError, sqlite3.Error, OSError)
"""All that SQLite, SQLAlchemy and the file system may raise."""

_ADVICE = (
    ("is full", "the disk is full: free some space there."),
    ("disk i/o error", "the disk fails or a limit is reached: look at its free space, its quota and the system log."),
    ("readonly", "it may not be written: run as the user who owns it, on a file system that is mounted writable."),
    ("is locked", "another program holds it: find that program (`fuser` tells) and end it."),
    ("malformed", "it is damaged: move it away, and keep it to be looked at. What it remembered is lost with it."),
    ("not a database", "it is no SQLite database: move it away, or choose another state_dir."),
    ("unable to open", "it can't be opened: look at the permissions of the file and of its directory."),
)
_ERRNO_ADVICE = {
    errno.ENOSPC: "the disk is full: free some space there.",
    errno.EDQUOT: "the quota is used up: free some space there.",
    errno.EROFS: "the file system is mounted read-only: mount it writable, or choose another state_dir.",
    errno.EACCES: "this user may not: run as the user who owns it, or choose another state_dir.",
    errno.EPERM: "this user may not: run as the user who owns it, or choose another state_dir.",
    errno.EISDIR: "a directory is in its place: move it away.",
    errno.EEXIST: "state_dir is not a directory: choose another one.",
    errno.ENOTDIR: "state_dir is not a directory: choose another one.",
}


def shown(path: Path) -> str:
    """``path`` as text that any terminal takes, undecodable bytes escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def fault(path: Path, error: Exception) -> LedgerError:
    """The error to raise for ``error`` (one of ``FAULTS``): it names the file, says what happened and what to do."""
    if isinstance(error, OSError):
        what = error.strerror or str(error)
        advice = _ERRNO_ADVICE.get(error.errno or 0, "look at the file and at its directory.")
    else:
        what = str(error.orig if isinstance(error, DBAPIError) else error)
        lowered = what.lower()
        advice = next((advice for sign, advice in _ADVICE if sign in lowered), "please report this as a fault of the reaper.")
    return LedgerError(f"The ledger {shown(path)} can't be used ({what}): {advice}")

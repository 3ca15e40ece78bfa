"""The reaper's own database, ``state_dir/ledger.sqlite``: its state between sweeps, and the history of every kill.

The locks on ``state_dir`` belong here too. No rule, and no library but sqlite3 and filelock, enters this package.
"""

from __future__ import annotations

from pathlib import Path

from workspace_reaper.ledger.connection import BUSY_SECONDS
from workspace_reaper.ledger.ledger import SqliteLedger

__all__ = ["SqliteLedger", "open_ledger"]


def open_ledger(state_dir: Path, *, registry_name: str, location: str, read_only: bool = False) -> SqliteLedger:
    """Open the ledger of one configured registry. The directory and the file are created if they are missing.

    Args:
        state_dir: The directory of the ledger.
        registry_name: The name of the registry's schema.
        location: Where the registry is.
        read_only: Create and write nothing. A missing ledger is then an empty one, and each method that writes raises.

    Raises:
        LedgerError: The file cannot be read or created, is locked for longer than 5 s, is damaged, belongs to another program
            or to a newer version of this one, or another user can write or replace it. A damaged file is never overwritten.
    """
    return SqliteLedger(
        Path(state_dir).absolute() / "ledger.sqlite",
        registry_name=registry_name,
        location=location,
        read_only=read_only,
        busy_seconds=BUSY_SECONDS,
    )

"""Our own database: what the reaper remembers between sweeps, and the history of every kill.

SQLite through SQLModel in ``state_dir/ledger.sqlite``. Importing this package loads SQLModel: do it late.
"""

from __future__ import annotations

from pathlib import Path

from workspace_reaper.ledger.connection import BUSY_SECONDS
from workspace_reaper.ledger.ledger import SqliteLedger

__all__ = ["SqliteLedger", "open_ledger"]


def open_ledger(state_dir: Path, *, registry_name: str, location: str, read_only: bool = False) -> SqliteLedger:
    """Open the ledger in ``state_dir`` for one configured registry, and make both if they are missing.

    With ``read_only`` nothing is made and nothing written: a missing ledger reads as an empty one, and each method that
    writes raises. Raises ``LedgerError`` where the file can't be used: it can't be read or made, is locked for longer than
    5 s, is damaged, belongs to another program, or was written by a newer version of this package; and where another user
    can write it, or put another one in its place. A damaged file is never overwritten.
    """
    return SqliteLedger(
        Path(state_dir).absolute() / "ledger.sqlite",
        registry_name=registry_name,
        location=location,
        read_only=read_only,
        busy_seconds=BUSY_SECONDS,
    )

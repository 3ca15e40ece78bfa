"""A second migration of the ledger, as a later version may need one."""

from __future__ import annotations

from workspace_reaper.ledger.migrations import MIGRATIONS

__all__ = ["REBUILD_REAPS"]

_SAME = [statement for statement in MIGRATIONS[0] if " ON reap" in statement]
"""The index and the triggers, which go with the old table."""

(_TABLE,) = (statement for statement in MIGRATIONS[0] if statement.startswith("CREATE TABLE reap "))

REBUILD_REAPS: tuple[str, ...] = (
    # SQLite drops a column only from 3.35 on, and cannot change a constraint: such a table is made anew.
    _TABLE.replace("CREATE TABLE reap (", "CREATE TABLE new_reap (").replace("snapshot TEXT,", "snapshot TEXT, more TEXT,"),
    "INSERT INTO new_reap SELECT *, 'more' FROM reap ORDER BY seq",
    "DROP TABLE reap",
    "ALTER TABLE new_reap RENAME TO reap",
    *_SAME,
    "ALTER TABLE workspace ADD COLUMN more TEXT",
)
"""The table of reaps with one column more, made anew; and a column added to another table."""

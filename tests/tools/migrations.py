"""One more migration of the ledger than there are, as a later version may need it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from workspace_reaper.ledger.migrations import migrate

__all__ = ["rebuild_reaps"]


def rebuild_reaps() -> tuple[str, ...]:
    """The table of reaps with one column more, made anew; and a column added to another table."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as raw:
        migrate(raw, "here")
        found = raw.execute("SELECT name, sql FROM sqlite_master WHERE tbl_name = 'reap' AND sql IS NOT NULL").fetchall()
    statements = dict(found)
    table = statements.pop("reap")
    return (
        # SQLite drops a column only from 3.35 on, and cannot change a constraint: such a table is made anew.
        table.replace("CREATE TABLE reap (", "CREATE TABLE new_reap (").replace("snapshot TEXT,", "snapshot TEXT, more TEXT,"),
        f"INSERT INTO new_reap ({', '.join(_columns(table))}, more) SELECT *, 'more' FROM reap ORDER BY seq",
        "DROP TABLE reap",
        "ALTER TABLE new_reap RENAME TO reap",
        *statements.values(),  # the index and the triggers, which go with the old table
        "ALTER TABLE workspace ADD COLUMN more TEXT",
    )


def _columns(table: str) -> list[str]:
    with closing(sqlite3.connect(":memory:")) as raw:
        raw.execute(table)
        return [name for (name,) in raw.execute("SELECT name FROM pragma_table_info('reap')")]

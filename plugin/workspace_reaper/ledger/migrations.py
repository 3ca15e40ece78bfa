"""The schema of the ledger, as numbered migrations. ``PRAGMA user_version`` is the number of the last one that was applied.

A migration is frozen text: once it is released it is never edited, and a change of the tables is a new one at the end. A test
compares the tables that they create with the classes of ``tables``.
"""

from __future__ import annotations

import sqlite3

from workspace_reaper.model.errors import LedgerError

# PRAGMA application_id of a ledger, which distinguishes it from the database of another program.
APPLICATION_ID = 0x57524C31

# The same of the ledgers that versions before the first release created.
_UNRELEASED = 0x57526561

_FIRST = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    """CREATE TABLE registry (
        id INTEGER NOT NULL,
        configured_name TEXT NOT NULL,
        configured_location TEXT NOT NULL,
        owner_id TEXT NOT NULL,
        generation INTEGER NOT NULL,
        location TEXT NOT NULL,
        schema TEXT NOT NULL,
        schema_version TEXT,
        change_counter INTEGER,
        sentinels TEXT NOT NULL,
        total INTEGER NOT NULL,
        capped INTEGER NOT NULL,
        PRIMARY KEY (id),
        UNIQUE (configured_name, configured_location)
    )""",
    """CREATE TABLE workspace (
        registry_id INTEGER NOT NULL,
        workspace_id TEXT NOT NULL,
        generation INTEGER,
        named_at REAL,
        named_generation INTEGER,
        worktree TEXT,
        PRIMARY KEY (registry_id, workspace_id)
    ) WITHOUT ROWID""",
    """CREATE TABLE deletion (
        registry_id INTEGER NOT NULL,
        workspace_id TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (registry_id, workspace_id)
    ) WITHOUT ROWID""",
    """CREATE TABLE finding (
        registry_id INTEGER NOT NULL,
        socket TEXT NOT NULL,
        server_pid INTEGER NOT NULL,
        server_start INTEGER NOT NULL,
        session_id TEXT NOT NULL,
        created INTEGER NOT NULL,
        finding TEXT NOT NULL,
        first_at REAL NOT NULL,
        last_at REAL NOT NULL,
        count INTEGER NOT NULL,
        workspace_id TEXT,
        PRIMARY KEY (registry_id, socket, server_pid, server_start, session_id, created, finding)
    ) WITHOUT ROWID""",
    """CREATE TABLE server (
        registry_id INTEGER NOT NULL,
        socket TEXT NOT NULL,
        pid INTEGER NOT NULL,
        start INTEGER NOT NULL,
        process_start REAL,
        PRIMARY KEY (registry_id, socket)
    ) WITHOUT ROWID""",
    """CREATE TABLE breaker (
        registry_id INTEGER NOT NULL,
        latched INTEGER NOT NULL,
        since REAL,
        cause TEXT NOT NULL,
        tripped TEXT NOT NULL,
        clear_sweeps INTEGER NOT NULL,
        approved TEXT NOT NULL,
        PRIMARY KEY (registry_id)
    )""",
    # An update that changes "at" alone writes one page: of a row that spans several pages, SQLite writes those that change.
    """CREATE TABLE cpu (
        registry_id INTEGER NOT NULL,
        at REAL,
        samples TEXT NOT NULL,
        PRIMARY KEY (registry_id)
    )""",
    """CREATE TABLE clock (
        registry_id INTEGER NOT NULL,
        boot TEXT NOT NULL,
        offset REAL,
        slept REAL NOT NULL,
        skews TEXT NOT NULL,
        PRIMARY KEY (registry_id)
    )""",
    """CREATE TABLE alarm (
        registry_id INTEGER NOT NULL,
        name TEXT NOT NULL,
        since REAL NOT NULL,
        detail TEXT NOT NULL,
        clears_when TEXT NOT NULL,
        PRIMARY KEY (registry_id, name)
    ) WITHOUT ROWID""",
    """CREATE TABLE event (
        id INTEGER NOT NULL,
        registry_id INTEGER NOT NULL,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL,
        PRIMARY KEY (id)
    )""",
    # "snapshot" is NULL where the panes were kept, else the reason why not.
    """CREATE TABLE reap (
        seq INTEGER NOT NULL,
        registry_id INTEGER NOT NULL,
        reap_id TEXT NOT NULL,
        sweep_id TEXT NOT NULL,
        at REAL NOT NULL,
        socket TEXT NOT NULL,
        server_pid INTEGER NOT NULL,
        server_start INTEGER NOT NULL,
        session_id TEXT NOT NULL,
        created INTEGER NOT NULL,
        session TEXT NOT NULL,
        workspace_id TEXT NOT NULL,
        reason TEXT NOT NULL,
        evidence TEXT NOT NULL,
        boot TEXT NOT NULL,
        worktree TEXT,
        processes TEXT NOT NULL,
        outcome TEXT NOT NULL,
        concluded_at REAL,
        why TEXT,
        ended TEXT NOT NULL,
        survivors TEXT NOT NULL,
        freed_bytes INTEGER,
        freed_ports TEXT NOT NULL,
        held_ports TEXT NOT NULL,
        snapshot TEXT,
        PRIMARY KEY (seq),
        UNIQUE (reap_id),
        CHECK (outcome IN ('open', 'reaped', 'spared', 'failed')),
        CHECK ((outcome = 'open') = (concluded_at IS NULL))
    )""",
    "CREATE INDEX reap_by_outcome ON reap (outcome, registry_id, concluded_at)",
    # The last full report, JSON as UTF-8: "sessions" are those of the sweep "sessions_of". Not compressed: for 400 KB that took
    # four times as long as writing them.
    """CREATE TABLE report (
        registry_id INTEGER NOT NULL,
        at REAL NOT NULL,
        complete_at REAL,
        head BLOB NOT NULL,
        sessions_of TEXT NOT NULL,
        sessions BLOB NOT NULL,
        PRIMARY KEY (registry_id)
    )""",
    """CREATE TRIGGER event_is_not_changed BEFORE UPDATE ON event
        BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    """CREATE TRIGGER event_is_not_deleted BEFORE DELETE ON event
        BEGIN SELECT RAISE(ABORT, 'events are append-only'); END""",
    """CREATE TRIGGER reap_is_not_deleted BEFORE DELETE ON reap
        BEGIN SELECT RAISE(ABORT, 'reaps are append-only'); END""",
    """CREATE TRIGGER reap_intent_is_not_changed BEFORE UPDATE OF seq, registry_id, reap_id, sweep_id, at, socket,
        server_pid, server_start, session_id, created, session, workspace_id, reason, evidence, boot, worktree, processes
        ON reap
        BEGIN SELECT RAISE(ABORT, 'an intent is written once'); END""",
    """CREATE TRIGGER reap_outcome_is_not_changed BEFORE UPDATE ON reap WHEN OLD.outcome <> 'open'
        BEGIN SELECT RAISE(ABORT, 'an outcome is written once'); END""",
)

_DIRECTORIES = (
    # An identity of a directory is "device:inode".
    """CREATE TABLE directory (
        registry_id INTEGER NOT NULL,
        workspace_id TEXT NOT NULL,
        generation INTEGER NOT NULL,
        path TEXT NOT NULL,
        resolved TEXT NOT NULL,
        inode TEXT NOT NULL,
        parent TEXT NOT NULL,
        is_below_mount INTEGER NOT NULL,
        neighbours TEXT NOT NULL,
        seen_at REAL NOT NULL,
        created INTEGER NOT NULL,
        number INTEGER NOT NULL,
        missing_since REAL,
        counted INTEGER NOT NULL,
        PRIMARY KEY (registry_id, workspace_id)
    ) WITHOUT ROWID""",
    """CREATE TABLE removal (
        registry_id INTEGER NOT NULL,
        workspace_id TEXT NOT NULL,
        event TEXT NOT NULL,
        generation INTEGER NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (registry_id, workspace_id)
    ) WITHOUT ROWID""",
)

_PLACES = (
    "ALTER TABLE directory ADD COLUMN place INTEGER",
    "ALTER TABLE directory ADD COLUMN outlived INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE directory ADD COLUMN doubted INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE directory ADD COLUMN out_of_sight_since REAL",
)

_NAMES = ("ALTER TABLE finding ADD COLUMN name TEXT",)

# Each migration is its statements; its number is its place, from 1.
MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _DIRECTORIES, _PLACES, _NAMES)


def version_of(connection: sqlite3.Connection, path: str) -> int:
    """Return the number of the last migration that was applied; 0 for an empty file.

    Args:
        connection: A connection to the file.
        path: The file's name, for messages.

    Raises:
        LedgerError: The file belongs to another program, or to a version of this one that is newer or was never released.
    """
    application, version, tables = connection.execute(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),"
        " (SELECT count(*) FROM sqlite_master)"
    ).fetchone()
    if (application, version, tables) == (0, 0, 0):
        return 0
    if application == _UNRELEASED:
        raise LedgerError(
            f"The ledger {path} was created by an unreleased version of this program: move it away, or set another state_dir."
        )
    if application != APPLICATION_ID:
        raise LedgerError(f"{path} is the database of another program: move it away, or set another state_dir.")
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"The ledger {path} was written by a newer version of workspace-reaper (its schema is {version}, the latest that"
            f" this version supports is {len(MIGRATIONS)}): upgrade workspace-reaper, or set another state_dir."
        )
    return int(version)


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Apply the missing migrations, all in one transaction: a reader sees the ledger before them or after them.

    Two processes may do this at once: the version is read again under the write lock. ``connection`` must be in autocommit
    mode. Raises ``LedgerError`` like ``version_of``.
    """
    if version_of(connection, path) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = version_of(connection, path)
        for number, statements in enumerate(MIGRATIONS[done:], start=done + 1):
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:  # Ctrl-C too must leave no half of a migration
        connection.rollback()
        raise

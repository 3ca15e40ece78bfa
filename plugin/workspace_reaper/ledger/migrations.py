"""The schema of the ledger, as numbered steps. ``PRAGMA user_version`` is the number of the last one done.

A migration is frozen text: once released it is never edited, a change of the tables is a new one at the end. A test
compares what they make with the tables of ``tables``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from workspace_reaper.model.errors import LedgerError

__all__ = ["APPLICATION_ID", "MIGRATIONS", "migrate", "version_of"]

APPLICATION_ID = 0x57526561
"""``PRAGMA application_id`` of a ledger: tells ours from another program's database."""

_FIRST = (
    "PRAGMA application_id = 1465017697",
    """CREATE TABLE registry (
        id INTEGER NOT NULL,
        name TEXT NOT NULL,
        location TEXT NOT NULL,
        stamp TEXT NOT NULL,
        generation INTEGER NOT NULL,
        place TEXT NOT NULL,
        schema_name TEXT NOT NULL,
        oldest TEXT NOT NULL,
        total INTEGER NOT NULL,
        capped BOOLEAN NOT NULL,
        PRIMARY KEY (id),
        UNIQUE (name, location)
    )""",
    """CREATE TABLE workspace (
        registry_id INTEGER NOT NULL,
        workspace_id TEXT NOT NULL,
        generation INTEGER,
        named_at FLOAT,
        named_generation INTEGER,
        PRIMARY KEY (registry_id, workspace_id)
    ) WITHOUT ROWID""",
    """CREATE TABLE testimony (
        registry_id INTEGER NOT NULL,
        workspace_id TEXT NOT NULL,
        at FLOAT NOT NULL,
        PRIMARY KEY (registry_id, workspace_id)
    ) WITHOUT ROWID""",
    """CREATE TABLE sighting (
        registry_id INTEGER NOT NULL,
        socket TEXT NOT NULL,
        server_pid INTEGER NOT NULL,
        server_start INTEGER NOT NULL,
        session_id TEXT NOT NULL,
        created INTEGER NOT NULL,
        sight TEXT NOT NULL,
        first_at FLOAT NOT NULL,
        last_at FLOAT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (registry_id, socket, server_pid, server_start, session_id, created, sight)
    ) WITHOUT ROWID""",
    """CREATE TABLE server (
        registry_id INTEGER NOT NULL,
        socket TEXT NOT NULL,
        pid INTEGER NOT NULL,
        start INTEGER NOT NULL,
        process_start FLOAT,
        PRIMARY KEY (registry_id, socket)
    ) WITHOUT ROWID""",
    """CREATE TABLE breaker (
        registry_id INTEGER NOT NULL,
        latched BOOLEAN NOT NULL,
        since FLOAT,
        cause TEXT NOT NULL,
        tripped TEXT NOT NULL,
        clear_sweeps INTEGER NOT NULL,
        excused TEXT NOT NULL,
        PRIMARY KEY (registry_id)
    )""",
    """CREATE TABLE alarm (
        registry_id INTEGER NOT NULL,
        name TEXT NOT NULL,
        since FLOAT NOT NULL,
        detail TEXT NOT NULL,
        clears_when TEXT NOT NULL,
        PRIMARY KEY (registry_id, name)
    ) WITHOUT ROWID""",
    """CREATE TABLE event (
        id INTEGER NOT NULL,
        registry_id INTEGER NOT NULL,
        at FLOAT NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL,
        PRIMARY KEY (id)
    )""",
    """CREATE TABLE reap (
        seq INTEGER NOT NULL,
        registry_id INTEGER NOT NULL,
        reap_id TEXT NOT NULL,
        sweep_id TEXT NOT NULL,
        at FLOAT NOT NULL,
        socket TEXT NOT NULL,
        server_pid INTEGER NOT NULL,
        server_start INTEGER NOT NULL,
        session_id TEXT NOT NULL,
        created INTEGER NOT NULL,
        session TEXT NOT NULL,
        workspace_id TEXT NOT NULL,
        reason TEXT NOT NULL,
        evidence TEXT NOT NULL,
        outcome TEXT NOT NULL,
        concluded_at FLOAT,
        why TEXT,
        freed_bytes INTEGER,
        survivors TEXT NOT NULL,
        restorable BOOLEAN NOT NULL,
        PRIMARY KEY (seq),
        UNIQUE (reap_id),
        CHECK (outcome IN ('open', 'reaped', 'spared', 'failed')),
        CHECK ((outcome = 'open') = (concluded_at IS NULL))
    )""",
    "CREATE INDEX reap_by_outcome ON reap (outcome, registry_id, concluded_at)",
    """CREATE TABLE report (
        registry_id INTEGER NOT NULL,
        at FLOAT NOT NULL,
        complete_at FLOAT,
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
        server_pid, server_start, session_id, created, session, workspace_id, reason, evidence ON reap
        BEGIN SELECT RAISE(ABORT, 'an intent is written once'); END""",
    """CREATE TRIGGER reap_outcome_is_not_changed BEFORE UPDATE ON reap WHEN OLD.outcome <> 'open'
        BEGIN SELECT RAISE(ABORT, 'an outcome is written once'); END""",
)

_REAPS_WITH_PROCESSES = (
    # Each reap tells its processes and its snapshot. The table is made anew: SQLite drops a column only from 3.35 on, and
    # columns added by ALTER TABLE would need defaults, with which a forgotten value goes unnoticed.
    """CREATE TABLE new_reap (
        seq INTEGER NOT NULL,
        registry_id INTEGER NOT NULL,
        reap_id TEXT NOT NULL,
        sweep_id TEXT NOT NULL,
        at FLOAT NOT NULL,
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
        concluded_at FLOAT,
        why TEXT,
        freed_bytes INTEGER,
        ended TEXT NOT NULL,
        survivors TEXT NOT NULL,
        freed_ports TEXT NOT NULL,
        held_ports TEXT NOT NULL,
        snapshot TEXT,
        PRIMARY KEY (seq),
        UNIQUE (reap_id),
        CHECK (outcome IN ('open', 'reaped', 'spared', 'failed')),
        CHECK ((outcome = 'open') = (concluded_at IS NULL))
    )""",
    """INSERT INTO new_reap
        SELECT seq, registry_id, reap_id, sweep_id, at, socket, server_pid, server_start, session_id, created, session,
            workspace_id, reason, evidence, '', NULL, '[]', outcome, concluded_at, why, freed_bytes, '[]', survivors, '[]',
            '[]', 'not taken'
        FROM reap ORDER BY seq""",
    "DROP TABLE reap",  # with its index and its triggers
    "ALTER TABLE new_reap RENAME TO reap",
    "CREATE INDEX reap_by_outcome ON reap (outcome, registry_id, concluded_at)",
    """CREATE TRIGGER reap_is_not_deleted BEFORE DELETE ON reap
        BEGIN SELECT RAISE(ABORT, 'reaps are append-only'); END""",
    """CREATE TRIGGER reap_intent_is_not_changed BEFORE UPDATE OF seq, registry_id, reap_id, sweep_id, at, socket,
        server_pid, server_start, session_id, created, session, workspace_id, reason, evidence, boot, worktree, processes
        ON reap
        BEGIN SELECT RAISE(ABORT, 'an intent is written once'); END""",
    """CREATE TRIGGER reap_outcome_is_not_changed BEFORE UPDATE ON reap WHEN OLD.outcome <> 'open'
        BEGIN SELECT RAISE(ABORT, 'an outcome is written once'); END""",
    "ALTER TABLE workspace ADD COLUMN worktree TEXT",
    """CREATE TABLE cpu (
        registry_id INTEGER NOT NULL,
        at FLOAT,
        samples TEXT NOT NULL,
        PRIMARY KEY (registry_id)
    )""",
)

_CLOCKS = (
    """CREATE TABLE clock (
        registry_id INTEGER NOT NULL,
        boot TEXT NOT NULL,
        started FLOAT,
        slept FLOAT NOT NULL,
        lapses TEXT NOT NULL,
        PRIMARY KEY (registry_id)
    )""",
)

_EPOCHS = (
    # What tells that an older copy was put into the same file.
    "ALTER TABLE registry ADD COLUMN epoch TEXT",
    "ALTER TABLE registry ADD COLUMN clock INTEGER",
)

_SIGHTINGS_OF_A_WORKSPACE = ("ALTER TABLE sighting ADD COLUMN workspace_id TEXT",)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _REAPS_WITH_PROCESSES, _CLOCKS, _EPOCHS, _SIGHTINGS_OF_A_WORKSPACE)
"""Each migration is its statements; its number is its place, from 1."""


def version_of(raw: sqlite3.Connection, place: str, newest: int = len(MIGRATIONS)) -> int:
    """The number of the last migration done; 0 is an empty file. ``place`` names the file in errors.

    Raises ``LedgerError`` for another program's database and for a version above ``newest``.
    """
    application, version, tables = raw.execute(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version),"
        " (SELECT count(*) FROM sqlite_master)"
    ).fetchone()
    if (application, version, tables) == (0, 0, 0):
        return 0
    if application != APPLICATION_ID:
        raise LedgerError(f"{place} is another program's database: move it away, or choose another state_dir.")
    if version > newest:
        raise LedgerError(
            f"The ledger {place} was written by a newer version of workspace-reaper (schema {version}; this one knows up to"
            f" {newest}): update workspace-reaper, or choose another state_dir."
        )
    return int(version)


def migrate(raw: sqlite3.Connection, place: str, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """Do the migrations that are missing, all in one transaction: a reader sees the ledger before them or after them.
    ``raw`` must be in autocommit mode.

    Two processes may do this at once: the version is asked again under the write lock.
    """
    if version_of(raw, place, len(migrations)) == len(migrations):
        return
    raw.execute("BEGIN IMMEDIATE")
    try:
        done = version_of(raw, place, len(migrations))
        for number, statements in enumerate(migrations[done:], start=done + 1):
            for statement in statements:
                raw.execute(statement)
            raw.execute(f"PRAGMA user_version = {number}")
        raw.execute("COMMIT")
    except BaseException:
        raw.rollback()
        raise

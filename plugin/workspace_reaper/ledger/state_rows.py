"""The state of a registry in the ledger: read as a whole, and written in parts."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from typing import Any, TypeVar

from workspace_reaper.ledger import tables
from workspace_reaper.ledger.rows import escaped, json_ids, to_row
from workspace_reaper.ledger.tables import REGISTRY_COLUMNS, FindingRow, SeenWorkspaceRow, ServerRow, Table, assignments
from workspace_reaper.model.state import BreakerState, ClockState, CpuState, LedgerState, RegistryState, StateChanges

T = TypeVar("T")

_HOUR = 3600.0
_DAY = 24 * _HOUR

_UPDATE_REGISTRY = " ".join(("UPDATE registry SET", assignments(REGISTRY_COLUMNS[1:]), "WHERE id = ?"))
_SEE = tables.WORKSPACE.upsert_of("generation")
_SET_WORKTREE = tables.WORKSPACE.upsert_of("worktree")
_OF_IDS = "AND workspace_id IN (SELECT value FROM json_each(?))"
# Reaps that are dated further ahead were recorded while the clock was ahead: they would count until that time has come.
_CONCLUDED = "outcome = 'reaped' AND concluded_at > ? AND concluded_at < ?"
_REAPED = f"AND {_CONCLUDED} {_OF_IDS} ORDER BY concluded_at"
_ORPHANS = " ".join(("SELECT count(*) FROM reap WHERE registry_id = ? AND reason = 'orphan' AND", _CONCLUDED))


def read_state(
    connection: sqlite3.Connection, registry_id: int, registry: RegistryState, ids: Collection[str], now: float
) -> LedgerState:
    """Return the state that a sweep over the workspaces ``ids`` needs."""

    def rows(table: Table[T], condition: str = "", *parameters: object) -> list[T]:
        return table.select(connection, registry_id, condition, *parameters)

    def only(table: Table[T], default: T) -> T:
        return next(iter(rows(table)), default)

    asked = json_ids(ids)
    known = rows(tables.WORKSPACE, _OF_IDS, asked) if ids else []
    reaped = rows(tables.REAPED, _REAPED, now - _DAY, now + _DAY, asked) if ids else []
    return LedgerState(
        registry=registry,
        seen={row.workspace_id: row.generation for row in known if row.generation is not None},
        confirmations={(key, finding): confirmation for key, finding, confirmation in rows(tables.FINDING)},
        servers={row.socket: row.server for row in rows(tables.SERVER)},
        breaker=only(tables.BREAKER, BreakerState()),
        reported={row.workspace_id: row.at for row in rows(tables.DELETION)},
        named={row.workspace_id: row.named_generation for row in known if row.named_generation is not None},
        orphans_last_hour=connection.execute(_ORPHANS, (registry_id, now - _HOUR, now + _HOUR)).fetchall()[0][0],
        reaped_lately={(socket, session): at for socket, session, at in reaped},
        open_intents=tuple(rows(tables.INTENT, "AND outcome = 'open' ORDER BY seq")),
        alarms={alarm.name: alarm for alarm in rows(tables.ALARM)},
        last_complete=next((row.complete_at for row in rows(tables.COMPLETE)), None),
        cpu=only(tables.CPU, CpuState()),
        worktrees={row.workspace_id: row.worktree for row in known if row.worktree is not None},
        clock=only(tables.CLOCK, ClockState()),
        directories={record.workspace_id: record for record in rows(tables.DIRECTORY)},
        removals={removal.workspace_id: removal for removal in rows(tables.REMOVAL)},
    )


def write_changes(connection: sqlite3.Connection, registry_id: int, changes: StateChanges) -> None:
    """Write each part that is not empty. The caller holds the transaction."""

    def write(statement: str, values: Iterable[object]) -> None:
        write_rows(connection, registry_id, statement, values)

    def delete(table: Table[Any], keys: Iterable[tuple[object, ...]]) -> None:
        connection.executemany(table.delete, ([registry_id, *escaped(key)] for key in keys))

    if changes.registry is not None:
        connection.execute(_UPDATE_REGISTRY, (*to_row(changes.registry)[1:], registry_id))
    if changes.seen:
        # After the update above: ids recognised in the sweep that found a new generation belong to that one.
        ((generation,),) = connection.execute("SELECT generation FROM registry WHERE id = ?", (registry_id,)).fetchall()
        write(_SEE, (SeenWorkspaceRow(workspace_id, generation) for workspace_id in changes.seen))
    write(_SET_WORKTREE, (SeenWorkspaceRow(of, worktree=worktree) for of, worktree in changes.worktrees.items()))
    delete(tables.FINDING, ((*key, finding) for key, finding in changes.forgotten))
    write(tables.FINDING.upsert, (FindingRow(*key, confirmation) for key, confirmation in changes.confirmations.items()))
    delete(tables.SERVER, ((socket,) for socket, server in changes.servers.items() if server is None))
    servers = (ServerRow(socket, server) for socket, server in changes.servers.items() if server is not None)
    write(tables.SERVER.upsert, servers)
    for table, value in ((tables.CPU, changes.cpu), (tables.CLOCK, changes.clock), (tables.BREAKER, changes.breaker)):
        if value is not None:
            write(table.upsert, [value])
    delete(tables.DELETION, ((workspace_id,) for workspace_id in changes.settled))
    delete(tables.REMOVAL, ((workspace_id,) for workspace_id in changes.settled))
    delete(tables.DIRECTORY, ((workspace_id,) for workspace_id, record in changes.directories.items() if record is None))
    write(tables.DIRECTORY.upsert, (record for record in changes.directories.values() if record is not None))
    if changes.alarms is not None:
        delete(tables.ALARM, [()])
        write(tables.ALARM.insert, changes.alarms.values())
    write(tables.EVENT.insert, changes.events)


def write_rows(connection: sqlite3.Connection, registry_id: int, statement: str, values: Iterable[object]) -> None:
    """Run the statement for each value, as a row of this registry."""
    connection.executemany(statement, ([registry_id, *to_row(value)] for value in values))

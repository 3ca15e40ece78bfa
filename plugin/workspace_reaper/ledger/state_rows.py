"""The state of a registry in the ledger: read as a whole, and written in parts."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Sequence
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
_ORPHANS = " ".join(
    (
        "SELECT registry_id, count(*) FROM reap WHERE registry_id IN (SELECT value FROM json_each(?))",
        "AND reason = 'orphan' AND",
        _CONCLUDED,
        "GROUP BY registry_id",
    )
)
# A cross join is carried out in this order: the table has all workspaces that were ever known.
_KNOWN = " ".join(
    (
        "SELECT workspace.registry_id,",
        ", ".join(f"workspace.{column}" for column in tables.WORKSPACE.columns),
        "FROM json_each(?) AS asked CROSS JOIN workspace ON workspace.registry_id = json_extract(asked.value, '$[0]')",
        "AND workspace.workspace_id = json_extract(asked.value, '$[1]')",
    )
)


def read_states(
    connection: sqlite3.Connection,
    registries: Sequence[tuple[int, RegistryState]],
    ids: Sequence[Collection[str]],
    now: float,
) -> list[LedgerState]:
    """Return the state of each registry that a sweep over its workspaces ``ids`` needs.

    Each table is read once for all registries: with 30 of them that takes a tenth of the time.
    """
    numbers = json.dumps([number for number, _ in registries])
    pairs = [[number, one] for (number, _), some in zip(registries, ids, strict=True) for one in escaped(some)]
    known = tables.WORKSPACE.by_registry(connection.execute(_KNOWN, (json.dumps(pairs),)).fetchall() if pairs else [])
    asked = json_ids({one for some in ids for one in some})
    reaped = tables.REAPED.select_all(connection, numbers, _REAPED, now - _DAY, now + _DAY, asked) if pairs else {}
    orphans = dict(connection.execute(_ORPHANS, (numbers, now - _HOUR, now + _HOUR)).fetchall())
    intents = tables.INTENT.select_all(connection, numbers, "AND outcome = 'open' ORDER BY seq")

    def of(table: Table[T]) -> Callable[[int], list[T]]:
        found = table.select_all(connection, numbers)
        return lambda number: found.get(number, [])

    findings, servers, deletions, alarms = of(tables.FINDING), of(tables.SERVER), of(tables.DELETION), of(tables.ALARM)
    breakers, complete, cpu, clocks = of(tables.BREAKER), of(tables.COMPLETE), of(tables.CPU), of(tables.CLOCK)
    directories, removals = of(tables.DIRECTORY), of(tables.REMOVAL)

    def state(number: int, registry: RegistryState) -> LedgerState:
        rows = known.get(number, [])
        return LedgerState(
            registry=registry,
            seen={row.workspace_id: row.generation for row in rows if row.generation is not None},
            confirmations={(key, finding): confirmation for key, finding, confirmation in findings(number)},
            servers={row.socket: row.server for row in servers(number)},
            breaker=next(iter(breakers(number)), BreakerState()),
            reported={row.workspace_id: row.at for row in deletions(number)},
            named={row.workspace_id: row.named_generation for row in rows if row.named_generation is not None},
            orphans_last_hour=orphans.get(number, 0),
            reaped_lately={(socket, session): at for socket, session, at in reaped.get(number, ())},
            open_intents=tuple(intents.get(number, ())),
            alarms={alarm.name: alarm for alarm in alarms(number)},
            last_complete=next((row.complete_at for row in complete(number)), None),
            cpu=next(iter(cpu(number)), CpuState()),
            worktrees={row.workspace_id: row.worktree for row in rows if row.worktree is not None},
            clock=next(iter(clocks(number)), ClockState()),
            directories={record.workspace_id: record for record in directories(number)},
            removals={removal.workspace_id: removal for removal in removals(number)},
        )

    return [state(number, registry) for number, registry in registries]


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

"""What one sweep writes into memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy.engine import Connection

from workspace_reaper.ledger import rows as codec
from workspace_reaper.ledger import statements as sql
from workspace_reaper.ledger.samples import SamplesText
from workspace_reaper.model.state import Changes

__all__ = ["write_changes"]


def write_changes(connection: Connection, registry_id: int, changes: Changes, samples: SamplesText) -> None:
    """Write each part of ``changes`` that is not empty. The caller holds the transaction."""

    def write(statement: Any, rows: Iterable[codec.Row]) -> None:
        scoped = [{"registry_id": registry_id, **row} for row in rows]
        if scoped:
            connection.execute(statement, scoped)

    if changes.registry is not None:
        connection.execute(sql.UPDATE_REGISTRY, {"of_registry": registry_id, **codec.registry_row(changes.registry)})
    if changes.seen:
        # After the update above: ids recognised in the sweep that found a new generation belong to that one.
        generation = connection.execute(sql.GENERATION, {"registry_id": registry_id}).scalar_one()
        write(sql.SEE, ({"workspace_id": seen, "generation": generation} for seen in changes.seen))
    write(sql.SET_WORKTREE, ({"workspace_id": of, "worktree": worktree} for of, worktree in changes.worktrees.items()))
    write(sql.FORGET, (codec.sight_key_row(key) for key in changes.forgotten))
    write(sql.SIGHT, (codec.sighting_row(key, seen) for key, seen in changes.sightings.items()))
    write(sql.UNSERVE, ({"socket": socket} for socket, server in changes.servers.items() if server is None))
    write(sql.SERVE, (codec.server_row(socket, server) for socket, server in changes.servers.items() if server is not None))
    if changes.cpu is not None:
        write(sql.SET_CPU, [{"at": changes.cpu.at, "samples": samples.encode(changes.cpu.samples)}])
    if changes.clock is not None:
        write(sql.SET_CLOCK, [codec.clock_row(changes.clock)])
    if changes.breaker is not None:
        write(sql.SET_BREAKER, [codec.breaker_row(changes.breaker)])
    write(sql.SETTLE, ({"workspace_id": settled} for settled in changes.settled))
    if changes.alarms is not None:
        connection.execute(sql.CLEAR_ALARMS, {"registry_id": registry_id})
        write(sql.RAISE_ALARM, (codec.alarm_row(alarm) for alarm in changes.alarms.values()))
    write(sql.RECORD_EVENT, ({"at": event.at, "kind": event.kind, "detail": event.detail} for event in changes.events))

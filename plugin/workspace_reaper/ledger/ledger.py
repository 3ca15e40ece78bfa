"""The ledger: ``ports.Ledger`` over one SQLite file."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.engine import Connection

from workspace_reaper.ledger import reap_codec
from workspace_reaper.ledger import rows as codec
from workspace_reaper.ledger import statements as sql
from workspace_reaper.ledger.connection import LedgerConnection
from workspace_reaper.ledger.errors import shown
from workspace_reaper.ledger.samples import SamplesText
from workspace_reaper.ledger.validation import sound, sound_memory
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.reap import Intent, Outcome, Reap, ReapResult
from workspace_reaper.model.state import Alarm, CpuState, Event, LedgerState, RegistryState, ServerState, StateChanges

__all__ = ["SqliteLedger", "write_changes"]

_HOUR = 3600.0

_DAY = 24 * _HOUR

_NO_ROW = 0

T = TypeVar("T")


class SqliteLedger:
    """Our memory of one configured registry. Made by ``open_ledger``.

    Any thread may call it; calls follow one another. After a fork both processes may go on. Every method raises
    ``LedgerError`` if it can't do its work, and the next call tries afresh. ``close`` it in the end.
    """

    def __init__(self, path: Path, *, registry_name: str, location: str, read_only: bool, busy_seconds: float) -> None:
        self._who = {"name": registry_name, "location": location}
        self._fresh_owner_id = secrets.token_hex(8)
        self._samples = SamplesText()
        self._store = LedgerConnection(path, read_only=read_only, busy_seconds=busy_seconds, prepare=self._enrol)
        try:
            self.registry()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file for good; every later call raises ``LedgerError``."""
        self._store.close()

    def registry(self) -> RegistryState:
        """What is remembered of the registry. Where nothing may be written and nothing was, its owner id is a new one that is
        not kept."""
        return self._read(lambda connection: self._registry(connection)[1])

    def load_state(self, ids: Collection[str], now: float) -> LedgerState:
        """All that a sweep over these workspaces needs, as it was at one moment. ``now`` in Unix seconds: the last hour and
        the last day end with it, and a reap counts from the time of its outcome."""
        return self._read(lambda connection: sound_memory(self._memory(connection, ids, now)))

    def save(self, changes: StateChanges) -> None:
        """Write the changes in one transaction; where there are none the file is not touched."""
        self._store.check_writable()
        if changes:
            with self._store.writing() as connection:
                write_changes(connection, self._registry(connection)[0], changes, self._samples)

    def record_deletion(self, workspace_id: str, now: float) -> None:
        """A hook named this workspace as deleted: kept, with the last time, until ``StateChanges.settled`` names it. It
        counts as ``named`` too."""
        with self._store.writing() as connection:
            registry_id = self._name(connection, workspace_id, now)
            connection.execute(sql.TESTIFY, {"registry_id": registry_id, "workspace_id": workspace_id, "at": now})

    def record_named(self, workspace_id: str, now: float) -> None:
        """A hook named this workspace: kept, with the registry's generation. The last time counts."""
        with self._store.writing() as connection:
            self._name(connection, workspace_id, now)

    def record_intents(self, intents: Sequence[Intent]) -> None:
        """Commit the intents, all or none; only then may the kills be tried. A ``reap_id`` can't be used twice."""
        self._store.check_writable()
        if intents:
            with self._store.writing() as connection:
                registry_id = self._registry(connection)[0]
                connection.execute(sql.INTEND, [{"registry_id": registry_id, **reap_codec.intent_row(one)} for one in intents])

    def record_results(self, outcomes: Sequence[ReapResult]) -> None:
        """Commit the outcomes, all or none. An outcome is written once: raises ``LedgerError`` where an intent is not there
        or not open."""
        self._store.check_writable()
        if outcomes:
            with self._store.writing() as connection:
                registry_id = self._registry(connection)[0]
                rows = [{"of_registry": registry_id, **reap_codec.outcome_row(outcome)} for outcome in outcomes]
                if connection.execute(sql.CONCLUDE, rows).rowcount != len(rows):
                    connection.rollback()
                    raise LedgerError(self._why_not(connection, registry_id, outcomes))

    def save_report(self, head: str, sessions: str, *, sweep: str, at: float, complete: bool) -> None:
        """Keep both parts of a report (JSON) in place of the one before; ``at`` is when its ``sweep`` ended."""
        with self._store.writing() as connection:
            row = {
                "registry_id": self._registry(connection)[0],
                "at": at,
                "complete_at": at if complete else None,
                "head": head.encode(),
                "sessions_of": sweep,
                "sessions": sessions.encode(),
            }
            connection.execute(sql.SAVE_REPORT, row)

    def touch_report(self, head: str, *, same: str, at: float, complete: bool) -> bool:
        """Keep the head of a report whose sessions are still those of the sweep ``same``; False if others were saved since."""
        with self._store.writing() as connection:
            row = {
                "of_registry": self._registry(connection)[0],
                "same": same,
                "now": at,
                "complete_now": at if complete else None,
                "new_head": head.encode(),
            }
            return bool(connection.execute(sql.TOUCH_REPORT, row).rowcount)

    def last_report(self) -> tuple[str, str] | None:
        """The last full report as it was saved: its head, and its sessions."""

        def decoded(connection: Connection) -> tuple[str, str] | None:
            rows = self._rows(connection, sql.LAST_REPORT)
            return (rows[0].head.decode(), rows[0].sessions.decode()) if rows else None

        return self._read(decoded)

    def history(self, limit: int) -> list[Reap]:
        """The latest reaps of this registry in the order of their intents, newest first."""
        return self._reaps(sql.HISTORY, limit=limit)

    def find(self, reap_id: str) -> Reap | None:
        """The reap of this registry with that id, in upper or lower case; None if there is none."""
        return next(iter(self._reaps(sql.FIND, reap_id=reap_id.upper())), None)

    def events(self, limit: int) -> list[Event]:
        """The latest events of this registry, newest first."""
        return self._read(lambda connection: [sound(Event(*row)) for row in self._rows(connection, sql.EVENTS, limit=limit)])

    def _enrol(self, connection: Connection) -> None:
        """Give the registry its row, once."""
        if self._store.read_only or self._registry(connection)[0] != _NO_ROW:
            connection.rollback()
            return
        fresh = codec.registry_row(RegistryState(self._fresh_owner_id))
        connection.execute(sql.ENROL, {**self._who, "stamp": self._fresh_owner_id, **fresh})
        connection.commit()

    def _registry(self, connection: Connection) -> tuple[int, RegistryState]:
        row = connection.execute(sql.FIND_REGISTRY, self._who).one_or_none()
        if row is None:
            return _NO_ROW, RegistryState(self._fresh_owner_id)
        return row[0], sound(codec.registry(row[1:]))

    def _memory(self, connection: Connection, ids: Collection[str], now: float) -> LedgerState:
        registry_id, registry = self._registry(connection)

        def rows(statement: Any, **parameters: Any) -> Any:
            return connection.execute(statement, {"registry_id": registry_id, **parameters}).all()

        asked = codec.ids_parameter(ids)
        known = rows(sql.WORKSPACES, ids=asked) if ids else ()
        reaped = rows(sql.REAPED_SINCE, ids=asked, since=now - _DAY) if ids else ()
        breaker = rows(sql.BREAKER)
        cpu, clock = rows(sql.CPU), rows(sql.CLOCK)
        return LedgerState(
            registry=registry,
            seen={workspace_id: generation for workspace_id, generation, _, _ in known if generation is not None},
            sightings=codec.sightings(rows(sql.SIGHTINGS)),
            servers={socket: ServerState(*server) for socket, *server in rows(sql.SERVERS)},
            breaker=codec.breaker(breaker[0] if breaker else None),
            testimony={row[0]: row[1] for row in rows(sql.TESTIMONY)},
            named={workspace_id: generation for workspace_id, _, generation, _ in known if generation is not None},
            orphans_last_hour=rows(sql.ORPHANS_SINCE, since=now - _HOUR)[0][0],
            reaped_lately={(socket, session): at for socket, session, at in reaped},
            open_intents=tuple(reap_codec.intent(row) for row in rows(sql.OPEN_INTENTS)),
            alarms={row[0]: Alarm(*row) for row in rows(sql.ALARMS)},
            last_complete=next((row[0] for row in rows(sql.LAST_COMPLETE)), None),
            cpu=CpuState(cpu[0].at, self._samples.decode(cpu[0].samples)) if cpu else CpuState(),
            clock=codec.clock(clock[0] if clock else None),
            worktrees={workspace_id: worktree for workspace_id, _, _, worktree in known if worktree is not None},
        )

    def _read(self, read: Callable[[Connection], T]) -> T:
        try:
            with self._store.reading() as connection:
                return read(connection)
        except (ValueError, KeyError, TypeError) as error:  # what decoding raises for a row that this version did not write
            path = shown(self._store.path)
            raise LedgerError(
                f"The ledger {path} holds something that can't be understood ({error!r}): move it away."
            ) from error

    def _name(self, connection: Connection, workspace_id: str, now: float) -> int:
        registry_id, registry = self._registry(connection)
        # Before the first full sweep there is no generation yet: what that sweep will find is the first.
        generation = max(1, registry.generation)
        who = {"registry_id": registry_id, "workspace_id": workspace_id}
        connection.execute(sql.NAME, {**who, "named_at": now, "named_generation": generation})
        return registry_id

    def _rows(self, connection: Connection, statement: Any, **parameters: Any) -> Any:
        return connection.execute(statement, {"registry_id": self._registry(connection)[0], **parameters}).all()

    def _reaps(self, statement: Any, **parameters: Any) -> list[Reap]:
        return self._read(
            lambda connection: [sound(reap_codec.reap(row)) for row in self._rows(connection, statement, **parameters)]
        )

    def _why_not(self, connection: Connection, registry_id: int, outcomes: Sequence[ReapResult]) -> str:
        for outcome in outcomes:
            who = {"registry_id": registry_id, "reap_id": outcome.reap_id}
            stands = connection.execute(sql.OUTCOME, who).scalar_one_or_none()
            if stands != Outcome.OPEN:
                what = "there is no such intent" if stands is None else f"it is already concluded as {stands}"
                return f"The outcome of reap {outcome.reap_id} can't be written: {what}."
        return "A reap can't have two outcomes at once."


def write_changes(connection: Connection, registry_id: int, changes: StateChanges, samples: SamplesText) -> None:
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

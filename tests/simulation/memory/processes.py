"""The port ``Processes`` over a simulated machine. ``tests/contract/test_process_*.py`` hold it to the real one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tests.simulation.memory.machine import INIT, MemoryMachine
from tests.simulation.memory.process import SimulatedProcess
from workspace_reaper.model.process import (
    Details,
    Origin,
    OwnLocation,
    Port,
    Process,
    ProcessKey,
    ProcessTable,
    Scheduling,
    SignalResult,
)
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.processes.details import command_text

__all__ = ["MemoryProcesses"]

_SIGNALS = range(65)


class MemoryProcesses:
    """The processes of a `MemoryMachine` as the reaper sees them, which runs as the process ``own``."""

    def __init__(self, machine: MemoryMachine, own: int) -> None:
        self._machine = machine
        self.own = own
        self._rows: Mapping[int, Process] = {}
        self._origins: dict[ProcessKey, Origin] = {}

    @property
    def boot(self) -> str:
        return self._machine.boot

    def start_time(self, pid: int) -> float | None:
        one = self._machine.find(pid)
        return None if one is None or one.is_hidden else one.key.started

    def may_live(self, pid: int, started: float | None) -> bool:
        one = self._machine.find(pid)
        return one is not None and (one.is_hidden or started is None or one.key.started == started)

    def own_location(self) -> OwnLocation:
        processes = self._machine.processes
        pids = {self.own}
        above = processes[self.own].parent
        while above in processes and not processes[above].is_hidden:
            pids.add(above)
            above = processes[above].parent
        origin = processes[self.own].origin
        return OwnLocation(frozenset(pids), None if origin is None else (origin.server_pid, origin.pane))

    def table(self) -> ProcessTable | Unknown:
        if self._machine.fault is not None:
            return Unknown(Source.PROCESSES, self._machine.fault)
        rows = self._machine.rows()
        if rows is not self._rows:
            self._remember(rows)
        return ProcessTable(self._machine.clock.now(), rows)

    def glance(self) -> ProcessTable | Unknown:
        before = self._origins
        table = self.table()
        if isinstance(table, Unknown) or self._origins is before:
            return table
        stale = {
            pid: row._replace(origin=before[row.key])
            for pid, row in table.processes.items()
            if row.key in before and row.origin != before[row.key] and not row.zombie
        }
        if not stale:
            return table
        rows = {**table.processes, **stale}
        self._remember(rows)
        return ProcessTable(table.at, rows)

    def _remember(self, rows: Mapping[int, Process]) -> None:
        self._rows = rows
        self._origins = {row.key: row.origin for row in rows.values() if row.origin is not None}

    def details(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, Details]:
        return {key: self._details(one) for key in keys if (one := self._seen(key)) is not None}

    def _details(self, one: SimulatedProcess) -> Details:
        facts = (one.argv, one.uids, one.memory, one.ports)
        if one.details is None or one.details[0] != facts:
            ports = one.ports if self._machine.may_read(one) else frozenset[Port]()
            one.details = facts, Details(command_text(one.argv, one.name), one.argv, one.uids, one.memory, ports)
        return one.details[1]

    def scheduling(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, Scheduling]:
        found = ((key, self._seen(key)) for key in keys)
        return {key: Scheduling(one.waited, one.is_runnable) for key, one in found if one is not None}

    def living(self, keys: Collection[ProcessKey]) -> frozenset[ProcessKey]:
        return frozenset(key for key in keys if self.may_live(key.pid, key.started))

    def is_inside(self, key: ProcessKey, directory: str) -> bool:
        one = self._readable(key)
        return one is not None and self._machine.tree.is_inside(one.directory, directory, self._machine.homes)

    def needed(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, str]:
        own = {key.pid for key in keys}
        found = ((key, self._who_needs(key, own)) for key in keys)
        return {key: why for key, why in found if why is not None}

    def _who_needs(self, key: ProcessKey, own: Collection[int]) -> str | None:
        one = self._machine.find(key.pid)
        if one is None or one.is_hidden or not self._machine.may_read(one):
            return None
        if one.serves_mount:
            return "it serves a mounted file system"
        if one.serves_terminals:
            return "terminals run in it, and others may be attached to them"
        for client in self._machine.living_clients(one):
            if client.pid not in own and not client.is_hidden and self._machine.may_read(client):
                return f"the process {client.pid} ({client.name}) of another session is connected to it"
        return None

    def working_directory(self, key: ProcessKey) -> str | None:
        one = self._readable(key)
        return None if one is None else one.directory.path()

    def listening(self) -> frozenset[Port]:
        self._machine.settle()
        living = [one for one in self._machine.processes.values() if one.ports and not one.is_zombie]
        return frozenset(port for one in living for port in one.ports)

    def signal(self, key: ProcessKey, number: int) -> SignalResult:
        one = self._machine.find(key.pid)
        if key.pid <= INIT or key.pid == self.own or (one is not None and one.is_hidden):
            return SignalResult.REFUSED
        if one is None or one.key != key:
            return SignalResult.GONE
        if not self._machine.may_read(one) or number not in _SIGNALS:
            return SignalResult.REFUSED
        self._machine.send(one, number, "reaper")
        return SignalResult.SENT

    def _seen(self, key: ProcessKey) -> SimulatedProcess | None:
        """The process, if it is in the table."""
        one = self._machine.find(key.pid)
        return None if one is None or one.is_hidden or one.key != key else one

    def _readable(self, key: ProcessKey) -> SimulatedProcess | None:
        one = self._seen(key)
        return one if one is not None and self._machine.may_read(one) else None

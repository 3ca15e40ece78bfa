"""Step 8, terminate: processes that survived their session get TERM, and KILL after a grace. For all sessions of a sweep at
once."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from workspace_reaper.model.machine_ports import Clock, Processes
from workspace_reaper.model.process import Details, Port, Process, ProcessKey, ProcessTable, SignalResult
from workspace_reaper.model.reap import EndedProcess, ProcessCleanup, RecordedProcess, SurvivingProcess
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.policy.survivors import LOGIN_DAEMONS, Suspect, spared_because
from workspace_reaper.sweep.context import SweepContext
from workspace_reaper.sweep.leftovers import HIDDEN, NO_OTHERS, Dependents, LeftoverProcesses, Others, ProcessOrigins
from workspace_reaper.sweep.untraced import untraced

# Seconds between two looks at the processes that were signalled.
POLL = 0.05

# Seconds between two scans of all processes while some have not ended: those may start others.
RESCAN = 1.0

# Seconds for KILL to work. A process that lives longer hangs in the kernel, or is started again and again.
LAST_WAIT = 1.0


@dataclass(slots=True)
class _Leftover:
    """A process that survived its session. ``sent`` is the last signal, ``spared`` the reason why it gets none."""

    source: LeftoverProcesses
    process: RecordedProcess
    sent: str | None = None
    spared: str | None = None


def terminate(
    context: SweepContext,
    shown: Mapping[int, frozenset[str] | None],
    leftovers: Sequence[LeftoverProcesses],
    others: Others = NO_OTHERS,
) -> Mapping[SessionKey, ProcessCleanup]:
    """End the processes of killed sessions. ``shown`` are the listed panes of each server, see ``Termination``."""
    settings = context.settings
    termination = Termination(
        context.dependencies.processes,
        context.dependencies.clock,
        grace=settings.kill_grace,
        everywhere=settings.end_everywhere,
        own_uid=os.geteuid(),
        shown=shown,
        others=others,
    )
    return termination.run(leftovers)


class Termination:
    """The end of the leftover processes of one sweep.

    ``shown`` are the panes in the listing after the kill, by server pid. None stands for a server whose socket could not be
    listed: no process that came from it is signalled. ``grace`` is in seconds. ``others`` may depend on a process.
    """

    def __init__(
        self,
        processes: Processes,
        clock: Clock,
        *,
        grace: float,
        everywhere: bool,
        own_uid: int,
        shown: Mapping[int, Collection[str] | None],
        others: Others = NO_OTHERS,
    ) -> None:
        self._processes = processes
        self._clock = clock
        self._grace = grace
        self._everywhere = everywhere
        self._own_uid = own_uid
        self._own_pids = processes.own_location().pids
        self._shown = shown
        self._others = others
        self._dependents: Dependents | None = None
        self._table: ProcessTable | None = None
        self._found: dict[ProcessKey, _Leftover] = {}

    def run(self, leftovers: Sequence[LeftoverProcesses]) -> dict[SessionKey, ProcessCleanup]:
        """End the leftover processes. Takes at most the grace and about one second more."""
        ended = self._signal_until_gone(leftovers, "TERM", self._grace) or self._signal_until_gone(leftovers, "KILL", LAST_WAIT)
        if not ended:
            # Find what was started last: it is ended as well, or reported.
            self._scan_and_signal(leftovers, "KILL")
            self._wait_until_gone(self._clock.monotonic() + 2 * POLL)
        living = self._processes.living(list(self._found))
        listening = self._processes.listening() if any(one.ports for one in leftovers) else frozenset()
        untraced = self._untraced(leftovers)
        return {one.key: self._cleanup(one, living, listening, untraced.get(one.key, ())) for one in leftovers}

    def _untraced(self, leftovers: Sequence[LeftoverProcesses]) -> Mapping[SessionKey, Sequence[SurvivingProcess]]:
        if self._table is None or self._dependents is None:
            return {}
        own = {process.key for pid in self._own_pids if (process := self._table.processes.get(pid))}
        return untraced(self._processes, self._table, leftovers, self._dependents, own | self._found.keys())

    def _signal_until_gone(self, leftovers: Sequence[LeftoverProcesses], name: str, seconds: float) -> bool:
        """Signal all leftover processes until two scans find none. Returns False after ``seconds`` from the first signal.

        One scan is not enough: it misses what was started after it listed the pids, by a process that ended before it was read.
        """
        until = None
        while self._scan_and_signal(leftovers, name) or self._scan_and_signal(leftovers, name):
            until = self._clock.monotonic() + seconds if until is None else until
            next_scan = min(until, self._clock.monotonic() + RESCAN)
            if not self._wait_until_gone(next_scan) and self._clock.monotonic() >= until:
                return False
        return True

    def _scan_and_signal(self, leftovers: Sequence[LeftoverProcesses], name: str) -> bool:
        """Scan all processes, and signal each leftover one that has not had this signal. Returns whether any was alive."""
        table = self._processes.table()
        if isinstance(table, Unknown):
            self._add_without_table(leftovers)
        else:
            known = {*self._found, *(one.key for source in leftovers for one in source.recorded)}
            self._table, self._dependents = table, self._others.in_scan(table, self._processes, leftovers, known)
            self._add_recorded(leftovers, table)
            self._add_started(leftovers, table)
        living = self._living()
        for key in living:
            leftover = self._found[key]
            if leftover.sent == name:
                continue
            # Between TERM and KILL somebody may have begun to depend on it.
            if name == "KILL" and (why := self._needed(leftover, table)):
                leftover.spared = why
                continue
            if self._processes.signal(key, signal.Signals[f"SIG{name}"]) is SignalResult.REFUSED:
                leftover.spared = "the system did not permit the signal"
                continue
            leftover.sent = name
            if name == "TERM":
                # A stopped process does not get to its handler of TERM before it continues.
                self._processes.signal(key, signal.SIGCONT)
        return bool(living)

    def _needed(self, leftover: _Leftover, table: ProcessTable | Unknown) -> str | None:
        """Return who depends on the process now, as a clause, or None."""
        if isinstance(table, Unknown):
            return "the process table cannot be read"
        process, known = _same_process(table, leftover.process.key), self._dependents
        return known.of(process, leftover.source.worktree) if process is not None and known is not None else None

    def _wait_until_gone(self, until: float) -> bool:
        """Poll until no signalled process is alive. Returns False at ``until`` (monotonic seconds)."""
        while self._living():
            if self._clock.monotonic() >= until:
                return False
            self._clock.sleep(POLL)
        return True

    def _living(self) -> list[ProcessKey]:
        targets = [key for key, leftover in self._found.items() if leftover.spared is None]
        living = self._processes.living(targets) if targets else frozenset()
        return [key for key in targets if key in living]

    # Which processes are left

    def _add_without_table(self, leftovers: Sequence[LeftoverProcesses]) -> None:
        """Add the recorded processes that live, and spare them: without the table their place in the tree is unknown."""
        for source, process in self._not_found_yet(leftovers):
            if self._processes.living([process.key]):
                self._found[process.key] = _Leftover(source, process, spared="the process table cannot be read")

    def _add_recorded(self, leftovers: Sequence[LeftoverProcesses], table: ProcessTable) -> None:
        for source, recorded in self._not_found_yet(leftovers):
            process = _same_process(table, recorded.key)
            if process is not None:
                self._add(source, recorded, process, table)

    def _not_found_yet(self, leftovers: Sequence[LeftoverProcesses]) -> Iterator[tuple[LeftoverProcesses, RecordedProcess]]:
        for source in leftovers:
            for process in source.recorded:
                if process.key not in self._found:
                    yield source, process

    def _add_started(self, leftovers: Sequence[LeftoverProcesses], table: ProcessTable) -> None:
        """Add what the session's processes have started since they were recorded."""
        members = {key.pid: leftover for key, leftover in self._found.items() if _same_process(table, key)}
        origins = ProcessOrigins(leftovers)
        for process in sorted(table.processes.values(), key=lambda process: process.key.started):
            if process.key in self._found or process.zombie:
                continue
            parent = members.get(process.parent)
            if parent is not None and parent.spared is None:
                source, descendant, pane = parent.source, parent.process.descendant, parent.process.pane
            else:
                origin = origins.source_of(process)
                if origin is None:
                    continue
                source, pane = origin, process.origin.pane if process.origin else ""
                # Its parent is gone. If no process of the session was spared, it comes from one that was ended.
                descendant = not any(one.spared for one in self._found.values() if one.source is source)
            self._add(source, RecordedProcess(process.key, process.name, pane, descendant), process, table)
            members[process.key.pid] = self._found[process.key]

    def _add(self, source: LeftoverProcesses, recorded: RecordedProcess, process: Process, table: ProcessTable) -> None:
        key = recorded.key
        known = source.details.get(key) or self._processes.details([key]).get(key)
        spared = source.left_alone or self._spared_because(source, recorded, process, table, known)
        if known is not None and recorded.command != known.command:
            recorded = replace(recorded, command=known.command)
        self._found[key] = _Leftover(source, recorded, spared=spared)

    def _spared_because(
        self,
        source: LeftoverProcesses,
        recorded: RecordedProcess,
        process: Process,
        table: ProcessTable,
        known: Details | None,
    ) -> str | None:
        shown = self._shown.get(source.key.server_pid, ())
        if shown is None:
            return "the session's socket cannot be read"
        suspect = Suspect(
            process=process,
            pane_lives=recorded.pane in shown,
            uids=known.uids if known else None,
            descendant=recorded.descendant,
            in_worktree=self._in_worktree(source, recorded),
            shelter=self._login_daemon_above(source, process, table),
            command=known.command if known else recorded.command,
            depends=self._dependents.of(process, source.worktree) if self._dependents else None,
        )
        return spared_because(suspect, own_uid=self._own_uid, own_pids=self._own_pids, everywhere=self._everywhere)

    def _in_worktree(self, source: LeftoverProcesses, recorded: RecordedProcess) -> bool | None:
        if recorded.descendant or self._everywhere:
            return True
        return None if source.worktree is None else self._processes.is_inside(recorded.key, source.worktree)

    def _login_daemon_above(self, source: LeftoverProcesses, process: Process, table: ProcessTable) -> str | None:
        """Return the name of a login daemon of the session above the process. Other daemons prove nothing: a login's
        ``systemd`` is above every orphaned process."""
        above, seen = table.processes.get(process.parent), {process.key.pid}
        while above is not None and above.key.pid not in seen:
            own = above.key in self._found or above.key in (one.key for one in source.recorded)
            if own and above.name in LOGIN_DAEMONS:
                return above.name
            seen.add(above.key.pid)
            above = table.processes.get(above.parent)
        return None

    # What became of them

    def _cleanup(
        self,
        source: LeftoverProcesses,
        living: Collection[ProcessKey],
        listening: Collection[Port],
        unknown: Sequence[SurvivingProcess],
    ) -> ProcessCleanup:
        # The sessions of a group have the same processes: the record of each says what became of them.
        own = {one.key for one in source.recorded}
        found = {key: one for key, one in self._found.items() if one.source is source or key in own}
        hung_up = [one for one in source.recorded if one.key not in found]
        ended = [EndedProcess(one.key.pid, one.command, "HUP") for one in hung_up]
        survivors, freed = [HIDDEN] * source.is_hidden, sum(source.memory(one.key) for one in hung_up)
        for key, leftover in found.items():
            command = leftover.process.command
            if key in living:
                survivors.append(SurvivingProcess(key.pid, command, leftover.spared or "it did not end on KILL"))
            else:
                ended.append(EndedProcess(key.pid, command, leftover.sent or "HUP"))
                freed += source.memory(key)
        survivors.extend(unknown)
        return ProcessCleanup(
            ended=tuple(ended),
            survivors=tuple(survivors),
            freed_bytes=freed if source.details and not source.is_hidden else None,
            freed_ports=_ports_text(source.ports - frozenset(listening)),
            held_ports=_ports_text(source.ports & frozenset(listening)),
        )


def _same_process(table: ProcessTable, key: ProcessKey) -> Process | None:
    """Return the process, or None if its pid was reused or it is a zombie."""
    process = table.processes.get(key.pid)
    return process if process is not None and process.key == key and not process.zombie else None


def _ports_text(ports: Collection[Port]) -> tuple[str, ...]:
    return tuple(f"{port.protocol} {port.number}" for port in sorted(ports))

"""Step 8: what outlives its session gets TERM, and KILL after a grace. For all sessions of a sweep at once."""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from workspace_reaper.model.ports import Processes
from workspace_reaper.model.process import Details, Port, Process, ProcessKey, ProcessTable, SignalResult
from workspace_reaper.model.reap import EndedProcess, ProcessCleanup, RecordedProcess, SurvivingProcess
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.policy.survivors import LOGIN_DAEMONS, Suspect, spared_because

__all__ = ["LeftoverProcesses", "Termination"]

POLL = 0.05
"""Seconds between two looks at those that were signalled."""

RESCAN = 1.0
"""Seconds between two passes over all processes while some are still to end: those may start others."""

LAST_WAIT = 1.0
"""Seconds for KILL to work. What then lives can't be ended: it hangs in the kernel, or starts itself anew all the time."""


@dataclass(frozen=True, slots=True)
class LeftoverProcesses:
    """What a dead session left behind. ``panes`` are its panes' ids, ``relatives`` its processes as they were before the
    kill, ``details`` what was read of them then."""

    key: SessionKey
    panes: frozenset[str]
    worktree: str | None
    relatives: Sequence[RecordedProcess]
    details: Mapping[ProcessKey, Details] = field(default_factory=dict)

    @property
    def since(self) -> float | None:
        """Nothing of it can have started before. None: there were no processes."""
        return min((relative.key.started for relative in self.relatives), default=None)

    @property
    def ports(self) -> frozenset[Port]:
        """The ports on which its processes listened."""
        return frozenset(port for one in self.details.values() for port in one.ports)


@dataclass(slots=True)
class _Leftover:
    """A process that outlived its session. ``sent`` is the last signal; ``left`` why it gets none."""

    estate: LeftoverProcesses
    relative: RecordedProcess
    sent: str | None = None
    left: str | None = None


class Termination:
    """One for each sweep that kills. ``shown`` are the panes (server pid, pane id) in the listing after the kill; None where a
    socket could not be listed, and then nothing that came from its server is touched."""

    def __init__(
        self, processes: Processes, *, grace: float, everywhere: bool, own_uid: int, shown: Mapping[int, Collection[str] | None]
    ) -> None:
        self._processes = processes
        self._grace = grace
        self._everywhere = everywhere
        self._own_uid = own_uid
        self._own_pids = processes.whereabouts().pids
        self._shown = shown
        self._heirs: dict[ProcessKey, _Leftover] = {}

    def run(self, estates: Sequence[LeftoverProcesses]) -> dict[SessionKey, ProcessCleanup]:
        """End what is left of these sessions; takes at most the grace and about a second more."""
        if not self._press(estates, "TERM", self._grace) and not self._press(estates, "KILL", LAST_WAIT):
            # What started last is known only now: it is ended as well, or told.
            self._round(estates, "KILL")
            self._wait(time.monotonic() + 2 * POLL)
        return self._account(estates)

    def _press(self, estates: Sequence[LeftoverProcesses], name: str, seconds: float) -> bool:
        """Signal all that lives until two passes over all processes find nothing more; False if these seconds came first.
        They begin when the first are signalled: with many processes a pass takes long.

        One pass misses what was started after it listed the pids by a process that had ended before it was read.
        """
        until = None
        while self._round(estates, name) or self._round(estates, name):
            until = time.monotonic() + seconds if until is None else until
            if not self._wait(min(until, time.monotonic() + RESCAN)) and time.monotonic() >= until:
                return False
        return True

    def _round(self, estates: Sequence[LeftoverProcesses], name: str) -> bool:
        """Look for all that lives, and signal what has not had this signal yet; False if nothing lived."""
        table = self._processes.table()
        self._discover(estates, None if isinstance(table, Unknown) else table)
        living = self._living()
        for key in living:
            heir = self._heirs[key]
            if heir.sent != name:
                self._signal(key, heir, name)
        return bool(living)

    def _wait(self, until: float) -> bool:
        """Poll until none that was signalled lives; False if the time came first."""
        while self._living():
            if time.monotonic() >= until:
                return False
            time.sleep(POLL)
        return True

    def _living(self) -> list[ProcessKey]:
        targets = [key for key, heir in self._heirs.items() if heir.left is None]
        living = self._processes.living(targets) if targets else frozenset()
        return [key for key in targets if key in living]

    def _signal(self, key: ProcessKey, heir: _Leftover, name: str) -> None:
        if self._processes.signal(key, signal.Signals[f"SIG{name}"]) is SignalResult.REFUSED:
            heir.left = "the system did not allow it to be signalled"
        else:
            heir.sent = name

    # Who is left

    def _discover(self, estates: Sequence[LeftoverProcesses], table: ProcessTable | None) -> None:
        for estate in estates:
            recorded = [one for one in estate.relatives if one.key not in self._heirs]
            living = self._processes.living([one.key for one in recorded]) if recorded and table is None else None
            for one in recorded:
                process = _same(table, one.key) if table else None
                if table is not None and process is not None:
                    self._admit(estate, one, process, table)
                elif living is not None and one.key in living:
                    # Without a table nothing can be told of it but that it is there.
                    self._heirs[one.key] = _Leftover(estate, one, left="the process table can't be read")
        if table is not None:
            self._discover_new(estates, table)

    def _discover_new(self, estates: Sequence[LeftoverProcesses], table: ProcessTable) -> None:
        """What the session's processes have started since they were recorded."""
        members = {key.pid: heir for key, heir in self._heirs.items() if _same(table, key)}
        origins = _Origins(estates)
        for process in sorted(table.processes.values(), key=lambda process: process.key.started):
            if process.key in self._heirs or process.zombie:
                continue
            parent = members.get(process.parent)
            if parent is not None and parent.left is None:
                estate, descendant, pane = parent.estate, parent.relative.descendant, parent.relative.pane
            else:
                found = origins.estate_of(process)
                if found is None:
                    continue
                # Its parent is gone. Where none of the session's processes was left alone, it comes from one that was ended.
                estate, pane = found, process.origin.pane if process.origin else ""
                descendant = not any(heir.left for heir in self._heirs.values() if heir.estate is found)
            relative = RecordedProcess(process.key, process.name, pane, descendant)
            self._admit(estate, relative, process, table)
            members[process.key.pid] = self._heirs[process.key]

    def _admit(self, estate: LeftoverProcesses, relative: RecordedProcess, process: Process, table: ProcessTable) -> None:
        key = relative.key
        known = estate.details.get(key) or self._processes.details([key]).get(key)
        shown = self._shown.get(estate.key.server_pid, ())
        left = None
        if shown is None:
            left = "the session's socket can't be read"
        elif not process.zombie:
            suspect = Suspect(
                process=process,
                pane_lives=relative.pane in shown,
                uids=known.uids if known else None,
                descendant=relative.descendant,
                in_worktree=self._in_worktree(estate, relative),
                shelter=self._shelter(estate, process, table),
            )
            left = spared_because(suspect, own_uid=self._own_uid, own_pids=self._own_pids, everywhere=self._everywhere)
        if known is not None and relative.command != known.command:
            relative = RecordedProcess(key, known.command, relative.pane, relative.descendant)
        self._heirs[key] = _Leftover(estate, relative, left=left)

    def _in_worktree(self, estate: LeftoverProcesses, relative: RecordedProcess) -> bool | None:
        if relative.descendant or self._everywhere:
            return True
        return None if estate.worktree is None else self._processes.is_inside(relative.key, estate.worktree)

    def _shelter(self, estate: LeftoverProcesses, process: Process, table: ProcessTable) -> str | None:
        """The daemon above it that is the session's own. Any other tells nothing: a login's ``systemd`` has every orphan."""
        above, seen = table.processes.get(process.parent), {process.key.pid}
        while above is not None and above.key.pid not in seen:
            own = above.key in self._heirs or above.key in (one.key for one in estate.relatives)
            if own and above.name in LOGIN_DAEMONS:
                return above.name
            seen.add(above.key.pid)
            above = table.processes.get(above.parent)
        return None

    # What became of them

    def _account(self, estates: Sequence[LeftoverProcesses]) -> dict[SessionKey, ProcessCleanup]:
        living = self._processes.living(list(self._heirs))
        listening = self._processes.listening() if any(estate.ports for estate in estates) else frozenset()
        return {estate.key: self._aftermath(estate, living, listening) for estate in estates}

    def _aftermath(
        self, estate: LeftoverProcesses, living: Collection[ProcessKey], listening: Collection[Port]
    ) -> ProcessCleanup:
        heirs = {key: heir for key, heir in self._heirs.items() if heir.estate is estate}
        ended = [EndedProcess(one.key.pid, one.command, "HUP") for one in estate.relatives if one.key not in heirs]
        survivors, freed = [], sum(_memory(estate, one.key) for one in estate.relatives if one.key not in heirs)
        for key, heir in heirs.items():
            if key in living:
                why = heir.left or "it did not end on KILL"
                survivors.append(SurvivingProcess(key.pid, heir.relative.command, why))
            else:
                ended.append(EndedProcess(key.pid, heir.relative.command, heir.sent or "HUP"))
                freed += _memory(estate, key)
        return ProcessCleanup(
            ended=tuple(ended),
            survivors=tuple(survivors),
            freed_bytes=freed if estate.details else None,
            freed_ports=_texts(estate.ports - frozenset(listening)),
            held_ports=_texts(estate.ports & frozenset(listening)),
        )


def _same(table: ProcessTable, key: ProcessKey) -> Process | None:
    """The process itself, unless its pid was handed out again, or it is dead and waits to be collected."""
    process = table.processes.get(key.pid)
    return process if process is not None and process.key == key and not process.zombie else None


class _Origins:
    """Which estate a process comes from, by what its environment says. One for each pass: with 500 sessions and as many
    processes, to ask every estate about every process would take longer than the pass."""

    def __init__(self, estates: Sequence[LeftoverProcesses]) -> None:
        self._by_pane: dict[tuple[int, str], list[tuple[float, LeftoverProcesses]]] = defaultdict(list)
        self._by_session: dict[tuple[int, int], list[tuple[float, LeftoverProcesses]]] = defaultdict(list)
        for estate in estates:
            server, since = estate.key.server_pid, estate.since
            if since is None:
                continue
            self._by_session[server, int(estate.key.session_id[1:])].append((since, estate))
            for pane in estate.panes:
                self._by_pane[server, pane].append((since, estate))

    def estate_of(self, process: Process) -> LeftoverProcesses | None:
        """None where it came from none of them, or from what had the same numbers before."""
        origin = process.origin
        if origin is None:
            return None
        named = [
            *self._by_pane.get((origin.server_pid, origin.pane), ()),
            *self._by_session.get((origin.server_pid, origin.session), ()),
        ]
        return next((estate for since, estate in named if process.key.started >= since), None)


def _memory(estate: LeftoverProcesses, key: ProcessKey) -> int:
    known = estate.details.get(key)
    return known.memory_bytes if known else 0


def _texts(ports: Collection[Port]) -> tuple[str, ...]:
    return tuple(f"{port.protocol} {port.number}" for port in sorted(ports))

"""What a killed session may have left behind, and which processes come from it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property

from workspace_reaper.model.machine_ports import Processes
from workspace_reaper.model.process import Details, Port, Process, ProcessKey, ProcessTable
from workspace_reaper.model.reap import RecordedProcess, SurvivingProcess
from workspace_reaper.model.session import Session, SessionKey
from workspace_reaper.model.state import LedgerState
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy.escaped_processes import SeenBelow, with_escaped
from workspace_reaper.policy.process_tree import children_of, is_tmux, processes_by_session
from workspace_reaper.sweep.context import SweepContext
from workspace_reaper.sweep.observe import with_record

# The pid that the reaper sees for a process outside of its pid namespace.
_OUTSIDE = 0

HIDDEN = SurvivingProcess(
    _OUTSIDE, "the processes of its panes", "they cannot be seen from here, as in another pid namespace: look for them there"
)


@dataclass(frozen=True, slots=True)
class LeftoverProcesses:
    """What a killed session may have left behind.

    ``panes`` are the ids of its panes, ``recorded`` its processes before the kill, and ``details`` what was read of them then.
    ``is_hidden``: processes of its panes could not be seen, so what became of them is unknown. ``left_alone`` is the reason why
    none of them is signalled, None if each is judged by itself.
    """

    key: SessionKey
    panes: frozenset[str]
    worktree: str | None
    recorded: Sequence[RecordedProcess]
    details: Mapping[ProcessKey, Details] = field(default_factory=dict)
    is_hidden: bool = False
    left_alone: str | None = None

    @property
    def started(self) -> float | None:
        """When the oldest process of the session started, None if there was no process."""
        return min((process.key.started for process in self.recorded), default=None)

    @property
    def ports(self) -> frozenset[Port]:
        """The ports on which the session's processes listened."""
        return frozenset(port for one in self.details.values() for port in one.ports)

    def memory(self, key: ProcessKey) -> int:
        """Return the memory that the process had, in bytes; 0 if it is unknown."""
        known = self.details.get(key)
        return known.memory_bytes if known else 0


class ProcessOrigins:
    """Finds the killed session from which a process comes, by the process's environment.

    One for each scan: with 500 sessions and as many processes, comparing each process with each session takes longer than the
    scan.
    """

    def __init__(self, leftovers: Sequence[LeftoverProcesses]) -> None:
        self._sources: dict[tuple[int, str], list[LeftoverProcesses]] = defaultdict(list)
        for source in leftovers:
            for name in (*source.panes, source.key.session_id):
                self._sources[source.key.server_pid, name].append(source)

    def source_of(self, process: Process) -> LeftoverProcesses | None:
        """Return the session that the process comes from, None if it is another one. What is older than the session comes from
        an earlier session with the same numbers."""
        origin = process.origin
        if origin is None:
            return None
        for name in (origin.pane, f"${origin.session}"):
            for source in self._sources.get((origin.server_pid, name), ()):
                if source.started is not None and process.key.started >= source.started:
                    return source
        return None


@dataclass(frozen=True, slots=True)
class Others:
    """Those who may depend on a process of a killed session.

    ``sessions`` are all that still live, ``worktrees`` the directories of workspaces that have one of them, and ``seen_below``
    what earlier sweeps have seen below the panes of sessions.
    """

    sessions: Sequence[Session] = ()
    worktrees: Mapping[str, str] = field(default_factory=dict)
    seen_below: SeenBelow = field(default_factory=dict)

    def in_scan(
        self, table: ProcessTable, processes: Processes, leftovers: Sequence[LeftoverProcesses], known: Collection[ProcessKey]
    ) -> Dependents:
        """Return the same for one scan of all processes.

        Args:
            table: The scan.
            processes: To look at working directories and open files.
            leftovers: The killed sessions.
            known: The processes that are known to come from them.
        """
        found = with_escaped(processes_by_session(table, self.sessions), self.seen_below, table)
        alive = {one.process.key for some in found.values() for one in some}
        origins, children = ProcessOrigins(leftovers), children_of(table)
        left = [one for one in table.processes.values() if one.key in known or origins.source_of(one) is not None]
        return Dependents(self, processes, alive, children, left)


# Without slots, for the sake of ``cached_property``.
@dataclass(frozen=True)
class Dependents:
    """Who depends on which process in one scan.

    ``alive`` are the processes of living sessions, and ``left`` those that come from the killed ones.
    """

    others: Others
    processes: Processes
    alive: Set[ProcessKey]
    children: Mapping[int, Sequence[Process]]
    left: Sequence[Process] = ()

    def of(self, process: Process, own: str | None) -> str | None:
        """Return who depends on the process, as a clause, or None.

        A daemon that runs programs for all, such as a process manager or a build server, is started by the first who needs it.
        Whatever supervises a process that is needed is needed too: it ends together with what it has started.

        Args:
            process: The process.
            own: The directory of its own workspace.
        """
        below = self._with_below(process)
        if any(one.key in self.alive for one in below):
            return "a process of a living session runs in it"
        for one in below:
            why = self._serving.get(one.key) or self._works_for(one, own)
            if why is not None:
                return why if one is process else f"the process {one.key.pid} below it is left alone: {why}"
        return None

    @cached_property
    def _serving(self) -> Mapping[ProcessKey, str]:
        """Who depends on the leftover processes by their open files, read once in the scan, and on all below these.

        A server may accept a connection in one process and answer it in a child.
        """
        own: dict[ProcessKey, Process] = {}
        queue = list(self.left)
        for one in queue:
            # What a living session or a nested tmux runs is an other, whatever started it.
            if one.key not in own and one.key not in self.alive and not is_tmux(one):
                own[one.key] = one
                queue.extend(child for child in self.children.get(one.key.pid, ()) if child.origin is None)
        found = self.processes.needed(own)
        serving = dict(found)
        for key, why in found.items():
            for one in self._with_below(own[key])[1:]:
                serving.setdefault(one.key, f"the process {key.pid} above it is left alone: {why}")
        return serving

    def _with_below(self, process: Process) -> list[Process]:
        found = [process]
        for one in found:
            found.extend(self.children.get(one.key.pid, ()))
        return found

    def _works_for(self, process: Process, own: str | None) -> str | None:
        nested = own is not None and any(own != one and _is_within(one, own) for one in self.others.worktrees.values())
        if own is not None and not nested and self.processes.is_inside(process.key, own):
            return None
        workspace_id = next((one for one, at in self._workspaces_of(process) if not _is_within(own, at)), None)
        return None if workspace_id is None else f"it works in the directory of the workspace {workspace_id}"

    def workspace_of(self, process: Process, own: str | None) -> str | None:
        """Return another workspace in whose directory the process works, also if it is the same directory as ``own``.

        A directory above ``own`` does not count.
        """
        found = self._workspaces_of(process)
        return next((one for one, at in found if own == at or not _is_within(own, at)), None)

    def _workspaces_of(self, process: Process) -> Iterator[tuple[str, str]]:
        return ((one, at) for one, at in self.others.worktrees.items() if self.processes.is_inside(process.key, at))


NO_OTHERS = Others()


def known_worktrees(state: LedgerState, rows: LookupResult) -> Mapping[str, str]:
    """Return the directories of workspaces, by id: those that rows name now, and those that they named before."""
    return {**state.worktrees, **{one: row.worktree for one, row in rows.found.items() if row.worktree}}


def others_of(context: SweepContext, sessions: Sequence[Session], worktrees: Mapping[str, str]) -> Others:
    """Return who may depend on the processes of killed sessions.

    Args:
        context: What the sweep works with.
        sessions: All sessions that still live.
        worktrees: The known directories of workspaces.
    """
    names = {session.name for session in sessions}
    matcher = with_record(context.dependencies.matcher, context.dependencies.registry, names)
    managed: Set[str | None] = worktrees.keys()  # all, while it is unknown which of them have a session
    if not isinstance(matcher, Unknown):
        managed = {matcher.manages(session) for session in sessions}
        if matcher.records_sessions:
            managed = managed.union(*map(matcher.named, sessions))
    known = {one: os.path.realpath(worktree) for one, worktree in worktrees.items() if one in managed}
    return Others(sessions, known, context.state.seen_below)


def _is_within(path: str | None, directory: str) -> bool:
    return path is not None and f"{os.path.realpath(path)}/".startswith(directory.rstrip("/") + "/")

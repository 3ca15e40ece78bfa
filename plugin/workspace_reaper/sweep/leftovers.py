"""What a killed session may have left behind, and which processes come from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field

from workspace_reaper.model.ports import Processes
from workspace_reaper.model.process import Details, Port, Process, ProcessKey, ProcessTable
from workspace_reaper.model.reap import RecordedProcess, SurvivingProcess
from workspace_reaper.model.session import Session, SessionKey
from workspace_reaper.policy.process_tree import children_of, processes_by_session

# The pid that the reaper sees for a process outside of its pid namespace.
_OUTSIDE = 0

HIDDEN = SurvivingProcess(
    _OUTSIDE, "the processes of its panes", "they cannot be seen from here, as in another pid namespace: look for them there"
)


@dataclass(frozen=True, slots=True)
class LeftoverProcesses:
    """What a killed session may have left behind.

    ``panes`` are the ids of its panes, ``recorded`` its processes before the kill, and ``details`` what was read of them then.
    ``is_hidden``: processes of its panes could not be seen, so what became of them is unknown.
    """

    key: SessionKey
    panes: frozenset[str]
    worktree: str | None
    recorded: Sequence[RecordedProcess]
    details: Mapping[ProcessKey, Details] = field(default_factory=dict)
    is_hidden: bool = False

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

    ``sessions`` are all that the listing after the kill has, ``worktrees`` the directories of workspaces that have one of them.
    """

    sessions: Sequence[Session] = ()
    worktrees: Mapping[str, str] = field(default_factory=dict)

    def in_scan(self, table: ProcessTable) -> Dependents:
        """Return the same for one scan of all processes."""
        alive = {one.process.key for some in processes_by_session(table, self.sessions).values() for one in some}
        return Dependents(self, alive, children_of(table))


@dataclass(frozen=True, slots=True)
class Dependents:
    """Who depends on which process in one scan. ``alive`` are the processes of living sessions."""

    others: Others
    alive: Set[ProcessKey]
    children: Mapping[int, Sequence[Process]]

    def of(self, process: Process, processes: Processes, own: str | None) -> str | None:
        """Return who depends on the process, as a clause, or None.

        A daemon that runs programs for all, such as a process manager or a build server, is started by the first who needs it.

        Args:
            process: The process.
            processes: To look at its working directory.
            own: The directory of its own workspace.
        """
        below = [process]
        for one in below:
            if one.key in self.alive:
                return "a process of a living session runs in it"
            below.extend(self.children.get(one.key.pid, ()))
        if own is not None and processes.is_inside(process.key, own):
            return None
        for workspace_id, worktree in self.others.worktrees.items():
            if not _is_within(own, worktree) and processes.is_inside(process.key, worktree):
                return f"it works in the directory of the workspace {workspace_id}"
        return None


NOBODY = Others()


def _is_within(path: str | None, directory: str) -> bool:
    return path is not None and (path == directory or path.startswith(directory.rstrip("/") + "/"))

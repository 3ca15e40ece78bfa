"""Processes in the directory of a reaped workspace that cannot be traced to its session: reported, never signalled."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence

from workspace_reaper.model.machine_ports import Processes
from workspace_reaper.model.process import Process, ProcessKey, ProcessTable
from workspace_reaper.model.reap import SurvivingProcess
from workspace_reaper.model.session import SessionKey
from workspace_reaper.sweep.leftovers import Dependents, LeftoverProcesses

WHY = "it works in the workspace's directory, and nothing shows that the session started it"


def untraced(
    processes: Processes,
    table: ProcessTable,
    leftovers: Sequence[LeftoverProcesses],
    dependents: Dependents,
    known: Container[ProcessKey],
) -> Mapping[SessionKey, Sequence[SurvivingProcess]]:
    """Return them by session, each process once.

    A process with a cleaned environment (``env -i``) that has left its session's tree looks like a user's own terminal in that
    directory. What works in a directory that it shares with another workspace is not reported.

    Args:
        processes: To look at working directories.
        table: All processes after the termination.
        leftovers: The killed sessions.
        dependents: The processes of other sessions, and the directories of their workspaces.
        known: The processes that came from the killed sessions, and the reaper with its ancestors.
    """
    sources = {os.path.realpath(source.worktree): source for source in leftovers if source.worktree}
    found: defaultdict[SessionKey, list[SurvivingProcess]] = defaultdict(list)
    if not sources:
        return found
    for process in table.processes.values():
        if process.origin is not None or process.zombie or process.key in known or process.key in dependents.alive:
            continue
        source = _source_of(process, processes, sources)
        if source is not None and dependents.workspace_of(process, source.worktree) is None:
            details = processes.details([process.key]).get(process.key)
            command = details.command if details else process.name
            found[source.key].append(SurvivingProcess(process.key.pid, command, WHY))
    return found


def _source_of(process: Process, processes: Processes, sources: Mapping[str, LeftoverProcesses]) -> LeftoverProcesses | None:
    # By the path first: with 500 sessions, to compare each process with each directory takes longer than the scan.
    path = processes.working_directory(process.key)
    source = next((sources[one] for one in _upwards(path) if one in sources), None) if path else None
    return source if source and source.worktree and processes.is_inside(process.key, source.worktree) else None


def _upwards(path: str) -> Iterator[str]:
    while path not in ("/", ""):
        yield path
        path = os.path.dirname(path)  # noqa: PTH120  a thousand paths in a sweep

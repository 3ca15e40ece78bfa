"""Processes that have left their session's process tree and no longer name it, remembered from earlier sweeps. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TypeAlias

from workspace_reaper.model.process import ProcessKey, ProcessTable
from workspace_reaper.model.session import SessionKey
from workspace_reaper.policy.process_tree import SessionProcess

# The panes below which the processes of each session were seen.
SeenBelow: TypeAlias = "Mapping[SessionKey, Mapping[ProcessKey, str]]"

_Found: TypeAlias = "Mapping[SessionKey, Sequence[SessionProcess]]"


def remember(before: SeenBelow, found: _Found, table: ProcessTable) -> SeenBelow:
    """Return what was seen below the panes of each session so far, as long as it runs.

    A process that is now below a pane of another session, because the pane was moved, belongs to that one alone.

    Args:
        before: What earlier sweeps have seen.
        found: The processes of all sessions in this sweep.
        table: The processes of this sweep.
    """
    now = {key: {one.process.key: one.pane for one in some if one.descendant} for key, some in found.items()}
    placed = {key for some in now.values() for key in some}
    running = _running(before, table) if before else frozenset()
    seen: dict[SessionKey, Mapping[ProcessKey, str]] = {}
    for session in {*before, *now}:
        earlier = {key: pane for key, pane in before.get(session, {}).items() if key in running and key not in placed}
        if known := {**earlier, **now.get(session, {})}:
            seen[session] = known
    return seen


def with_escaped(found: _Found, seen: SeenBelow, table: ProcessTable) -> dict[SessionKey, Sequence[SessionProcess]]:
    """Return the processes of each session with those that were seen below one of its panes and belong to no session now."""
    taken = {one.process.key for some in found.values() for one in some}
    complete = dict(found)
    for session, processes in found.items():
        left = [key for key in seen.get(session, {}) if key not in taken and _runs(key, table)]
        if left:
            panes = seen[session]
            complete[session] = [
                *processes,
                *(SessionProcess(table.processes[key.pid], panes[key], descendant=False) for key in left),
            ]
    return complete


def _running(seen: SeenBelow, table: ProcessTable) -> Set[ProcessKey]:
    return {key for some in seen.values() for key in some if _runs(key, table)}


def _runs(key: ProcessKey, table: ProcessTable) -> bool:
    process = table.processes.get(key.pid)
    return process is not None and process.key == key

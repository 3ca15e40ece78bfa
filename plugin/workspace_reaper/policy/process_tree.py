"""Which processes belong to which session: those below its panes, and those that were started from one. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from workspace_reaper.model.process import Origin, Process, ProcessKey, ProcessTable
from workspace_reaper.model.session import Session, SessionKey


class SessionProcess(NamedTuple):
    """A process of a session. ``pane`` is the pane in which it runs or from which it was started.

    ``descendant``: it is below the pane's own process. Otherwise only its environment, or that of a process above it, names the
    pane. A tuple, because a full sweep creates one for each process.
    """

    process: Process
    pane: str
    descendant: bool


def is_tmux(process: Process) -> bool:
    """Return whether the process is a tmux server or client.

    Both set their name (``tmux: server``). The arguments of a server are those of the client that started it.
    """
    return process.name == "tmux" or process.name.startswith("tmux:")


def is_hidden(table: ProcessTable, session: Session) -> bool:
    """Return whether tmux has a living pane whose process cannot be seen as a child of the server.

    The reaper then runs in another pid namespace, or may not see that process: what it does is unknown.
    """
    server = session.key.server_pid
    return any(
        not pane.dead and ((leader := table.processes.get(pane.pid)) is None or leader.parent != server)
        for pane in session.panes
    )


def processes_by_session(table: ProcessTable, sessions: Iterable[Session]) -> dict[SessionKey, list[SessionProcess]]:
    """Return the processes of each of these sessions, those of its panes first.

    ``sessions`` must be all sessions of their servers. A process belongs to every session that shows its pane; if the pane is
    gone, the session number in its environment decides. A process below a pane of one session with the environment of another
    belongs to both: a process manager runs it for the other. A nested tmux and what runs in it belong to no session.
    """
    sessions = list(sessions)
    children = children_of(table)
    owners: dict[tuple[int, str], list[SessionKey]] = defaultdict(list)
    numbers: dict[tuple[int, int], Session] = {}
    found: dict[SessionKey, list[SessionProcess]] = {session.key: [] for session in sessions}
    # The pane below which each process runs, with its server.
    panes: dict[int, tuple[int, str]] = {}
    twice: set[SessionKey] = set()
    for session in sessions:
        server = session.key.server_pid
        numbers[server, int(session.key.session_id[1:])] = session
        for pane in session.panes:
            owners[server, pane.pane_id].append(session.key)
            leader = None if pane.dead else table.processes.get(pane.pid)
            if leader is None or leader.parent != server:
                # A living pane's own process is a child of the server; any other process has only reused its pid.
                continue
            for process in _below(leader, children):
                panes[process.key.pid] = (server, pane.pane_id)
                found[session.key].append(SessionProcess(process, pane.pane_id, descendant=True))
    for process in table.processes.values():
        if process.origin is None or panes.get(process.key.pid) == (process.origin.server_pid, process.origin.pane):
            continue
        for key in _sessions_of(process.origin, process.key.started, table, owners, numbers):
            for below in _below(process, children):
                if below is process or not (below.key.pid in panes or _is_from_another(below, process.origin)):
                    found[key].append(SessionProcess(below, process.origin.pane, descendant=False))
                    twice.add(key)
    return found | {key: _once(found[key]) for key in twice}


def foreground(processes: Iterable[Process], session: Session) -> dict[str, ProcessKey]:
    """Return what runs in the foreground of each living pane, by pane id.

    That is the leader of the terminal's foreground group, or the pane's own process.
    """
    known = {process.key.pid: process for process in processes}
    found = {}
    for pane in session.panes:
        leader = None if pane.dead else known.get(pane.pid)
        if leader is not None:
            found[pane.pane_id] = known.get(leader.foreground, leader).key
    return found


def children_of(table: ProcessTable) -> Mapping[int, list[Process]]:
    """Return the children of each process that has some, by its pid."""
    children: dict[int, list[Process]] = defaultdict(list)
    for process in table.processes.values():
        children[process.parent].append(process)
    return children


def all_below(roots: Iterable[Process], children: Mapping[int, Sequence[Process]]) -> set[ProcessKey]:
    """Return the keys of these processes and of all below them, without any tmux and what is below one."""
    return {one.key for root in roots for one in _below(root, children)}


def _below(root: Process, children: Mapping[int, Sequence[Process]]) -> list[Process]:
    """Return the process and all below it, without any tmux and what is below one."""
    if is_tmux(root):
        return []
    found = [root]
    if root.key.pid not in children:
        return found
    for process in found:
        found.extend(child for child in children.get(process.key.pid, ()) if not is_tmux(child))
    return found


def _sessions_of(
    origin: Origin,
    started: float,
    table: ProcessTable,
    owners: Mapping[tuple[int, str], Sequence[SessionKey]],
    numbers: Mapping[tuple[int, int], Session],
) -> Sequence[SessionKey]:
    """Return the sessions that the environment of a process names.

    The server's pid decides. The socket's path is not compared, because it can be written in several ways.
    """
    server = table.processes.get(origin.server_pid)
    if server is None or started < server.key.started:
        # An earlier server had the same pid.
        return ()
    showing = owners.get((origin.server_pid, origin.pane))
    if showing:
        return showing
    session = numbers.get((origin.server_pid, origin.session))
    return () if session is None else (session.key,)


def _is_from_another(process: Process, origin: Origin) -> bool:
    """Return whether the environment of the process names another session than this one."""
    own = process.origin
    return own is not None and (own.server_pid, own.session) != (origin.server_pid, origin.session)


def _once(kin: Sequence[SessionProcess]) -> list[SessionProcess]:
    """Return each process once, preferring its entry as a descendant of a pane."""
    found: dict[int, SessionProcess] = {}
    for one in kin:
        known = found.get(one.process.key.pid)
        if known is None or (one.descendant and not known.descendant):
            found[one.process.key.pid] = one
    return list(found.values())

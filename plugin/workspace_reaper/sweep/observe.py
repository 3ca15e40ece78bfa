"""Step 1 of a sweep: what is on the sockets now, parted into ours to judge, unreadable, and none of our business."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field

from workspace_reaper.model.ports import Ledger, Processes, Terminal
from workspace_reaper.model.process import ProcessTable
from workspace_reaper.model.session import Listing, Session, SessionKey
from workspace_reaper.model.state import LedgerState, ServerState
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.util.threads import Beside

__all__ = ["Observation", "StatePrefetch", "doubt_empty_sockets", "observe", "server_changes", "shown_panes", "unlinked"]


@dataclass(slots=True)
class Observation:
    """``sessions`` are the managed ones with their workspace ids; ``unreadable`` those that match by name (socket, name,
    workspace id) and have a field that can't be read; ``everything`` is False where a socket did not answer. ``table`` are the
    processes at that time, None where nobody asked for them."""

    listings: list[Listing] = field(default_factory=list)
    sessions: list[tuple[Session, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str, str]] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    unmanaged: int = 0
    everything: bool = True
    table: ProcessTable | Unknown | None = None

    @property
    def workspace_ids(self) -> frozenset[str]:
        """Of all managed sessions."""
        return frozenset([workspace_id for _, workspace_id in self.sessions])

    @property
    def clear(self) -> dict[str, frozenset[SessionKey]]:
        """The sessions of each socket of which every row could be read: only there is what is missing gone."""
        return {
            listing.socket: frozenset(session.key for session in listing.sessions)
            for listing in self.listings
            if not listing.unreadable
        }

    def add(self, listing: Listing, names: SessionMatcher, only: Collection[str] | None) -> None:
        """Sort one socket's sessions; with ``only``, those of other workspaces are passed over."""
        self.listings.append(listing)
        self.unknown.extend(listing.unreadable)
        for session in listing.sessions:
            workspace_id = names.manages(session)
            if workspace_id is None:
                self.unmanaged += 1
            elif only is None or workspace_id in only:
                self.sessions.append((session, workspace_id))
        for unreadable in listing.unreadable:
            name = unreadable.session or ""
            workspace_id = names.workspace_id(listing.socket, name)
            if workspace_id is not None and (only is None or workspace_id in only):
                self.unreadable.append((listing.socket, name, workspace_id))


def observe(
    terminals: Sequence[Terminal],
    names: SessionMatcher,
    owner_id: str,
    only: Collection[str] | None,
    table: Callable[[], ProcessTable | Unknown] | None = None,
) -> Observation:
    """One listing for each socket, and meanwhile one pass over the processes. A socket that can't be read is Unknown, and the
    others go on."""
    observation = Observation()
    passing = Beside(table, "workspace-reaper processes") if table else None
    for terminal in terminals:
        answer = terminal.observe(owner_id)
        if isinstance(answer, Unknown):
            observation.unknown.append(answer)
            observation.everything = False
        else:
            observation.add(answer, names, only)
    if passing is not None:
        observation.table = passing.result()
    return observation


def doubt_empty_sockets(observation: Observation, servers: Mapping[str, ServerState], processes: Processes) -> None:
    """Nobody listens on a socket whose server is still alive: somebody unlinked it, and its sessions live on."""
    for listing in list(observation.listings):
        server = servers.get(listing.socket)
        if listing.answered or server is None:
            continue
        if processes.may_live(server.pid, server.process_start):
            observation.listings.remove(listing)
            observation.everything = False
            observation.unknown.append(unlinked(listing.socket, server.pid))


def unlinked(socket: str, server_pid: int) -> Unknown:
    """Nobody listens on the socket of a server whose process lives."""
    what = f"nobody listens on {socket}, yet its tmux server (pid {server_pid}) lives: its socket was removed"
    return Unknown(Source.SOCKET, f"{what}; 'kill -USR1 {server_pid}' makes it anew", socket)


def shown_panes(listing: Listing | Unknown, server_pid: int, processes: Processes) -> frozenset[str] | None:
    """The ids of all panes of that server as a listing has them; None where that can't be told."""
    if isinstance(listing, Unknown) or listing.unreadable:
        return None
    if not listing.answered:
        return None if processes.may_live(server_pid, None) else frozenset()
    return frozenset(
        pane.pane_id for session in listing.sessions if session.key.server_pid == server_pid for pane in session.panes
    )


def server_changes(
    observation: Observation, servers: Mapping[str, ServerState], processes: Processes
) -> dict[str, ServerState | None]:
    """The servers that came, went or were replaced since the last full sweep."""
    changed: dict[str, ServerState | None] = {}
    for listing in observation.listings:
        known, server = servers.get(listing.socket), listing.server
        if server is None:
            if known is not None and not listing.answered:
                changed[listing.socket] = None
        elif known is None or (known.pid, known.start) != (server.pid, server.start):
            changed[listing.socket] = ServerState(server.pid, server.start, processes.start_time(server.pid))
    return changed


class StatePrefetch:
    """One for the life of a reaper. Most full sweeps find no workspace that the one before did not."""

    def __init__(self) -> None:
        self._expected: Set[str] = frozenset()

    def ahead(self, ledger: Ledger, now: float) -> Callable[[Set[str]], LedgerState]:
        """Begin to recall what was needed last time. What is returned takes the workspaces that are needed indeed, and tells
        what is remembered; it raises ``LedgerError``."""
        expected = self._expected
        begun = Beside(lambda: ledger.load_state(expected, now), "workspace-reaper ledger")

        def load_state(ids: Set[str]) -> LedgerState:
            self._expected = ids
            return begun.result() if ids <= expected else ledger.load_state(ids, now)

        return load_state

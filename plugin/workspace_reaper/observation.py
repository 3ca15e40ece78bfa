"""Step 1 of a sweep: what is on the sockets now, parted into ours to judge, unreadable, and none of our business."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from workspace_reaper.memory import Intent, Outcome, ServerMemory
from workspace_reaper.model import Listing, Session, SessionKey, Source, Unknown
from workspace_reaper.names import Names
from workspace_reaper.ports import Processes, Terminal

__all__ = ["Observation", "close_intents", "doubt_empty_sockets", "observe", "server_changes", "unlinked"]


@dataclass(slots=True)
class Observation:
    """``sessions`` are the managed ones with their workspace ids; ``unreadable`` those that match by name (socket, name,
    workspace id) and have a field that can't be read; ``everything`` is False where a socket did not answer."""

    listings: list[Listing] = field(default_factory=list)
    sessions: list[tuple[Session, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str, str]] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    unmanaged: int = 0
    everything: bool = True

    @property
    def workspace_ids(self) -> list[str]:
        """Of all managed sessions, each once."""
        return sorted({workspace_id for _, workspace_id in self.sessions})

    @property
    def clear(self) -> dict[str, frozenset[SessionKey]]:
        """The sessions of each socket of which every row could be read: only there is what is missing gone."""
        return {
            listing.socket: frozenset(session.key for session in listing.sessions)
            for listing in self.listings
            if not listing.unreadable
        }

    def add(self, listing: Listing, names: Names, only: Collection[str] | None) -> None:
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


def observe(terminals: Sequence[Terminal], names: Names, stamp: str, only: Collection[str] | None) -> Observation:
    """One listing for each socket. A socket that can't be read is Unknown, and the others go on."""
    observation = Observation()
    for terminal in terminals:
        answer = terminal.observe(stamp)
        if isinstance(answer, Unknown):
            observation.unknown.append(answer)
            observation.everything = False
        else:
            observation.add(answer, names, only)
    return observation


def doubt_empty_sockets(observation: Observation, servers: Mapping[str, ServerMemory], processes: Processes) -> None:
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


def close_intents(intents: Iterable[Intent], observation: Observation, now: float) -> list[Outcome]:
    """Intents left open by a crash end as what is there now. What can't be seen stays open."""
    clear = observation.clear
    return [
        Outcome(intent.reap_id, now, "spared", "interrupted before the kill")
        if intent.key in clear[intent.key.socket]
        else Outcome(intent.reap_id, now, "reaped", "found gone after an interruption")
        for intent in intents
        if intent.key.socket in clear
    ]


def server_changes(
    observation: Observation, servers: Mapping[str, ServerMemory], processes: Processes
) -> dict[str, ServerMemory | None]:
    """The servers that came, went or were replaced since the last full sweep."""
    changed: dict[str, ServerMemory | None] = {}
    for listing in observation.listings:
        known, server = servers.get(listing.socket), listing.server
        if server is None:
            if known is not None and not listing.answered:
                changed[listing.socket] = None
        elif known is None or (known.pid, known.start) != (server.pid, server.start):
            changed[listing.socket] = ServerMemory(server.pid, server.start, processes.start_time(server.pid))
    return changed

"""Step 1, observe: list the sessions of every socket, and sort them into managed, unreadable and unmanaged ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from workspace_reaper.model.machine_ports import Processes
from workspace_reaper.model.ports import Registry, Terminal
from workspace_reaper.model.process import ProcessTable
from workspace_reaper.model.session import Listing, Owner, Session, SessionKey
from workspace_reaper.model.state import ServerState
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.policy.marks import is_digest, kill_command
from workspace_reaper.policy.session_names import PLAIN, Naming, SessionMatcher
from workspace_reaper.sweep.own_options import OwnOptions
from workspace_reaper.util.text import printable


@dataclass(slots=True)
class Observation:
    """What one look at the sockets found.

    ``sessions`` are the managed sessions with their workspace ids, and ``other_owners`` those that match and carry another
    reaper's owner mark. ``unreadable`` are sessions that match by name (socket, name, workspace id) and have a field that
    cannot be read. ``naming`` is what the name of a managed session says, unless it is just what a pattern yields.
    ``all_workspace_ids`` are those of all these sessions, also of those that this sweep does not look at. ``unrecorded`` is why
    it is unknown which sessions the rows name, None if that is known. ``everything`` is False if a socket did not answer.
    ``replaced`` are servers (socket, pid) that still run although another one listens on their socket. ``table`` is the process
    table of the same moment, None if it was not asked for.
    """

    listings: list[Listing] = field(default_factory=list)
    sessions: list[tuple[Session, str]] = field(default_factory=list)
    other_owners: list[tuple[Session, str]] = field(default_factory=list)
    unreadable: list[tuple[str, str, str]] = field(default_factory=list)
    naming: dict[SessionKey, Naming] = field(default_factory=dict)
    unknown: list[Unknown] = field(default_factory=list)
    all_workspace_ids: set[str] = field(default_factory=set)
    unrecorded: Unknown | None = None
    unmanaged: int = 0
    everything: bool = True
    replaced: set[tuple[str, int]] = field(default_factory=set)
    table: ProcessTable | Unknown | None = None

    @property
    def workspace_ids(self) -> frozenset[str]:
        """The workspace ids of all managed sessions."""
        return frozenset([workspace_id for _, workspace_id in self.sessions])

    @property
    def inherited(self) -> dict[str, tuple[str, ...]]:
        """The names of the sessions that only seem to have an option of ours, by option."""
        found: dict[str, list[str]] = {}
        for session, _ in (*self.sessions, *self.other_owners):
            for option in session.inherited:
                found.setdefault(option, []).append(session.name)
        return {option: tuple(names) for option, names in sorted(found.items())}

    @property
    def clear(self) -> dict[str, frozenset[SessionKey]]:
        """The sessions of each socket whose rows could all be read: only there is a missing session gone."""
        return {
            listing.socket: frozenset(session.key for session in listing.sessions)
            for listing in self.listings
            if not listing.unreadable
        }

    def add(self, listing: Listing, matcher: SessionMatcher, only: Collection[str] | None) -> None:
        """Sort the sessions of one socket. With ``only``, skip the sessions of other workspaces."""
        self.listings.append(listing)
        self.unknown.extend(listing.unreadable)
        for session in listing.sessions:
            workspace_id = matcher.manages(session)
            if workspace_id is None:
                self.unmanaged += 1
                if matcher.is_lost(session):
                    self.unknown.append(_lost(session))
                theirs = matcher.belongs_to(session) if session.owner is Owner.FOREIGN else None
                if theirs is not None:
                    self.all_workspace_ids |= {theirs, *matcher.named(session)}
                    if only is None or theirs in only:
                        self.other_owners.append((session, theirs))
                continue
            naming = matcher.naming(session, workspace_id)
            self.all_workspace_ids |= {workspace_id, *naming.others}
            if only is None or workspace_id in only:
                self.sessions.append((session, workspace_id))
                if naming != PLAIN:
                    self.naming[session.key] = naming
        for unreadable in listing.unreadable:
            name = unreadable.session or ""
            for workspace_id in matcher.workspace_ids(listing.socket, name)[:1]:
                if only is None or workspace_id in only:
                    self.unreadable.append((listing.socket, name, workspace_id))

    def named_by(self, session: Session) -> Naming:
        """Return what the name of the session says."""
        return self.naming.get(session.key, PLAIN)


def observe(
    terminals: Sequence[Terminal],
    matcher: SessionMatcher,
    owner_id: str,
    only: Collection[str] | None,
    own_options: OwnOptions,
    long_ids: Callable[[], Collection[str]],
    table: Callable[[], ProcessTable | Unknown] | None = None,
    *,
    registry: Registry,
    panes: bool = True,
) -> Observation:
    """List every socket once, and then take the process ``table``, which is read meanwhile, if it is given.

    Meanwhile, because that is faster: with 1,000 sessions a sweep takes 215 ms, and 272 ms if the table is read afterwards.

    A socket that cannot be read is Unknown; the other sockets are still listed. ``owner_id`` is the owner mark that counts as
    ours. ``long_ids`` returns the ids of known workspaces whose marks are digests, and is asked only if a mark needs it.
    ``registry`` is asked which sessions its rows name, if they do. ``panes``: whether to list their panes too.
    """
    observation = Observation()
    for terminal in terminals:
        listing = terminal.observe(owner_id, panes=panes)
        if isinstance(listing, Unknown):
            observation.unknown.append(listing)
            observation.everything = False
        else:
            if any(is_digest(session) and matcher.is_lost(session) for session in listing.sessions):
                matcher.learn(long_ids())
            extended = with_record(matcher, registry, listed_names(listing))
            if isinstance(extended, Unknown):
                observation.unrecorded, extended = extended, matcher
            own_options.ask(terminal, listing, extended)
            observation.add(own_options.correct(listing, owner_id), extended, only)
    if table is not None:
        observation.table = table()
    return observation


def with_record(matcher: SessionMatcher, registry: Registry, names: Collection[str]) -> SessionMatcher | Unknown:
    """Return the matcher with what the rows of the registry say of the sessions of these names, if they name any."""
    if not matcher.records_sessions or not names:
        return matcher
    rows = registry.look_up((), (), sessions=sorted(names))
    return rows if isinstance(rows, Unknown) else matcher.with_record(rows.of)


def listed_names(*listings: Listing) -> frozenset[str]:
    """Return the names of all sessions in these listings, also of those that cannot be read."""
    names = {session.name for listing in listings for session in listing.sessions}
    return frozenset(names.union(row.session for listing in listings for row in listing.unreadable if row.session))


def _lost(session: Session) -> Unknown:
    by_hand = kill_command(session.key.socket, session.key.session_id)
    why = (
        f"the session {printable(session.name)} carries the marks of this reaper, but their workspace is unknown, so it is "
        f"not reaped; rename it as it was, or end it by hand: {by_hand}"
    )
    return Unknown(Source.SESSION, why, session.key.socket, session.name)


def reject_unlinked_sockets(
    observation: Observation, servers: Mapping[str, ServerState], processes: Processes
) -> Sequence[Unknown]:
    """Report each socket whose server still runs although it does not answer there: its sessions live on. Return the errors.

    A socket that refuses connections is Unknown. If another server answers, its sessions are judged, and those of the one
    before are unreadable.
    """
    found, kept = [], []
    for listing in observation.listings:
        known = servers.get(listing.socket)
        if known is None or not _is_hidden(known, listing, processes):
            kept.append(listing)
        elif listing.server is None:
            observation.everything = False
            found.append(unlinked(listing.socket, known.pid))
        else:
            error = replaced(listing.socket, known.pid, listing.server.pid)
            observation.replaced.add((listing.socket, known.pid))
            kept.append(replace(listing, unreadable=(*listing.unreadable, error)))
            found.append(error)
    observation.listings = kept
    observation.unknown.extend(found)
    return found


def _is_hidden(known: ServerState, listing: Listing, processes: Processes) -> bool:
    """Return whether the server that was known runs and does not listen on its socket any more."""
    if listing.server is not None:
        # Without its start time, another process may have its pid by now.
        is_another = listing.server.pid != known.pid and known.process_start is not None
        return is_another and processes.may_live(known.pid, known.process_start)
    return not listing.answered and processes.may_live(known.pid, known.process_start)


def unlinked(socket: str, server_pid: int) -> Unknown:
    """Return the error for a socket that was removed while its tmux server runs."""
    return Unknown(
        Source.SOCKET,
        f"no server listens on {socket}, but its tmux server (pid {server_pid}) still runs: the socket was removed; "
        f"'kill -USR1 {server_pid}' creates it again",
        socket,
    )


def replaced(socket: str, server_pid: int, new_pid: int) -> Unknown:
    """Return the error for a socket on which another tmux server listens while the one before runs."""
    return Unknown(
        Source.SOCKET,
        f"another tmux server (pid {new_pid}) listens on {socket}, but the one before (pid {server_pid}) still runs: the "
        f"socket was removed, and the sessions of that server are not reaped; 'kill -USR1 {server_pid}' gives the socket back "
        "to it, and takes it from the other one",
        socket,
    )


def missed_server(listing: Listing, server_pid: int, processes: Processes) -> Unknown | None:
    """Return the error if that server did not list these sessions and may still run, as its socket was removed; else None."""
    server = listing.server
    if (listing.answered and (server is None or server.pid == server_pid)) or not processes.may_live(server_pid, None):
        return None
    return unlinked(listing.socket, server_pid) if server is None else replaced(listing.socket, server_pid, server.pid)


def shown_panes(listing: Listing | Unknown, server_pid: int, processes: Processes) -> frozenset[str] | None:
    """Return the ids of all panes of that server in the listing, or None if they are unknown."""
    if isinstance(listing, Unknown) or listing.unreadable or missed_server(listing, server_pid, processes):
        return None
    return frozenset(
        pane.pane_id for session in listing.sessions if session.key.server_pid == server_pid for pane in session.panes
    )


def server_changes(
    observation: Observation, servers: Mapping[str, ServerState], processes: Processes
) -> dict[str, ServerState | None]:
    """Return the servers that started, ended (None) or were replaced since the last full sweep, by socket.

    One that was replaced and still runs stays recorded: it is reported until it has ended.
    """
    changed: dict[str, ServerState | None] = {}
    for listing in observation.listings:
        known, server = servers.get(listing.socket), listing.server
        if known is not None and (listing.socket, known.pid) in observation.replaced:
            continue
        if server is None:
            if known is not None and not listing.answered:
                changed[listing.socket] = None
        elif known is None or (known.pid, known.start) != (server.pid, server.start):
            changed[listing.socket] = ServerState(server.pid, server.start, processes.start_time(server.pid))
    return changed

"""Closes intents that a crash left open: each gets an outcome by what is there now, and leftover processes are ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set

from workspace_reaper.model.reap import Intent, Outcome, ProcessCleanup, ReapResult
from workspace_reaper.model.session import Listing
from workspace_reaper.model.state import LedgerState
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy.verdict import left_alone_because
from workspace_reaper.sweep.context import SweepContext
from workspace_reaper.sweep.leftovers import LeftoverProcesses, known_worktrees, others_of
from workspace_reaper.sweep.observe import Observation, missed_server, shown_panes
from workspace_reaper.sweep.other_plugins import notify_reaped
from workspace_reaper.sweep.recheck import list_again
from workspace_reaper.sweep.terminate import terminate


def recover(context: SweepContext, ledger_state: LedgerState, seen: Observation, rows: LookupResult) -> None:
    """Commit the outcomes of the open intents. Raises ``LedgerError``.

    Like every reaped session, one that counts as reaped must be missing from two listings. An intent whose session cannot be
    seen stays open.
    """
    dependencies = context.dependencies
    intents = [one for one in ledger_state.open_intents if (one.key.socket, one.key.server_pid) not in seen.replaced]
    spared, missing = by_presence(_in_sight(context, intents, seen.listings), seen.listings)
    again = list(_list_missing(context, ledger_state.registry.owner_id, missing))
    _, gone = by_presence(_in_sight(context, missing, again), again)
    cleanups = _clean_up(context, gone, seen, rows, known_worktrees(ledger_state, rows))
    snapshots = dependencies.snapshots
    if snapshots is not None:
        snapshots.discard([intent.reap_id for intent in spared])
    now = dependencies.clock.now()
    results = [ReapResult(intent.reap_id, now, Outcome.SPARED, "interrupted before the kill") for intent in spared]
    for intent in gone:
        is_kept = snapshots is not None and snapshots.has(intent.reap_id)
        snapshot = None if is_kept else "interrupted before it was taken"
        why = "found gone after an interruption"
        results.append(ReapResult(intent.reap_id, now, Outcome.REAPED, why, cleanups[intent.reap_id], snapshot))
    context.ledger.record_results(results)
    notify_reaped(dependencies.plugins, intents, results)


def _in_sight(context: SweepContext, intents: Sequence[Intent], listings: Sequence[Listing]) -> list[Intent]:
    """Return the intents without those whose tmux server may run although its socket was removed, and report these servers."""
    processes, by_socket = context.dependencies.processes, {listing.socket: listing for listing in listings}
    in_sight = []
    for intent in intents:
        listing = by_socket.get(intent.key.socket)
        # No server has outlived its boot.
        if listing is None or intent.boot != processes.boot:
            missed = None
        else:
            missed = missed_server(listing, intent.key.server_pid, processes)
        if missed is None:
            in_sight.append(intent)
        else:
            context.add_unknown(missed)
    return in_sight


def _list_missing(context: SweepContext, owner: str, missing: Sequence[Intent]) -> Iterator[Listing]:
    for terminal in context.dependencies.terminals:
        only = [intent.key.session_id for intent in missing if intent.key.socket == terminal.socket]
        if not only:
            continue
        listing = list_again(context, terminal, owner, panes=False, only=only)
        if isinstance(listing, Unknown):
            context.report.unknown.append(listing)
        else:
            yield listing


def by_presence(intents: Sequence[Intent], listings: Sequence[Listing]) -> tuple[list[Intent], list[Intent]]:
    """Return the intents whose sessions live, and those whose sessions are gone. A session that cannot be seen is neither."""
    alive = {session.key for listing in listings for session in listing.sessions}
    unreadable = {listing.socket: listing.unreadable_ids for listing in listings}
    spared = [intent for intent in intents if intent.key in alive]
    absent = [intent for intent in intents if intent.key not in alive and intent.key.socket in unreadable]
    return spared, [intent for intent in absent if intent.key.session_id not in unreadable[intent.key.socket]]


def _clean_up(
    context: SweepContext,
    gone: Sequence[Intent],
    seen: Observation,
    rows: LookupResult,
    worktrees: Mapping[str, str],
) -> Mapping[str, ProcessCleanup]:
    """End the processes that no user may still need (see ``left_alone_because``), and return all cleanups by reap id."""
    processes = context.dependencies.processes
    boot = processes.boot
    cleanups = {intent.reap_id: ProcessCleanup() for intent in gone}
    known = [intent for intent in gone if boot and intent.boot == boot]
    if known:
        lived_in = None if not seen.everything else _workspaces_with_sessions(context, seen.listings)
        listings = {listing.socket: listing for listing in seen.listings}
        servers = {(intent.key.socket, intent.key.server_pid) for intent in known}
        shown = {server: shown_panes(listings[socket], server, processes) for socket, server in servers}
        running = [listing.server for listing in seen.listings if listing.server is not None]
        # Another server may have the same pid.
        started = {(server.pid, server.start): processes.start_time(server.pid) for server in running}
        leftovers = [
            _leftovers(
                one,
                rows,
                started.get((one.key.server_pid, one.key.server_start)),
                is_lived_in=lived_in is None or one.workspace_id in lived_in,
            )
            for one in known
        ]
        # The sessions of a group record the same processes: what is left alone for one of them is not ended for another.
        leftovers.sort(key=lambda one: one.left_alone is None)
        sessions = [session for listing in seen.listings for session in listing.sessions]
        ended = terminate(context, shown, leftovers, others_of(context, sessions, worktrees))
        cleanups |= {intent.reap_id: ended[intent.key] for intent in known}
    return cleanups


def _leftovers(intent: Intent, rows: LookupResult, server_started: float | None, *, is_lived_in: bool) -> LeftoverProcesses:
    why = left_alone_because(intent.reason, rows.found.get(intent.workspace_id), is_lived_in=is_lived_in)
    return LeftoverProcesses(
        intent.key,
        frozenset(process.pane for process in intent.processes),
        intent.worktree,
        intent.processes,
        left_alone=None if why is None else f"the reaper was interrupted, and {why}",
        server_started=server_started,
    )


def _workspaces_with_sessions(context: SweepContext, listings: Sequence[Listing]) -> Set[str | None]:
    """Return the workspaces of all living sessions: of their marks, and of their names."""
    matcher = context.dependencies.matcher
    named = {matcher.workspace_id(one.socket, row.session or "") for one in listings for row in one.unreadable}
    sessions = [session for listing in listings for session in listing.sessions]
    return named.union(*((matcher.manages(session), matcher.named(session)) for session in sessions))

"""Steps 8 and 9 for the selected sessions: verify the kills, end surviving processes, and commit the outcomes. Once per
sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.machine_ports import Clock
from workspace_reaper.model.ports import Terminal
from workspace_reaper.model.reap import Outcome, ReapResult
from workspace_reaper.model.session import Listing, Session, SessionKey
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import KillResult
from workspace_reaper.sweep.context import ReapCandidate, SweepContext
from workspace_reaper.sweep.leftovers import LeftoverProcesses, Others, others_of
from workspace_reaper.sweep.observe import Observation, shown_panes
from workspace_reaper.sweep.other_plugins import notify_reaped
from workspace_reaper.sweep.recheck import Recheck
from workspace_reaper.sweep.terminate import terminate

# Seconds that a tmux server may take to end with its last session.
SETTLING = 1.0

# Seconds between two listings meanwhile.
POLL = 0.05


def conclude(
    context: SweepContext,
    recheck: Recheck,
    seen: Observation,
    worktrees: Mapping[str, str],
    candidates: Sequence[ReapCandidate],
    elsewhere: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Verify, terminate and record. The outcomes are in the candidates' entries and in the ledger afterwards.

    ``worktrees`` are the known directories of workspaces, and ``elsewhere`` those in which other hosts' sessions live.
    """
    seconds = context.report.seconds
    with seconds.step("terminate"):
        shown: dict[int, frozenset[str] | None] = {}
        # Of a socket on which nothing was killed, the first listing is as good as another.
        alive: dict[str, Sequence[Session]] = {
            listing.socket: listing.sessions for listing in (*seen.listings, *seen.elsewhere)
        }
        for terminal in context.dependencies.terminals:
            pending = [one for one in candidates if one.key.socket == terminal.socket and not one.is_concluded]
            if pending:
                shown |= _verify(context, recheck, terminal, pending, alive)
        reaped = [one for one in candidates if one.entry.outcome is Outcome.REAPED]
        if reaped:
            sessions = [session for some in alive.values() for session in some]
            _terminate(context, shown, reaped, others_of(context, sessions, worktrees, elsewhere))
    with seconds.step("record"):
        _record_results(context, candidates)


def _verify(
    context: SweepContext,
    recheck: Recheck,
    terminal: Terminal,
    pending: Sequence[ReapCandidate],
    alive: dict[str, Sequence[Session]],
) -> dict[int, frozenset[str] | None]:
    """Check by one listing that the killed sessions are gone, and find out what spared the others. Puts the listed sessions
    into ``alive``, and returns the listed panes of each server."""
    listing = _list_settled(context.dependencies.clock, recheck, terminal)
    present: dict[SessionKey, Session] = {}
    if isinstance(listing, Unknown):
        context.report.unknown.append(listing)
    else:
        present = {session.key: session for session in listing.sessions}
        alive[terminal.socket] = listing.sessions
    for candidate in pending:
        session = present.get(candidate.key)
        is_unread = isinstance(listing, Listing) and candidate.key.session_id in listing.unreadable_ids
        if candidate.kill_result is KillResult.SPARED:
            is_unknown = is_unread or isinstance(listing, Unknown)
            candidate.spare("unknown" if is_unknown else recheck.spared_by(candidate, session))
        elif session is not None or is_unread:
            candidate.fail("tmux reported the kill, but still lists the session")
        else:
            # Without a listing the answer of the guard counts: the server gives it after the kill.
            candidate.entry.outcome = Outcome.REAPED
    servers = {candidate.key.server_pid for candidate in pending}
    return {server: shown_panes(listing, server, context.dependencies.processes) for server in servers}


def _list_settled(clock: Clock, recheck: Recheck, terminal: Terminal) -> Listing | Unknown:
    """List the sessions. A server that ends with its last session answers no client for a moment ("server exited
    unexpectedly")."""
    until = clock.monotonic() + SETTLING
    while True:
        listing = recheck.list_again(terminal, panes=True)
        if isinstance(listing, Listing) or clock.monotonic() >= until:
            return listing
        clock.sleep(POLL)


def _terminate(
    context: SweepContext, shown: dict[int, frozenset[str] | None], reaped: Sequence[ReapCandidate], others: Others
) -> None:
    leftovers = [
        LeftoverProcesses(
            one.key,
            frozenset(pane.pane_id for pane in one.facts.session.panes),
            one.worktree,
            one.recorded_processes,
            one.details,
            is_hidden=one.is_hidden,
        )
        for one in reaped
    ]
    cleanups = terminate(context, shown, leftovers, others)
    for candidate in reaped:
        candidate.cleanup = cleanups[candidate.key]
        context.report.freed_bytes += candidate.cleanup.freed_bytes or 0
        candidate.entry.cleanup, candidate.entry.restorable = candidate.cleanup, candidate.snapshot is None


def _record_results(context: SweepContext, candidates: Sequence[ReapCandidate]) -> None:
    """Commit the outcomes. An intent whose outcome is unknown, or cannot be written, is closed by the next sweep."""
    now = context.dependencies.clock.now()
    known = [one for one in candidates if one.intent is not None and one.kill_result is not KillResult.NONE]
    results = [
        ReapResult(one.reap_id, now, one.entry.outcome, one.entry.protected_by, one.cleanup, one.snapshot) for one in known
    ]
    try:
        context.ledger.record_results(results)
    except LedgerError as error:
        context.report.unknown.append(Unknown(Source.LEDGER, str(error)))
        return
    notify_reaped(context.dependencies.plugins, [one.intent for one in known if one.intent], results, context.host)
    alive = [one.reap_id for one in known if one.entry.outcome is not Outcome.REAPED and one.snapshot is None]
    if alive and context.dependencies.snapshots is not None:
        context.dependencies.snapshots.discard(alive)

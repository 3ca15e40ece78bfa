"""After a crash: an intent without an outcome ends as what is there now, and what its session left behind is ended."""

from __future__ import annotations

from collections.abc import Sequence

from workspace_reaper.model.reap import Intent, Outcome, ProcessCleanup, ReapResult, SurvivingProcess
from workspace_reaper.model.session import Listing
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Reason
from workspace_reaper.model.workspace import LookupResult, Workspace
from workspace_reaper.sweep.conclude import terminate
from workspace_reaper.sweep.context import Dependencies
from workspace_reaper.sweep.observe import Observation, shown_panes
from workspace_reaper.sweep.recheck import look_again
from workspace_reaper.sweep.report import SweepReport
from workspace_reaper.sweep.terminate import LeftoverProcesses

__all__ = ["by_presence", "recover"]


def recover(
    parts: Dependencies, intents: Sequence[Intent], seen: Observation, rows: LookupResult, *, owner_id: str, report: SweepReport
) -> list[ReapResult]:
    """How these intents ended. What can't be seen stays open, and so does what only a second look finds: like any other that
    was reaped, it must be missing from two listings. What can't be read in the second one is in the ``report``."""
    spared, missing = by_presence(intents, seen.listings)
    _, gone = by_presence(missing, _look_again(parts, missing, owner_id, report))
    aftermaths = _aftermaths(parts, gone, seen, rows)
    if parts.snapshots is not None:
        parts.snapshots.discard([intent.reap_id for intent in spared])
    now = parts.clock.now()
    outcomes = [ReapResult(intent.reap_id, now, Outcome.SPARED, "interrupted before the kill") for intent in spared]
    for intent in gone:
        why, aftermath = "found gone after an interruption", aftermaths[intent.reap_id]
        kept = parts.snapshots is not None and parts.snapshots.has(intent.reap_id)
        snapshot = None if kept else "interrupted before it was taken"
        outcomes.append(ReapResult(intent.reap_id, now, Outcome.REAPED, why, aftermath, snapshot))
    return outcomes


def _look_again(parts: Dependencies, missing: Sequence[Intent], owner_id: str, report: SweepReport) -> list[Listing]:
    listings = []
    for terminal in parts.terminals:
        only = [intent.key.session_id for intent in missing if intent.key.socket == terminal.socket]
        listing = look_again(terminal, owner_id, report, panes=False, only=only) if only else None
        if isinstance(listing, Unknown):
            report.unknown.append(listing)
        elif listing is not None:
            listings.append(listing)
    return listings


def by_presence(intents: Sequence[Intent], listings: Sequence[Listing]) -> tuple[list[Intent], list[Intent]]:
    """Those whose sessions live, and those whose sessions are gone. What can't be seen is neither."""
    alive = {session.key for listing in listings for session in listing.sessions}
    unread = {listing.socket: listing.unreadable_ids for listing in listings}
    spared = [intent for intent in intents if intent.key in alive]
    absent = [intent for intent in intents if intent.key not in alive and intent.key.socket in unread]
    return spared, [intent for intent in absent if intent.key.session_id not in unread[intent.key.socket]]


def _aftermaths(
    parts: Dependencies, gone: Sequence[Intent], seen: Observation, rows: LookupResult
) -> dict[str, ProcessCleanup]:
    """The processes of a session whose workspace is still gone or archived are ended. All others are left alone: nobody knows
    whether the session was killed, or ended by its user, who may go on with what it started."""
    boot = parts.processes.boot
    found = {intent.reap_id: ProcessCleanup() for intent in gone}
    known = [intent for intent in gone if intent.processes and boot and intent.boot == boot]
    estates = {
        intent.reap_id: _estate(intent) for intent in known if _still_condemned(intent, rows.found.get(intent.workspace_id))
    }
    if estates:
        listings = {listing.socket: listing for listing in seen.listings}
        servers = {(intent.key.socket, intent.key.server_pid) for intent in known}
        shown = {server: shown_panes(listings[socket], server, parts.processes) for socket, server in servers}
        ended = terminate(parts, shown, list(estates.values()))
        found.update({reap_id: ended[estate.key] for reap_id, estate in estates.items()})
    for intent in known:
        if intent.reap_id not in estates:
            found[intent.reap_id] = _left_alone(parts, intent)
    return found


def _still_condemned(intent: Intent, row: Workspace | None) -> bool:
    if row is None or row.deleted:
        return intent.reason in (Reason.DELETED.public, Reason.ORPHAN.public)
    return row.worktree_deleted or (row.archived and intent.reason == Reason.ARCHIVED.public)


def _estate(intent: Intent) -> LeftoverProcesses:
    return LeftoverProcesses(intent.key, frozenset(one.pane for one in intent.processes), intent.worktree, intent.processes)


def _left_alone(parts: Dependencies, intent: Intent) -> ProcessCleanup:
    living = parts.processes.living([one.key for one in intent.processes])
    why = "the reaper was interrupted, and the workspace is no longer what it was condemned for"
    return ProcessCleanup(
        survivors=tuple(SurvivingProcess(one.key.pid, one.command, why) for one in intent.processes if one.key in living)
    )

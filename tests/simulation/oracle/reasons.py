"""The table of reasons: what must hold for a workspace and its session, and what protects."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.simulation.oracle.evidence import confirmations, daemon, hook, proof, witness
from tests.simulation.oracle.findings import Finding, tolerated
from tests.simulation.oracle.history import since_when
from tests.simulation.oracle.idle import idle_for, idle_less_than, idle_since, younger_than
from tests.simulation.oracle.rows import archived, confirmed_since, given_up, gone, gone_since, lost, renamed, running_or_pinned
from tests.simulation.oracle.truth import HookKind, KillTruth, Reason, RowState, Workspace

__all__ = ["against"]


def against(truth: KillTruth, workspace: Workspace, reason: Reason) -> Iterator[Finding]:
    """Return what speaks against this reason, for this workspace of the session. What always spares is not repeated."""
    yield from _RULES[reason](truth, workspace)


def _deleted(truth: KillTruth, workspace: Workspace) -> Iterator[Finding]:
    yield from _holds(workspace, gone, "its row is there")
    yield from hook(workspace, HookKind.DELETED, lambda state: not gone(state))
    since = gone_since(workspace)
    if lost(workspace) and not any(sweep.looked >= (since or 0.0) for sweep in truth.reaper.full_sweeps):
        yield Finding("event", "no full sweep has read the database since it was replaced")


def _removed(truth: KillTruth, workspace: Workspace) -> Iterator[Finding]:
    """A witness, or what the daemon saw. If neither is enough, both are reported, unless the witness is only doubted."""
    yield from _holds(workspace, gone, "its row is there")
    by_witness = list(witness(truth, workspace))
    # A rename that a recheck could not know does not make the daemon wrong.
    by_daemon = [*daemon(truth, workspace), *(one for one in _renamed(truth) if not tolerated(one, truth))]
    if by_witness and by_daemon:
        yield from by_witness
        if not all(finding.doubt for finding in by_witness):
            yield from by_daemon


def _archived_by_hook(truth: KillTruth, workspace: Workspace) -> Iterator[Finding]:
    yield from _holds(workspace, archived, "its row does not say archived")
    yield from hook(workspace, HookKind.ARCHIVED, lambda state: not archived(state) and not gone(state))
    yield from _running(workspace)
    yield from _announced(truth, since_when(workspace.rows, archived))


def _worktree_deleted(truth: KillTruth, workspace: Workspace) -> Iterator[Finding]:
    yield from _holds(workspace, given_up, "its row does not say that the worktree is deleted")
    yield from _active(truth)


def _orphan(truth: KillTruth, workspace: Workspace) -> Iterator[Finding]:
    yield from _holds(workspace, gone, "its row is there")
    yield from _renamed(truth)
    yield from _active(truth)
    yield from proof(truth, workspace)
    if younger_than(truth, truth.session.created, truth.limits.min_age):
        yield Finding("young", f"created {truth.now - truth.session.created:.1f} s ago")
    since = confirmed_since(workspace)
    if since is not None:
        yield from confirmations(truth, since, truth.limits.orphan_confirmations)
    if truth.reaper.breaker_latched and not truth.reaper.approved:
        yield Finding("breaker", "the breaker is latched", doubt=True)
    if truth.reaper.orphans_reaped >= truth.limits.max_orphans_per_hour:
        yield Finding("budget", f"{truth.reaper.orphans_reaped} orphans were reaped within the hour", doubt=True)


def _archived(truth: KillTruth, workspace: Workspace) -> Iterator[Finding]:
    yield from _holds(workspace, archived, "its row does not say archived")
    yield from _running(workspace)
    since = since_when(workspace.rows, archived)
    if since is None or younger_than(truth, since, truth.limits.archived_ttl):
        yield from _active(truth)
    yield from _announced(truth, since)


def _idle(truth: KillTruth, workspace: Workspace) -> Iterator[Finding]:
    yield from _renamed(truth)
    yield from _running(workspace)
    if running_or_pinned(workspace)[1]:
        yield Finding("pinned", "the workspace is pinned")
    if idle_less_than(truth, truth.limits.idle_ttl):
        yield Finding("reason", f"idle for {idle_for(truth):.1f} s only")
    if not truth.session.processes_visible:
        yield Finding("clock", "a living pane's process cannot be seen, which is not idle")
    if truth.clock.stepped:
        yield Finding("clock", "the wall clock was stepped since the last full sweep", doubt=True)
    yield from _announced(truth, idle_since(truth) + truth.limits.idle_ttl)


def _dead(truth: KillTruth, _: Workspace) -> Iterator[Finding]:
    yield from _renamed(truth)
    dead = [since for since in truth.session.panes if since is not None]
    if not dead or len(dead) < len(truth.session.panes):
        yield Finding("reason", "a pane lives")
    elif younger_than(truth, max(dead), truth.limits.dead_ttl):
        yield Finding("reason", f"all panes are dead for {truth.now - max(dead):.1f} s only")


_RULES: dict[Reason, Callable[[KillTruth, Workspace], Iterator[Finding]]] = {
    Reason.DELETED: _deleted,
    Reason.REMOVED: _removed,
    Reason.ARCHIVED_BY_HOOK: _archived_by_hook,
    Reason.WORKTREE_DELETED: _worktree_deleted,
    Reason.ORPHAN: _orphan,
    Reason.ARCHIVED: _archived,
    Reason.IDLE: _idle,
    Reason.DEAD: _dead,
}


def _holds(workspace: Workspace, what: Callable[[RowState], bool], why: str) -> Iterator[Finding]:
    if not what(workspace.rows[-1]):
        yield Finding("reason", f"{workspace.workspace_id}: {why}")


def _renamed(truth: KillTruth) -> Iterator[Finding]:
    if renamed(truth):
        yield Finding("renamed", "its marks name its workspace, and its name does not", since=truth.session.renamed_at)


def _running(workspace: Workspace) -> Iterator[Finding]:
    if running_or_pinned(workspace)[0]:
        yield Finding("running", "a process of the workspace runs")


def _active(truth: KillTruth) -> Iterator[Finding]:
    if idle_less_than(truth, truth.limits.activity_grace):
        yield Finding("active", f"idle for {idle_for(truth):.1f} s only")


def _announced(truth: KillTruth, cause: float | None) -> Iterator[Finding]:
    """With an ``undo_window`` it was announced so long ago, and that has not been cancelled since the cause began."""
    session, window = truth.session, truth.limits.undo_window
    if not window or cause is None:
        return
    if session.announced_at is None or younger_than(truth, session.announced_at, window):
        yield Finding("announced", f"announced at {session.announced_at}, the window is {window:.0f} s")
    if session.taken_back_at is not None and session.taken_back_at > cause:
        yield Finding("undone", f"taken back at {session.taken_back_at}, for a cause since {cause}")

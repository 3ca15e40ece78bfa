"""What always spares a session, whatever the reason."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.oracle.findings import Finding
from tests.simulation.oracle.rows import judged_workspaces, readable
from tests.simulation.oracle.truth import KillTruth, Reason, Veto

__all__ = ["sparing", "sparing_under"]


def sparing(truth: KillTruth) -> Iterator[Finding]:
    """Return what spares the session under every reason."""
    yield from _not_ours(truth)
    yield from _session(truth)
    yield from _reaper(truth)


def sparing_under(truth: KillTruth, reason: Reason) -> Iterator[Finding]:
    """Return what spares the session under every reason but ``deleted``."""
    if reason is Reason.DELETED:
        return
    if truth.session.attached_since is not None:
        yield Finding("attached", f"a client is attached since {truth.session.attached_since}")
    if truth.limits.snapshots and not truth.session.panes_kept:
        yield Finding("snapshot", "its panes could not be kept", doubt=True)


def _not_ours(truth: KillTruth) -> Iterator[Finding]:
    session = truth.session
    if not session.socket_configured:
        yield Finding("unmanaged", f"the socket {session.socket} is not configured")
    if session.foreign:
        yield Finding("unmanaged", "its marks name another owner")
    if not truth.workspaces:
        yield Finding("unmanaged", "neither its name nor its marks yield a workspace", since=session.renamed_at)
    for workspace in judged_workspaces(truth):
        if workspace.row_elsewhere_since is not None:
            why = f"{workspace.workspace_id} has a row in another host's registry"
            yield Finding("unmanaged", why, since=workspace.row_elsewhere_since)
        if not readable(workspace):
            yield Finding("unknown", f"the row of {workspace.workspace_id} cannot be read", doubt=True)


def _session(truth: KillTruth) -> Iterator[Finding]:
    session = truth.session
    if session.kept_since is not None:
        yield Finding("kept", f"@reaper_keep is set since {session.kept_since}")
    if session.home:
        yield Finding("home", "the reaper itself runs in it")
    if session.veto is not Veto.NONE:
        yield Finding("veto", f"another plugin: {session.veto.value}", doubt=session.veto is Veto.UNANSWERED)


def _reaper(truth: KillTruth) -> Iterator[Finding]:
    reaper = truth.reaper
    if reaper.dry_run or not reaper.enabled:
        yield Finding("disabled", "a dry run, or switched off")
    if reaper.registry_unreadable_since is not None:
        why = f"no look-up could succeed since {reaper.registry_unreadable_since}"
        yield Finding("unknown", why, since=reaper.registry_unreadable_since, doubt=True)

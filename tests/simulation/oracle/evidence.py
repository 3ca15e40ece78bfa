"""The evidence of a deletion: event, witness, absence alone with proof and confirmations."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.simulation.oracle.findings import Finding
from tests.simulation.oracle.history import since_when, turned
from tests.simulation.oracle.idle import idle_for, idle_less_than
from tests.simulation.oracle.rows import confirmed_since, gone, gone_since, lost
from tests.simulation.oracle.truth import ALWAYS, Absence, Directory, HookKind, KillTruth, Limits, RowState, Workspace

__all__ = ["confirmations", "daemon", "has_witness", "hook", "proof", "stranger", "witness"]

_WITNESSES = 2


def hook(workspace: Workspace, kind: HookKind, undone: Callable[[RowState], bool]) -> Iterator[Finding]:
    """A hook named the workspace, and what it named was not undone since: a row that came back takes an older hook with it."""
    calls = [call.at for call in workspace.hooks if call.kind is kind]
    if not calls:
        yield Finding("event", f"no host's hook said that {workspace.workspace_id} was {kind.value}")
    elif not undone(workspace.rows[-1]) and turned(workspace.rows, undone, max(calls)):
        yield Finding("event", f"the last hook, at {max(calls)}, is older than the row's last life")


def witness(truth: KillTruth, workspace: Workspace) -> Iterator[Finding]:
    """Row and directory went together: the conditions (a) to (g), and the confirmations."""
    if not truth.limits.removes_worktree or not workspace.directory:
        yield Finding("witness", "no directory speaks for this host's deletions")
        return
    directory = workspace.directory[-1]
    for broken, why in _broken(workspace, directory):
        if broken:
            yield Finding("witness", why)
    row, gone_with_it = confirmed_since(workspace), since_when(workspace.directory, lambda each: each.gone)
    if row is not None and gone_with_it is not None and workspace.daemon_saw_it_go is None:
        yield from confirmations(truth, row, _WITNESSES, directory=gone_with_it)


def has_witness(limits: Limits, workspace: Workspace) -> bool:
    """Return whether row and directory went together, however often that was confirmed."""
    if not limits.removes_worktree or not workspace.directory:
        return False
    return not any(broken for broken, _ in _broken(workspace, workspace.directory[-1]))


def _broken(workspace: Workspace, directory: Directory) -> tuple[tuple[bool, str], ...]:
    absence = workspace.rows[-1].absence
    since = gone_since(workspace)
    seen = directory.seen_with_row
    return (
        (absence is not Absence.DELETED, f"(a) the registry is not the one that had the row: {absence.value}"),
        (seen is None or (since is not None and seen > since), "(b) row and directory were never seen together"),
        (not directory.gone, "(c) the directory is there, or it cannot be said"),
        (not directory.parent_intact, "(d) what contained the directory is gone, replaced or empty"),
        (directory.session_inside, "(e) the session works in the directory, which was moved"),
        (not directory.proper, "(f) the path is relative, or a home, or above one"),
        (directory.shared, "(f) a living row names the directory or something in it"),
        (directory.holds_records, "(g) the records themselves lay in the directory"),
    )


def daemon(truth: KillTruth, workspace: Workspace) -> Iterator[Finding]:
    """The daemon saw the row go: an absence alone, while the registry is the same and little vanished."""
    count, of = workspace.vanished
    if workspace.daemon_saw_it_go is None:
        yield Finding("daemon", "the daemon did not see the row go")
    elif turned(workspace.rows, lambda state: not gone(state), workspace.daemon_saw_it_go):
        yield Finding("daemon", "the row was back after the daemon saw it go")
    if workspace.rows[-1].absence is not Absence.DELETED:
        yield Finding("daemon", f"the row was not deleted: {workspace.rows[-1].absence.value}")
    if count >= truth.limits.vanish and 2 * count > of:
        yield Finding("daemon", f"{count} of {of} vanished within a minute")


def confirmations(truth: KillTruth, since: float, needed: int, *, directory: float = ALWAYS) -> Iterator[Finding]:
    """Enough complete full sweeps have looked since then, far enough apart; at the directory too if its end is part of it."""
    count, last = 0, float("-inf")
    for sweep in truth.reaper.full_sweeps:
        unnoticed = truth.limits.resolution + truth.clock.unnoticed
        apart = sweep.looked - last + unnoticed >= truth.limits.confirmation_gap
        looked_at_directory = sweep.looked if sweep.directories is None else sweep.directories
        if sweep.looked >= since and looked_at_directory >= directory and apart:
            count, last = count + 1, sweep.looked
    if count < needed:
        yield Finding("unconfirmed", f"gone since {max(since, directory)}: {count} of {needed} confirmations", doubt=True)


def proof(truth: KillTruth, workspace: Workspace) -> Iterator[Finding]:
    """The registry has known this very workspace; or else the rules for a stranger."""
    if not stranger(workspace):
        return
    if idle_less_than(truth, truth.limits.stranger_ttl):
        yield Finding("unproven", f"a stranger, idle for {idle_for(truth):.1f} s only")
    reaper = truth.reaper
    if reaper.recognised < 1:
        yield Finding("unproven", "the registry recognises no other session", doubt=True)
    if len(reaper.full_sweeps) < 2:
        yield Finding("unproven", "a stranger in the first sweep", doubt=True)
    if reaper.strangers_due >= 3 and 2 * reaper.strangers_due >= reaper.managed and not reaper.approved:
        yield Finding("strangers", f"{reaper.strangers_due} of {reaper.managed} wait for an operator", doubt=True)


def stranger(workspace: Workspace) -> bool:
    """Return whether nothing proves that this registry has known it: no row that the reaper read, and no hook."""
    state = workspace.rows[-1]
    if state.rows:
        return False
    named = any(call.kind is HookKind.DELETED and call.at >= state.since for call in workspace.hooks)
    if lost(workspace):
        return not named
    known = state.absence is not Absence.NEVER and workspace.known_at is not None
    return not known and all(call.kind is not HookKind.DELETED for call in workspace.hooks)

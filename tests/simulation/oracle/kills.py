"""Was a kill right? And for which reasons is a session due?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.oracle.findings import Finding, oldest_known, tolerated
from tests.simulation.oracle.history import views
from tests.simulation.oracle.reasons import against
from tests.simulation.oracle.rows import judged_workspaces
from tests.simulation.oracle.sparing import sparing, sparing_under
from tests.simulation.oracle.truth import KillTruth, Peer, Reason
from tests.simulation.oracle.violation import Violation

__all__ = ["due", "judge_kill"]


def judge_kill(truth: KillTruth, reason: str) -> list[Violation]:
    """Return why a kill at this moment is wrong; nothing if it is right.

    It is right if what a recheck may have read while the guard was valid, and what tmux itself says now, allow it.

    Raises:
        ValueError: The reason is none of the table.
    """
    kind, wrong = Reason(reason), list[Finding]()
    for view in views(truth):
        found = [*_untolerated(view, _always(view)), *_untolerated(view, _under(view, kind))]
        if not found:
            return []
        wrong = wrong or found
    what = f"{truth.session.name} ({truth.session.session_id}), reaped as {kind.value}"
    return [Violation(finding.rule, what, finding.why, truth.now) for finding in wrong]


def due(truth: KillTruth) -> tuple[Reason, ...]:
    """Return the reasons for which the session is due: they hold, and no fact protects it, whatever the reaper may doubt."""
    if not all(finding.doubt for finding in _untolerated(truth, _always(truth))):
        return ()
    return tuple(reason for reason in Reason if all(one.doubt for one in _untolerated(truth, _under(truth, reason))))


def _untolerated(truth: KillTruth, findings: Iterator[Finding]) -> Iterator[Finding]:
    return (finding for finding in findings if not tolerated(finding, truth))


def _always(truth: KillTruth) -> Iterator[Finding]:
    yield from sparing(truth)
    yield from _peers(truth)


def _under(truth: KillTruth, reason: Reason) -> Iterator[Finding]:
    yield from sparing_under(truth, reason)
    for workspace in judged_workspaces(truth):
        yield from against(truth, workspace, reason)


def _peers(truth: KillTruth) -> Iterator[Finding]:
    """A group, and the sessions that share a window, are reaped as a whole or not at all."""
    for peer in truth.peers:
        if not any(due(view) for view in views(_rechecked(peer))):
            yield Finding("group", f"{peer.truth.session.name} is not due, and shares its windows")


def _rechecked(peer: Peer) -> KillTruth:
    """Return the peer without what happened to it after the recheck: of a peer tmux checks only the clients of a group."""
    oldest = oldest_known(peer.truth)
    session, activity = peer.truth.session, peer.truth.session.activity

    def known(at: float | None) -> float | None:
        return at if at is not None and at <= oldest else None

    return replace(
        peer.truth,
        session=replace(
            session,
            kept_since=known(session.kept_since),
            attached_since=known(session.attached_since) if peer.linked else session.attached_since,
            activity=replace(
                activity, input=known(activity.input), attach=known(activity.attach), output=known(activity.output)
            ),
        ),
    )

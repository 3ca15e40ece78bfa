"""Sessions without a mark that several hosts claim: the hosts' records decide whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workspace_reaper.model.session import Session
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Verdict
from workspace_reaper.policy.registry_identity import known_in_generation
from workspace_reaper.policy.session_hosts import Claim, only_host
from workspace_reaper.sweep.observe_hosts import Disputed
from workspace_reaper.sweep.report import SessionReport

if TYPE_CHECKING:
    from workspace_reaper.sweep.host_sweep import HostSweep


def settle(hosts: Sequence[HostSweep], disputed: Sequence[Disputed]) -> None:
    """Give each session to the only host whose record knows its workspace.

    If two know it, if none does, or if one of the records cannot be read, it is left alone and reported: as ``contested``, or
    as ``unknown``.
    """
    for session, claims in disputed:
        asking = [claim for claim in claims if _asks(hosts[claim.host], claim)]
        if not asking:
            continue
        unread = any(isinstance(hosts[claim.host].rows, Unknown) for claim in claims)
        host = None if unread else only_host(claims, *_knowing(hosts, claims))
        if host is None:
            first = hosts[asking[0].host]
            why = "unknown" if unread else "contested"
            first.report.sessions.append(_entry(hosts, session, claims, asking[0].workspace_id, why))
        for claim in asking:
            if claim.host == host:
                hosts[host].seen.sessions.append((session, claim.workspace_id))


def _asks(host: HostSweep, claim: Claim) -> bool:
    """Return whether this sweep of the host is about the workspace."""
    suspects = host.host.request.suspects
    return host.host.is_asked and (suspects is None or claim.workspace_id in suspects)


def _knowing(hosts: Sequence[HostSweep], claims: Sequence[Claim]) -> tuple[set[int], set[int]]:
    """Return the hosts whose record has a row of the workspace, and those whose record is known to have had one."""
    now, before = set(), set()
    for claim in claims:
        one, rows = hosts[claim.host], hosts[claim.host].rows
        if not isinstance(rows, Unknown) and claim.workspace_id in rows.found:
            now.add(claim.host)
        if known_in_generation(claim.workspace_id, one.state) is not None:
            before.add(claim.host)
    return now, before


def _entry(hosts: Sequence[HostSweep], session: Session, claims: Sequence[Claim], workspace_id: str, why: str) -> SessionReport:
    return SessionReport(
        session.key.socket,
        session.name,
        session.key.session_id,
        workspace_id,
        Verdict.HOLD,
        protected_by=why,
        key=session.key,
        contested=tuple(str(hosts[claim.host].host.name) for claim in claims),
    )

"""Step 1 for all hosts of a reaper: one listing of each socket, whose sessions are sorted by host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from workspace_reaper.model.ports import Terminal
from workspace_reaper.model.process import ProcessTable
from workspace_reaper.model.session import Listing, Session
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.policy.marks import LONGEST, is_digest
from workspace_reaper.policy.session_hosts import Claim, HostMatchers, sort_by_host
from workspace_reaper.sweep.context import SweptHost
from workspace_reaper.sweep.observe import Observation, observe
from workspace_reaper.sweep.session_processes import SessionProcesses

Disputed = tuple[Session, tuple[Claim, ...]]


@dataclass(slots=True)
class HostsObservation:
    """What one look at the sockets of all hosts found.

    ``by_host`` is what each host sees. ``disputed`` are the sessions without a mark that several hosts claim: the records of
    these decide.
    """

    by_host: list[Observation]
    disputed: list[Disputed] = field(default_factory=list)


def observe_hosts(
    hosts: Sequence[SweptHost],
    owner_ids: Sequence[str],
    matchers: HostMatchers,
    table: Callable[[], ProcessTable | Unknown] | None,
) -> HostsObservation:
    """List every socket once, for all hosts that watch it. See ``observe``, which does this for a single host."""
    if len(hosts) == 1:
        (host,) = hosts
        dependencies, long_ids = host.dependencies, partial(host.ledger.longer_ids, LONGEST)
        own_options, only = host.state.own_options, host.request.suspects
        seen = observe(dependencies.terminals, dependencies.matcher, owner_ids[0], only, own_options, long_ids, table)
        return HostsObservation([seen])
    matchers.own(owner_ids)
    found = HostsObservation([Observation() for _ in hosts])
    listings = []
    for terminal, watching in _sockets(hosts):
        listing = terminal.observe(owner_ids[0], others=owner_ids[1:])
        if isinstance(listing, Unknown):
            for at in watching:
                found.by_host[at].unknown.append(listing)
                found.by_host[at].everything = False
            continue
        for session in (one for one in listing.sessions if is_digest(one) and matchers.is_lost(one)):
            matchers.learn(session, lambda at: hosts[at].ledger.longer_ids(LONGEST))
        own_options = hosts[0].state.own_options
        own_options.ask(terminal, listing, matchers)
        listing = own_options.correct(listing, *owner_ids)
        listings.append(listing)
        _add(found, hosts, watching, listing, matchers)
    read = None if table is None else table()
    processes = SessionProcesses(read, listings) if isinstance(read, ProcessTable) else None
    keys = {listing.socket: frozenset(session.key for session in listing.sessions) for listing in listings}
    for seen in found.by_host:
        seen.keys = keys
        own = {listing.socket for listing in seen.listings}
        seen.table, seen.processes = read, processes
        seen.elsewhere = [listing for listing in listings if listing.socket not in own]
    return found


def _sockets(hosts: Sequence[SweptHost]) -> list[tuple[Terminal, list[int]]]:
    """Return each socket once, with the hosts that watch it."""
    terminals: dict[str, tuple[Terminal, list[int]]] = {}
    for at, host in enumerate(hosts):
        for terminal in host.dependencies.terminals:
            terminals.setdefault(terminal.socket, (terminal, []))[1].append(at)
    return list(terminals.values())


def _add(
    found: HostsObservation, hosts: Sequence[SweptHost], watching: Sequence[int], listing: Listing, matchers: HostMatchers
) -> None:
    """Give the sessions of one listing to the hosts that watch its socket."""
    of_hosts = sort_by_host(listing.sessions, len(hosts), matchers)
    found.disputed.extend(of_hosts.disputed)
    for at in watching:
        seen, host = found.by_host[at], hosts[at]
        seen.add(listing, host.dependencies.matcher, host.request.suspects, of_hosts.by_host[at])
        seen.unmanaged += of_hosts.others
    for _, claims in of_hosts.disputed:
        for claim in claims:
            found.by_host[claim.host].all_workspace_ids.add(claim.workspace_id)

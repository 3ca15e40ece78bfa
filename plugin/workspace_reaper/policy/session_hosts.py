"""Which host a session belongs to, where one reaper serves several. Pure.

By its marks, or else to the only host whose patterns claim its name. Where several claim it, their records decide.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from workspace_reaper.model.session import Owner, Session
from workspace_reaper.policy.session_names import SessionMatcher

# The number of names whose claims are cached (3 MB).
_KNOWN = 10_000


class Claim(NamedTuple):
    """A host, by its number, whose patterns claim a session's name for one of its workspaces."""

    host: int
    workspace_id: str


class HostMatchers:
    """The matchers of all hosts in their order, as one."""

    def __init__(self, matchers: Sequence[SessionMatcher]) -> None:
        self._matchers = matchers
        self._known: dict[tuple[str, str], tuple[Claim, ...]] = {}
        self._by_owner: Mapping[str, int] = {}

    def own(self, owner_ids: Sequence[str]) -> None:
        """Set the owner ids of the hosts' marks, in the order of the matchers."""
        self._by_owner = {one: at for at, one in enumerate(owner_ids)}

    def marked_by(self, session: Session) -> int | None:
        """Return the host whose owner mark the session carries, None without one of these hosts."""
        return self._by_owner.get(session.owner_id)

    def claims(self, session: Session) -> tuple[Claim, ...]:
        """Return the claims to the session's name, by any host."""
        return self.claims_to(session.key.socket, session.name)

    def claims_to(self, socket: str, name: str) -> tuple[Claim, ...]:
        """Return the claims to a session of this name on this socket."""
        at = (socket, name)
        known = self._known.get(at)
        if known is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            ids = enumerate(matcher.workspace_id(socket, name) for matcher in self._matchers)
            known = self._known[at] = tuple(Claim(host, one) for host, one in ids if one is not None)
        return known

    def rivals(self, session: Session, host: int) -> tuple[Claim, ...]:
        """Return the claims to the session's name by other hosts than this one."""
        return tuple(claim for claim in self.claims(session) if claim.host != host)

    # What ``OwnOptions`` asks a matcher.

    def named(self, session: Session) -> str | None:
        """Return a workspace that the session's name yields, or None. That of the host whose mark it carries comes first."""
        host = self.marked_by(session)
        if host is not None:
            return self._matchers[host].named(session)
        claims = self.claims(session)
        return claims[0].workspace_id if claims else None

    def belongs_to(self, session: Session) -> str | None:
        """Return the workspace of the session's marks, or else one that its name yields. See ``SessionMatcher``."""
        host = self.marked_by(session)
        return self.named(session) if host is None else self._matchers[host].belongs_to(session)

    def is_lost(self, session: Session) -> bool:
        """Return whether one of the hosts marked the session, and the workspace of its marks is unknown."""
        host = self.marked_by(session)
        return host is not None and self._matchers[host].is_lost(session)

    def learn(self, session: Session, long_ids: Callable[[int], Collection[str]]) -> None:
        """Have the host whose mark the session carries learn its long ids. See ``SessionMatcher``."""
        host = self.marked_by(session)
        if host is not None:
            self._matchers[host].learn(long_ids(host))


class Sorted(NamedTuple):
    """The sessions of one listing, sorted by host.

    Attributes:
        by_host: For each host those that it is to look at: its own, and those with another reaper's mark that it claims.
        disputed: Those without a mark that several hosts claim.
        others: How many no host claims.
    """

    by_host: Sequence[Sequence[Session]]
    disputed: Sequence[tuple[Session, tuple[Claim, ...]]]
    others: int


def sort_by_host(sessions: Collection[Session], hosts: int, matchers: HostMatchers) -> Sorted:
    """Return which host each session belongs to. ``hosts`` is their number."""
    by_host: list[list[Session]] = [[] for _ in range(hosts)]
    disputed, others = [], 0
    for session in sessions:
        host = None if session.owner is Owner.NONE else matchers.marked_by(session)
        if host is not None:
            by_host[host].append(session)
            continue
        claims = matchers.claims(session)
        others += not claims
        if len(claims) > 1 and session.owner is Owner.NONE:
            disputed.append((session, claims))
            continue
        for claim in claims:
            by_host[claim.host].append(session)
    return Sorted(by_host, disputed, others)


def only_host(claims: Sequence[Claim], known_now: Collection[int], known_before: Collection[int]) -> int | None:
    """Return the host to which a session belongs that several claim: the only one whose record knows the workspace.

    Args:
        claims: The claims to its name.
        known_now: The hosts whose record has a row of the workspace.
        known_before: Those whose record is known to have had one. They count if none has a row now.

    Returns:
        None if that is none, or more than one.
    """
    for known in (known_now, known_before):
        knowing = [claim.host for claim in claims if claim.host in known]
        if knowing:
            return knowing[0] if len(knowing) == 1 else None
    return None

"""What full sweeps have seen of the sessions, carried from sweep to sweep. Pure: it collects changes and stores nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from workspace_reaper.model.session import Session, SessionKey
from workspace_reaper.model.state import OF_A_WORKSPACE, Confirmation, Finding, FindingKey

__all__ = ["LONGEST_WAIT", "RETRIES", "Confirmations", "confirm", "has_left", "retry_at"]

RETRIES = 3
"""A kill that failed so often in a row is an alarm, and waits before it is tried again."""

LONGEST_WAIT = 6 * 3600.0
"""Seconds between two tries of a kill, at most."""

_NONE: Mapping[Finding, Confirmation] = {}


def confirm(previous: Confirmation | None, now: float, *, gap: float, enough: int) -> Confirmation:
    """One more look that found the same. It counts if the last one that did is at least ``gap`` seconds ago.

    Once ``enough`` looks agree nothing changes any more, so that a sweep without news writes nothing. A clock that went
    backwards does not count, and starts the gap anew.
    """
    if previous is None:
        return Confirmation(now, now)
    if now < previous.last_at:
        return Confirmation(min(previous.first_at, now), now, previous.count)
    if previous.count >= enough or now - previous.last_at < gap:
        return previous
    return Confirmation(previous.first_at, now, previous.count + 1)


def has_left(session: Session, seen: Mapping[Finding, Confirmation], last_complete: float | None) -> bool:
    """A client has gone since the last look. tmux dates an attach and no detach, so a client that came after the last
    complete sweep began (Unix seconds; tmux's own have a resolution of one second), or before there was any, has left nobody
    knows when."""
    if session.is_attached:
        return False
    if Finding.ATTACHED in seen:
        return True
    came, dated = session.last_attached, seen.get(Finding.DETACHED)
    if came is None or (dated is not None and dated.first_at >= came):
        return False
    return last_complete is None or came >= int(last_complete)


def retry_at(failed: Confirmation | None, now: float, first_wait: float) -> float | None:
    """Until when a kill that failed again and again is not tried (Unix seconds); None if it may be tried now.

    The wait begins with ``first_wait`` seconds after ``RETRIES`` failures, and doubles with each further one. A failure in the
    future, as the clock tells it now, holds nothing back.
    """
    if failed is None or failed.count < RETRIES:
        return None
    doubled = min(failed.count - RETRIES, 64)  # more would not fit into a float
    at = failed.last_at + min(LONGEST_WAIT, first_wait * 2.0**doubled)
    return at if failed.last_at <= now < at else None


class Confirmations:
    """The sightings as they were, and what this sweep changes in them: ``changed`` and ``forgotten``.

    ``workspaces`` are those of the managed sessions now. A session that was renamed to another workspace's name begins anew:
    two looks that each found another row missing are no two confirmations.
    """

    def __init__(
        self, previous: Mapping[FindingKey, Confirmation], now: float, workspaces: Mapping[SessionKey, str] | None = None
    ) -> None:
        self._now = now
        self._workspaces = workspaces or {}
        # By session: most have none, and are asked about several times in each sweep.
        self._known: dict[SessionKey, dict[Finding, Confirmation]] = {}
        self._stored = set(previous)
        for (key, sight), sighting in previous.items():
            self._known.setdefault(key, {})[sight] = sighting
        self.changed: dict[FindingKey, Confirmation] = {}
        self.forgotten: set[FindingKey] = set()
        for (key, sight), sighting in previous.items():
            if sighting.workspace_id not in (None, self._workspaces.get(key, sighting.workspace_id)):
                self._forget(key, sight)

    def of(self, key: SessionKey) -> Mapping[Finding, Confirmation]:
        """All sightings of one session as they are after the changes so far."""
        return self._known.get(key, _NONE)

    def is_unremarkable(self, session: Session, last_complete: float | None) -> bool:
        """Nothing was seen of it, and nothing is to be noted of its panes and clients: so it is with most, in most sweeps."""
        unseen = session.key not in self._known
        return unseen and not session.all_panes_dead and not session.is_attached and not has_left(session, _NONE, last_complete)

    def has_any(self, *sights: Finding) -> bool:
        """Whether any session has one of these."""
        return any(sight in seen for seen in self._known.values() for sight in sights)

    def having(self, sight: Finding) -> Iterator[tuple[SessionKey, Confirmation]]:
        """The sessions of which that was seen."""
        return ((key, seen[sight]) for key, seen in self._known.items() if sight in seen)

    def since(self, key: SessionKey, sight: Finding) -> float | None:
        """When it was first seen so, or None."""
        sighting = self.of(key).get(sight)
        return sighting.first_at if sighting else None

    def count(self, key: SessionKey, sight: Finding) -> int:
        """How often it was counted; 0 if never."""
        sighting = self.of(key).get(sight)
        return sighting.count if sighting else 0

    def set(self, key: SessionKey, sight: Finding, *, holds: bool) -> None:
        """It is so now (the first time stays), or no longer."""
        if holds is (sight in self._known.get(key, _NONE)):
            return
        if holds:
            self._put(key, sight, Confirmation(self._now, self._now))
        else:
            self._forget(key, sight)

    def confirm(self, key: SessionKey, sight: Finding, *, gap: float, enough: int) -> None:
        """It was looked at, and is so: count it."""
        previous = self.of(key).get(sight)
        after = confirm(previous, self._now, gap=gap, enough=enough)
        if after != previous:
            self._put(key, sight, after)

    def bump(self, key: SessionKey, sight: Finding) -> None:
        """It happened once more."""
        previous = self.of(key).get(sight)
        count = previous.count + 1 if previous else 1
        self._put(key, sight, Confirmation(previous.first_at if previous else self._now, self._now, count))

    def note_clients(self, session: Session, last_complete: float | None) -> None:
        """A client looks at the session, or none does any more. The detach is dated at the first look without a client,
        which is never too early: the client left at some moment since the look before."""
        key = session.key
        if session.is_attached:
            self._forget(key, Finding.DETACHED)
        elif has_left(session, self.of(key), last_complete):
            self._put(key, Finding.DETACHED, Confirmation(self._now, self._now))
        self.set(key, Finding.ATTACHED, holds=session.is_attached)

    def forget_all(self, sight: Finding) -> None:
        """Drop every sighting of that kind."""
        for key in list(self._known):
            self._forget(key, sight)

    def forget_gone(self, socket: str, alive: Collection[SessionKey]) -> None:
        """Drop what is remembered of sessions that are no longer on this socket. Not for a socket that could not be read:
        it loses no session."""
        for key in [key for key in self._known if key.socket == socket and key not in alive]:
            for sight in list(self._known[key]):
                self._forget(key, sight)

    def saved(self) -> None:
        """The changes so far are in the ledger now: they are no changes any more."""
        self._stored = (self._stored - self.forgotten) | set(self.changed)
        self.changed, self.forgotten = {}, set()

    def _put(self, key: SessionKey, sight: Finding, sighting: Confirmation) -> None:
        if sight in OF_A_WORKSPACE:
            sighting = replace(sighting, workspace_id=self._workspaces.get(key))
        self._known.setdefault(key, {})[sight] = sighting
        self.forgotten.discard((key, sight))
        self.changed[key, sight] = sighting

    def _forget(self, key: SessionKey, sight: Finding) -> None:
        mine = self._known.get(key)
        if mine is None or mine.pop(sight, None) is None:
            return
        if not mine:
            del self._known[key]
        self.changed.pop((key, sight), None)
        if (key, sight) in self._stored:
            self.forgotten.add((key, sight))

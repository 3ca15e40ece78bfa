"""What full sweeps have found about the sessions, carried from sweep to sweep. Pure: it collects changes and stores nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from workspace_reaper.model.session import Session, SessionKey
from workspace_reaper.model.state import OF_A_WORKSPACE, Confirmation, Finding, FindingKey

# After this number of failed kills in a row there is an alarm, and the next attempt waits.
RETRIES = 3

# The longest time between two attempts of a kill, in seconds.
LONGEST_WAIT = 6 * 3600.0

_NONE: Mapping[Finding, Confirmation] = {}


def confirm(previous: Confirmation | None, now: float, *, gap: float, enough: int) -> Confirmation:
    """Return the confirmation after one more sweep with the same finding.

    It counts if at least ``gap`` seconds have passed since the last one that counted. Once ``enough`` have counted nothing
    changes any more, so that a sweep without news writes nothing. A sweep after the clock was stepped back does not count, and
    the gap starts again.
    """
    if previous is None:
        return Confirmation(now, now)
    if now < previous.last_at:
        return Confirmation(min(previous.first_at, now), now, previous.count)
    if previous.count >= enough or now - previous.last_at < gap:
        return previous
    return Confirmation(previous.first_at, now, previous.count + 1)


def has_left(session: Session, seen: Mapping[Finding, Confirmation], last_complete: float | None) -> bool:
    """Return whether a client has detached since the last sweep.

    tmux reports when a client attached, but not when it detached. A client that attached after the last complete sweep began
    (Unix seconds, while those of tmux have a resolution of one second), or before any, has detached at an unknown time.
    """
    if session.is_attached:
        return False
    if Finding.ATTACHED in seen:
        return True
    came, dated = session.last_attached, seen.get(Finding.DETACHED)
    if came is None or (dated is not None and dated.first_at >= came):
        return False
    return last_complete is None or came >= int(last_complete)


def retry_at(failed: Confirmation | None, now: float, first_wait: float) -> float | None:
    """Return until when the kill is not attempted again (Unix seconds), or None if it may be attempted now.

    The wait is ``first_wait`` seconds after ``RETRIES`` failures and doubles with each further one. A failure that the clock
    now dates in the future delays nothing.
    """
    if failed is None or failed.count < RETRIES:
        return None
    doubled = min(failed.count - RETRIES, 64)  # more would not fit into a float
    at = failed.last_at + min(LONGEST_WAIT, first_wait * 2.0**doubled)
    return at if failed.last_at <= now < at else None


class Confirmations:
    """The stored confirmations and what this sweep changes in them: ``changed`` and ``forgotten``.

    A finding that the clock now dates in the future counts from now.

    ``workspaces`` are those of the managed sessions now. A session that was renamed to the name of another workspace starts
    again, because two sweeps that each found a different row missing do not confirm each other.
    """

    def __init__(
        self, previous: Mapping[FindingKey, Confirmation], now: float, workspaces: Mapping[SessionKey, str] | None = None
    ) -> None:
        self._now = now
        self._workspaces = workspaces or {}
        # By session: most have no findings, and each sweep asks several times.
        self._known: dict[SessionKey, dict[Finding, Confirmation]] = {}
        self._stored = set(previous)
        self.changed: dict[FindingKey, Confirmation] = {}
        self.forgotten: set[FindingKey] = set()
        for (key, finding), confirmation in previous.items():
            self._known.setdefault(key, {})[finding] = confirmation
            if confirmation.first_at > now:
                # The clock was ahead. What counts from that time would otherwise wait until it has come.
                self._known[key][finding] = self.changed[key, finding] = replace(confirmation, first_at=now)
        for (key, finding), confirmation in previous.items():
            if confirmation.workspace_id not in (None, self._workspaces.get(key, confirmation.workspace_id)):
                self._forget(key, finding)

    def of(self, key: SessionKey) -> Mapping[Finding, Confirmation]:
        """Return all findings about one session after the changes so far."""
        return self._known.get(key, _NONE)

    def is_unremarkable(self, session: Session, last_complete: float | None) -> bool:
        """Return whether there is nothing stored and nothing new to store about the session, as with most in most sweeps.

        The name that a session had does not count.
        """
        unseen = self._known.get(session.key, _NONE).keys() <= {Finding.NAMED}
        return unseen and not session.all_panes_dead and not session.is_attached and not has_left(session, _NONE, last_complete)

    def has_any(self, *findings: Finding) -> bool:
        """Return whether any session has one of these findings."""
        return any(finding in seen for seen in self._known.values() for finding in findings)

    def having(self, finding: Finding) -> Iterator[tuple[SessionKey, Confirmation]]:
        """Return the sessions with that finding."""
        return ((key, seen[finding]) for key, seen in self._known.items() if finding in seen)

    def since(self, key: SessionKey, finding: Finding) -> float | None:
        """Return when it was first found, or None."""
        confirmation = self.of(key).get(finding)
        return confirmation.first_at if confirmation else None

    def count(self, key: SessionKey, finding: Finding) -> int:
        """Return how often it counted; 0 if never."""
        confirmation = self.of(key).get(finding)
        return confirmation.count if confirmation else 0

    def set(self, key: SessionKey, finding: Finding, *, holds: bool) -> None:
        """Store that the finding applies now (the first time stays), or that it does not apply any more."""
        if holds is (finding in self._known.get(key, _NONE)):
            return
        if holds:
            self._put(key, finding, Confirmation(self._now, self._now))
        else:
            self._forget(key, finding)

    def note_name(self, session: Session) -> None:
        """Store that its row names the session, by the name that it has."""
        known = self.of(session.key).get(Finding.NAMED)
        if known is None or known.name != session.name:
            self._put(session.key, Finding.NAMED, Confirmation(self._now, self._now, name=session.name))

    def was_named(self, session: Session) -> bool:
        """Return whether its row named the session by the name that it has now."""
        known = self.of(session.key).get(Finding.NAMED)
        return known is not None and known.name == session.name

    def confirm(self, key: SessionKey, finding: Finding, *, gap: float, enough: int) -> None:
        """Count the finding once more, if enough time has passed."""
        previous = self.of(key).get(finding)
        after = confirm(previous, self._now, gap=gap, enough=enough)
        if after != previous:
            self._put(key, finding, after)

    def bump(self, key: SessionKey, finding: Finding) -> None:
        """Count the finding once more in any case."""
        previous = self.of(key).get(finding)
        count = previous.count + 1 if previous else 1
        self._put(key, finding, Confirmation(previous.first_at if previous else self._now, self._now, count))

    def note_clients(self, session: Session, last_complete: float | None) -> None:
        """Store whether a client is attached.

        A detach is dated at the first sweep without a client, which is never too early.
        """
        key = session.key
        if session.is_attached:
            self._forget(key, Finding.DETACHED)
        elif has_left(session, self.of(key), last_complete):
            self._put(key, Finding.DETACHED, Confirmation(self._now, self._now))
        self.set(key, Finding.ATTACHED, holds=session.is_attached)

    def forget_all(self, finding: Finding) -> None:
        """Drop every finding of that kind."""
        for key in list(self._known):
            self._forget(key, finding)

    def forget_gone(self, socket: str, alive: Collection[SessionKey]) -> None:
        """Drop the findings about sessions that are no longer on this socket.

        Not to be called for a socket that could not be read: its sessions may still exist.
        """
        for key in [key for key in self._known if key.socket == socket and key not in alive]:
            for finding in list(self._known[key]):
                self._forget(key, finding)

    def saved(self) -> None:
        """Note that the changes so far are in the ledger."""
        self._stored = (self._stored - self.forgotten) | set(self.changed)
        self.changed, self.forgotten = {}, set()

    def _put(self, key: SessionKey, finding: Finding, confirmation: Confirmation) -> None:
        if finding in OF_A_WORKSPACE:
            confirmation = replace(confirmation, workspace_id=self._workspaces.get(key))
        self._known.setdefault(key, {})[finding] = confirmation
        self.forgotten.discard((key, finding))
        self.changed[key, finding] = confirmation

    def _forget(self, key: SessionKey, finding: Finding) -> None:
        mine = self._known.get(key)
        if mine is None or mine.pop(finding, None) is None:
            return
        if not mine:
            del self._known[key]
        self.changed.pop((key, finding), None)
        if (key, finding) in self._stored:
            self.forgotten.add((key, finding))

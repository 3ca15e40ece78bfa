"""Noticing on behalf of a server: a thread that waits for commits, compares, and fires the hooks for what has changed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from workspace_reaper.model.errors import LedgerError, SweepLocked
from workspace_reaper.model.ports import ChangeWatcher, Registry
from workspace_reaper.model.session import NO_OWNER
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import WorkspaceList
from workspace_reaper.policy.deletions import Comparison, Past, compare, confirm, vanished
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.tmux import TmuxTerminal

_BREATH = 2.0

"""Seconds that a wait takes at most, and so about the time between two signs of life."""

_AFTER_UNKNOWN = 1.0

_AFTER_FAILURE = 10.0

_log = logging.getLogger("workspace_reaper.daemon")


class Hooks(Protocol):
    """What is fired, such as ``workspace_hookspecs.WorkspacePlugins``."""

    def workspace_deleted(self, workspace_id: str) -> object:
        """This workspace was deleted."""

    def workspace_archived(self, workspace_id: str) -> object:
        """This workspace was archived."""


def _nobody_knows() -> None:
    return None


def _nobody_doubts(why: str) -> None:  # noqa: ARG001
    return None


class DatabaseWatcher:
    """Fires ``workspace_deleted`` and ``workspace_archived`` from a thread of its own.

    The first list is a baseline: deletions from before it are left to the ticks, and so is each deletion that
    ``policy.deletions`` suppresses. ``sessions`` gives the ids that living sessions are named for, None if unknown; it
    is asked only after something vanished. The feed is the noticing's, and is closed with it.

    ``doubt`` gets the reason why the database is no longer the known one, if workspaces disappeared: their absence must
    not make orphans of their sessions. It is tried until it raises neither ``LedgerError`` nor ``SweepLocked``, and nothing is
    noticed before.
    """

    def __init__(
        self,
        feed: ChangeWatcher,
        plugins: Hooks,
        registry: Registry,
        sessions: Callable[[], Collection[str] | None] = _nobody_knows,
        doubt: Callable[[str], object] = _nobody_doubts,
    ) -> None:
        self._feed = feed
        self._plugins = plugins
        self._registry = registry
        self._sessions = sessions
        self._doubt = doubt
        self._doubted: str | None = None  # why, until it was reported
        self._said_doubt_failed = False
        self._past: Past | None = None
        self._pending = True  # a look that is still to be had, whether or not anything changes
        self._unknown = False
        self._beat = time.monotonic()
        self._silent = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="workspace-reaper noticing", daemon=True)

    @property
    def beat(self) -> float:
        """The last sign of life, in monotonic seconds. In a thread that is well it is a few seconds old at most."""
        return self._beat

    def start(self) -> None:
        """Begin, once. The thread takes the baseline."""
        self._thread.start()

    def fall_silent(self) -> None:
        """Fire no hook any more: another one does. Returns at once; a hook that is being fired may still go on."""
        self._silent.set()

    def stop(self, timeout: float) -> bool:
        """Stop, close the watcher, and return whether the thread ended in time. No hook is fired afterwards by a
        thread that has."""
        deadline = time.monotonic() + timeout
        self._silent.set()
        self._stopping.set()
        # Its close waits for a read that is on.
        closing = threading.Thread(target=self._feed.close, name="workspace-reaper noticing ends", daemon=True)
        closing.start()
        for thread in (closing, self._thread):
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        return not (closing.is_alive() or self._thread.is_alive())

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._beat = time.monotonic()
            try:
                if self._pending or self._feed.wait(_BREATH):
                    self._pending = True
                    self._look()
            except Exception:  # noqa: BLE001  (boundary: the thread must outlive whatever a feed, a registry or tmux raises)
                _log.exception("noticing failed: it looks again in %g s, and the ticks go on", _AFTER_FAILURE)
                self._stopping.wait(_AFTER_FAILURE)

    def _look(self) -> None:
        if not self._doubt_is_told():
            self._stopping.wait(_AFTER_UNKNOWN)
            return
        now = self._feed.read()
        comparison = now if isinstance(now, Unknown) else self._compare(now)
        if self._stopping.is_set():
            return
        if isinstance(comparison, Unknown):
            # The workspace_list of before stays, so that the next look finds the same missing.
            self._say_unknown(comparison.reason)
            self._stopping.wait(_AFTER_UNKNOWN)
            return
        self._say_known()
        if self._past is None and not self._silent.is_set():
            number = len(comparison.past.workspace_list.workspaces)
            _log.info("%d workspaces are watched", number, extra={"fields": {"event": "watching", "workspaces": number}})
        self._doubted = comparison.why if comparison.uncertain else None
        self._past, self._pending = comparison.past, self._doubted is not None
        self._tell(comparison)
        self._fire(self._plugins.workspace_deleted, comparison.deleted, "deleted")
        self._fire(self._plugins.workspace_archived, comparison.archived, "archived")

    def _doubt_is_told(self) -> bool:
        """Return whether there is nothing left to report."""
        if self._doubted is None:
            return True
        try:
            self._doubt(self._doubted)
        except (LedgerError, SweepLocked) as error:
            if not self._said_doubt_failed:
                self._said_doubt_failed = True
                fields = {"event": "doubt not noted", "why": str(error)}
                _log.warning("can't note that the database is another one, and try on: %s", error, extra={"fields": fields})
            return False
        self._doubted, self._said_doubt_failed = None, False
        return True

    def _compare(self, now: WorkspaceList) -> Comparison | Unknown:
        past = self._past
        sessions = self._sessions() if vanished(past, now) else ()
        comparison = compare(past, now, sessions, time.monotonic())
        if past is None or not comparison.deleted:
            return comparison
        rows = self._registry.look_up(comparison.deleted, past.workspace_list.identity.sentinels)
        return rows if isinstance(rows, Unknown) else confirm(comparison, past.workspace_list, rows)

    def _fire(self, hook: Callable[[str], object], ids: Iterable[str], what: str) -> None:
        for workspace_id in ids:
            if self._silent.is_set():
                return
            _log.info("workspace %s", what, extra={"fields": {"event": what, "workspace": workspace_id}})
            try:
                hook(workspace_id)
            except Exception:  # noqa: BLE001  (boundary: one hook; the next one is of another workspace)
                fields = {"event": "hook failed", "workspace": workspace_id}
                _log.exception("the hook for a workspace that was %s raised", what, extra={"fields": fields})

    def _tell(self, comparison: Comparison) -> None:
        if comparison.why is None:
            return
        number = len(comparison.suppressed)
        fields = {"event": "deletions suppressed" if number else "new baseline", "workspaces": number, "why": comparison.why}
        if number:
            text = "%d workspaces vanished, and no deletion is reported: %s. The ticks decide."
            _log.warning(text, number, comparison.why, extra={"fields": fields})
        else:
            _log.info("what follows is compared with what is there now: %s", comparison.why, extra={"fields": fields})

    def _say_unknown(self, reason: str) -> None:
        if not self._unknown:
            self._unknown = True
            text = "the database can't be read, so that nothing is noticed: %s"
            _log.warning(text, reason, extra={"fields": {"event": "database unknown", "why": reason}})

    def _say_known(self) -> None:
        if self._unknown:
            self._unknown = False
            _log.info("the database can be read again", extra={"fields": {"event": "database known"}})


class InitialRead:
    """A feed that tells when it was read for the first time: what is committed from then on is noticed. See ``ports.Feed``."""

    def __init__(self, feed: ChangeWatcher) -> None:
        self._feed = feed
        self._taken = threading.Event()

    def is_taken(self, timeout: float) -> bool:
        """Wait until the baseline was read or could not be read. Return False after that many seconds."""
        return self._taken.wait(timeout)

    def wait(self, timeout: float) -> bool:
        """As the feed."""
        return self._feed.wait(timeout)

    def read(self) -> WorkspaceList | Unknown:
        """As the feed."""
        try:
            return self._feed.read()
        finally:
            self._taken.set()

    def close(self) -> None:
        """As the feed."""
        self._taken.set()
        self._feed.close()


class LivingSessions:
    """Asks these sockets (absolute paths) with terminals of its own: one is for one thread at a time."""

    def __init__(self, sockets: Iterable[str], names: SessionMatcher) -> None:
        self._terminals = [TmuxTerminal(socket) for socket in sockets]
        self._names = names

    def __call__(self) -> frozenset[str] | None:
        """Return the ids in the names of all sessions, whichever owner they have, or None if a socket could not be read."""
        found: set[str | None] = set()
        for terminal in self._terminals:
            listing = terminal.observe(NO_OWNER, panes=False)
            if isinstance(listing, Unknown):
                return None
            named = [session.name for session in listing.sessions] + [unknown.session or "" for unknown in listing.unreadable]
            found |= {self._names.workspace_id(terminal.socket, name) for name in named}
        return frozenset(one for one in found if one is not None)

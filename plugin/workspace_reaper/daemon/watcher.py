"""Reports what a server writes to its database: a thread waits for commits, compares, and fires the hooks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol

from workspace_hookspecs import WorkspacePlugins
from workspace_reaper.model.errors import LedgerError, SweepLocked
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.machine_ports import Processes
from workspace_reaper.model.ports import ChangeWatcher, Ledger, Registry, Terminal
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.workspace import WorkspaceList
from workspace_reaper.plugin import ReaperPlugin
from workspace_reaper.policy.deletions import Comparison, Past, compare, confirm, vanished
from workspace_reaper.policy.marks import LONGEST
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.sweep.log import log_event
from workspace_reaper.sweep.observe import observe, reject_unlinked_sockets
from workspace_reaper.sweep.own_options import OwnOptions

# The longest wait for a commit in seconds, and so about the time between two heartbeats.
_LONGEST_WAIT = 2.0

# Seconds until the next attempt after the database could not be read: the first, and the longest after further failures. A
# database that is being restored cannot be read for a moment, and a sweep must not see the result long before this thread does.
_AFTER_UNKNOWN = 0.1, 2.0

# Seconds until the next attempt after an unexpected error.
_AFTER_FAILURE = 10.0

_log = logging.getLogger("workspace_reaper.daemon")


class Reports(Protocol):
    """What the database watcher reports. No method blocks."""

    def workspace_deleted(self, workspace_id: str) -> None:
        """Its row went, with so few others that this counts by itself."""

    def workspace_archived(self, workspace_id: str) -> None:
        """Its row says archived."""

    def workspace_vanished(self, workspace_id: str, *, as_by_restore: bool) -> None:
        """Its row went, and only its directory can prove that it was deleted. ``as_by_restore``: see `Comparison`."""


class DerivedEvents:
    """Reports what the daemon derives: to the reaper as no event of a host, to the other plugins as a host would.

    Args:
        plugins: All plugins.
        reaper: The reaper among them.
    """

    def __init__(self, plugins: WorkspacePlugins, reaper: ReaperPlugin) -> None:
        self._plugins = plugins
        self._reaper = reaper

    def workspace_deleted(self, workspace_id: str) -> None:
        """Wake the reaper for this workspace, and notify the other plugins."""
        self._reaper.on_row_gone(workspace_id, WorkspaceEvent.REMOVED)
        self._plugins.workspace_deleted(workspace_id, but=self._reaper)

    def workspace_archived(self, workspace_id: str) -> None:
        """Notify all plugins."""
        self._plugins.workspace_archived(workspace_id)

    def workspace_vanished(self, workspace_id: str, *, as_by_restore: bool) -> None:
        """Wake the reaper for this workspace: it notifies the other plugins once it has found a witness."""
        self._reaper.on_row_gone(workspace_id, WorkspaceEvent.DOUBTED if as_by_restore else WorkspaceEvent.VANISHED)


class DatabaseWatcher:
    """The thread that fires ``workspace_deleted`` and ``workspace_archived``.

    The initial read fires nothing: earlier deletions are left to the ticks, and so is each deletion that ``policy.deletions``
    suppresses.

    Args:
        changes: The watcher of the database. It is closed by `stop`.
        reports: Where the changes are reported.
        registry: Where deletions are looked up again before they are reported.
        sessions: Returns the workspaces of the living sessions, or None if they are unknown. Called only after a workspace
            disappeared.
        invalidate: Called with the reason if workspaces disappeared together with a change of the database's identity: their
            absence must not make orphans of their sessions. It is called again until it raises neither ``LedgerError`` nor
            ``SweepLocked``, and nothing is compared before.

    Attributes:
        heartbeat: When the thread last reported that it lives, in monotonic seconds: a few seconds ago at most.
    """

    def __init__(
        self,
        changes: ChangeWatcher,
        reports: Reports,
        registry: Registry,
        sessions: Callable[[], Collection[str] | None],
        invalidate: Callable[[str], object],
    ) -> None:
        self._changes = changes
        self._reports = reports
        self._registry = registry
        self._sessions = sessions
        self._invalidate = invalidate
        self._invalid: str | None = None  # the reason, until ``invalidate`` has returned
        self._invalidate_failed = False
        self._past: Past | None = None
        self._pending = True  # a comparison is due, whether or not anything changes
        self._unknown = False
        self._retry_after = _AFTER_UNKNOWN[0]
        self.heartbeat = time.monotonic()
        self._initially_read = threading.Event()
        self._paused = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="workspace-reaper watcher", daemon=True)

    def start(self, patience: float) -> None:
        """Start the thread, and wait for the initial read for at most ``patience`` seconds. Called once.

        All that is committed after the initial read is noticed.
        """
        self._thread.start()
        self._initially_read.wait(patience)

    def pause(self) -> None:
        """Fire no more hooks. Returns at once: a hook that is being called may still be running."""
        self._paused.set()

    def stop(self, timeout: float) -> bool:
        """Stop the thread and close the watcher of the database.

        Returns:
            Whether the thread ended within ``timeout`` seconds. If it did, no hook is fired any more.
        """
        deadline = time.monotonic() + timeout
        self._paused.set()
        self._stopping.set()
        self._initially_read.set()
        # ``close`` waits for a running read, which may hang.
        closing = threading.Thread(target=self._changes.close, name="workspace-reaper watcher closes", daemon=True)
        closing.start()
        for thread in (closing, self._thread):
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))
        return not (closing.is_alive() or self._thread.is_alive())

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.heartbeat = time.monotonic()
            try:
                if self._pending or self._changes.wait(_LONGEST_WAIT):
                    self._pending = True
                    self._look()
            except Exception:  # noqa: BLE001  (boundary: the thread must survive all that a registry or tmux raises)
                _log.exception("watching the database failed: retrying in %g s; the ticks continue", _AFTER_FAILURE)
                self._stopping.wait(_AFTER_FAILURE)

    def _look(self) -> None:
        if not self._is_valid():
            self._wait_to_retry()
            return
        try:
            now = self._changes.read()
        finally:
            self._initially_read.set()
        comparison = now if isinstance(now, Unknown) else self._compare(now)
        if self._stopping.is_set():
            return
        self._log_unknown(comparison.reason if isinstance(comparison, Unknown) else None)
        if isinstance(comparison, Unknown):
            # The last list stays, so that the next comparison finds the same workspaces missing.
            self._wait_to_retry()
            return
        self._retry_after = _AFTER_UNKNOWN[0]
        if self._past is None and not self._paused.is_set():
            number = len(comparison.past.workspace_list.workspaces)
            log_event(logging.INFO, f"watching {number} workspaces", event="watching", workspaces=number)
        self._invalid = comparison.why if comparison.uncertain else None
        self._past, self._pending = comparison.past, self._invalid is not None
        _log_suppressed(comparison)
        self._fire(self._reports.workspace_deleted, comparison.deleted, "deleted")
        self._fire(self._reports.workspace_archived, comparison.archived, "archived")
        for workspace_id in comparison.vanished:
            self._reports.workspace_vanished(workspace_id, as_by_restore=comparison.as_by_restore)

    def _wait_to_retry(self) -> None:
        self._stopping.wait(self._retry_after)
        self._retry_after = min(2 * self._retry_after, _AFTER_UNKNOWN[1])

    def _is_valid(self) -> bool:
        """Return whether no call of ``invalidate`` is outstanding any more."""
        if self._invalid is None:
            return True
        try:
            self._invalidate(self._invalid)
        except (LedgerError, SweepLocked) as error:
            if not self._invalidate_failed:
                self._invalidate_failed = True
                text = f"the changed database cannot be recorded in the ledger, retrying: {error}"
                log_event(logging.WARNING, text, event="change not recorded", why=str(error))
            return False
        self._invalid, self._invalidate_failed = None, False
        return True

    def _compare(self, now: WorkspaceList) -> Comparison | Unknown:
        past = self._past
        sessions = self._sessions() if vanished(past, now) else ()
        comparison = compare(past, now, sessions, time.monotonic())
        if past is None or not comparison.deleted:
            return comparison
        rows = self._registry.look_up(comparison.deleted, ())
        return rows if isinstance(rows, Unknown) else confirm(comparison, past.workspace_list, rows)

    def _fire(self, hook: Callable[[str], object], ids: Iterable[str], event: str) -> None:
        for workspace_id in ids:
            if self._paused.is_set():
                return
            log_event(logging.INFO, f"workspace {event}", event=event, workspace=workspace_id)
            try:
                hook(workspace_id)
            except Exception:  # noqa: BLE001  (boundary: one hook; the next one is for another workspace)
                fields = {"event": "hook failed", "workspace": workspace_id}
                _log.exception("the hook for a workspace that was %s raised", event, extra={"fields": fields})

    def _log_unknown(self, reason: str | None) -> None:
        """Log when the database cannot be read any more, and when it can be read again."""
        if reason is not None and not self._unknown:
            text = f"the database cannot be read, so no deletion is noticed: {reason}"
            log_event(logging.WARNING, text, event="database unknown", why=reason)
        elif reason is None and self._unknown:
            log_event(logging.INFO, "the database can be read again", event="database known")
        self._unknown = reason is not None


def _log_suppressed(comparison: Comparison) -> None:
    """Log why deletions are suppressed, or why the list was read as if for the first time."""
    number = len(comparison.suppressed)
    if comparison.why is not None and number:
        text = f"{number} workspaces vanished, and no deletion is reported: {comparison.why}. The ticks decide."
        log_event(logging.WARNING, text, event="deletions suppressed", workspaces=number, why=comparison.why)
    elif comparison.why is not None:
        text = f"the database changed as a whole, so it is read as if for the first time: {comparison.why}"
        log_event(logging.INFO, text, event="new initial read", workspaces=0, why=comparison.why)


class LivingSessions:
    """The workspaces that have a session, for one thread.

    Args:
        terminals: The tmux sockets. A terminal is for one thread at a time.
        matcher: Yields the workspace of a session, as in a sweep.
        registry: Where the rows are that name sessions.
        reading: Opens the ledger, which has the owner id of our marks and the tmux servers that had sessions.
        processes: Shows whether such a server still runs although its socket was removed.
    """

    def __init__(
        self,
        terminals: Sequence[Terminal],
        matcher: SessionMatcher,
        registry: Registry,
        reading: Callable[[], AbstractContextManager[Ledger]],
        processes: Processes,
    ) -> None:
        self._terminals = terminals
        self._matcher = matcher
        self._registry = registry
        self._reading = reading
        self._processes = processes

    def __call__(self) -> frozenset[str] | None:
        """Return the workspaces of all sessions of any owner, or None if a socket, the ledger or the rows that name sessions
        could not be read, or the sessions of a server are out of sight."""
        try:
            with self._reading() as ledger:
                seen = observe(
                    self._terminals,
                    self._matcher,
                    ledger.registry().owner_id,
                    None,
                    OwnOptions(),
                    partial(ledger.longer_ids, LONGEST),
                    registry=self._registry,
                    panes=False,
                )
                servers = ledger.load_state((), 0.0).servers
        except LedgerError:
            return None
        if seen.unrecorded is not None or reject_unlinked_sockets(seen, servers, self._processes):
            return None
        unreadable = {workspace_id for _, _, workspace_id in seen.unreadable}
        return frozenset(seen.all_workspace_ids | unreadable) if seen.everything else None

"""One thread and its wake-ups. Hooks and ticks only leave a wake-up here; equal ones coalesce; the thread works them off."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from workspace_reaper.model.events import WorkspaceEvent

__all__ = ["LOOKS", "Work", "Worker"]

LOOKS = (0.0, 0.2, 1.0, 5.0)
"""Seconds after a hook at which a workspace is looked at, until its row says what the hook said."""

MOST_SUSPECTS = 10_000
"""Beyond this a hook only asks for a full sweep, which finds what is gone as well."""

_log = logging.getLogger("workspace_reaper")


class Work(Protocol):
    """What the thread does. Neither method should raise; what they raise all the same is logged."""

    def sweep_all(self) -> None:
        """A full sweep."""

    def look_at(self, suspects: Mapping[str, WorkspaceEvent], final: Collection[str]) -> Collection[str]:
        """Sweep these workspaces; return those whose rows do not say yet what the hook said. No look follows for ``final``."""


@dataclass(slots=True)
class _Suspect:
    testimony: WorkspaceEvent
    named_at: float
    ticket: int
    look: int = 0

    @property
    def due(self) -> float:
        return self.named_at + LOOKS[self.look]


class Worker:
    """Starts its thread at the first wake-up, once in each process: a host may fork, and threads do not survive that."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._reset()
        # After a fork the child has the state but not the thread, and a lock may have been held by a thread it lacks.
        reference = weakref.WeakMethod(self._reset)
        os.register_at_fork(after_in_child=lambda: (reset := reference()) and reset())

    def _reset(self) -> None:
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing_until: float | None = None
        self._busy_since: float | None = None
        self._tickets = 0
        self._tick: int | None = None
        self._suspects: dict[str, _Suspect] = {}
        self._working_on: set[int] = set()
        self._forgotten = False

    @property
    def stopping(self) -> bool:
        """``close`` was called: finish the step, and start no kill."""
        return self._closing_until is not None

    @property
    def busy_since(self) -> float | None:
        """When it began with what it works on, or was woken and has not begun: seconds of ``time.monotonic``. None: at rest."""
        return self._busy_since

    def wake(self) -> None:
        """Ask for a full sweep. Returns at once."""
        with self._changed:
            self._tickets += 1
            self._note_work()
            if self._tick is None:
                self._tick = self._tickets
            self._start()

    def suspect(self, workspace_id: str, testimony: WorkspaceEvent) -> None:
        """A hook named this workspace. Returns at once."""
        with self._changed:
            self._tickets += 1
            self._note_work()
            known = self._suspects.get(workspace_id)
            too_many = known is None and len(self._suspects) >= MOST_SUSPECTS
            overflows = too_many and self._tick is None
            if overflows:
                self._tick = self._tickets
            if not too_many:
                ticket = self._tickets if known is None else known.ticket
                both = {testimony, known.testimony if known else testimony}
                worse = WorkspaceEvent.DELETED if WorkspaceEvent.DELETED in both else testimony
                self._suspects[workspace_id] = _Suspect(worse, time.monotonic(), ticket)
            self._start()
        if overflows:
            # Not under the lock: a slow log handler must not stop the other hooks.
            _log.warning("more than %d workspaces wait to be looked at: a full sweep does", MOST_SUSPECTS)

    @property
    def forgotten(self) -> bool:
        """``forget`` was called since the suspects that are being looked at were taken."""
        return self._forgotten

    def forget(self) -> None:
        """What hooks said so far is not said of the registry that is asked from now on: no look follows for it."""
        with self._changed:
            self._suspects.clear()
            self._forgotten = True
            self._changed.notify_all()

    def drain(self, timeout: float) -> bool:
        """Wait until every wake-up so far, its later looks included, is worked off; False after ``timeout`` seconds."""
        with self._changed:
            last = self._tickets
            self._changed.wait_for(lambda: self.stopping or not self._open(last), timeout)
            return not self._open(last)

    def close(self, timeout: float = 15.0) -> None:
        """End the thread: it finishes the step it is in, and stops before the next kill. What is left is left to a tick.

        Waits until it has ended, for at most ``timeout`` seconds from the first call on.
        """
        with self._changed:
            if self._closing_until is None:
                self._closing_until = time.monotonic() + timeout
            until = self._closing_until
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, until - time.monotonic()))

    def _note_work(self) -> None:
        if self._busy_since is None:
            self._busy_since = time.monotonic()

    def _start(self) -> None:
        if self.stopping:
            return
        if self._thread is None or not self._thread.is_alive():
            # A daemon: interpreter exit must not wait for a sleeping thread. The plugin closes it at exit.
            thread = threading.Thread(target=self._run, name="workspace-reaper", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no more threads on this machine: the next wake-up tries again
                _log.error("the reaper can't start its thread, so nothing is reaped: %s", error)
                return
            self._thread = thread
        self._changed.notify_all()

    def _open(self, last: int) -> bool:
        """Whether anything asked for up to this ticket is still to be done."""
        waiting = {suspect.ticket for suspect in self._suspects.values()} | self._working_on
        return any(ticket <= last for ticket in waiting) or (self._tick is not None and self._tick <= last)

    def _run(self) -> None:
        while True:
            with self._changed:
                due = self._take_due()
                while not self.stopping and self._tick is None and not due:
                    self._busy_since = None
                    self._changed.wait(self._until_next())
                    due = self._take_due()
                self._busy_since = time.monotonic()
                if self.stopping:
                    self._changed.notify_all()
                    return
                tick, self._tick = self._tick, None
                self._forgotten = False
                self._working_on = {suspect.ticket for suspect in due.values()} | ({tick} if tick is not None else set())
            unsettled = self._look(due) if due else set()
            if tick is not None and not self.stopping:
                self._guarded(self._work.sweep_all)
            with self._changed:
                if not self._forgotten:
                    self._later({workspace_id: due[workspace_id] for workspace_id in unsettled if workspace_id in due})
                self._working_on = set()
                self._changed.notify_all()

    def _take_due(self) -> dict[str, _Suspect]:
        now = time.monotonic()
        due = {workspace_id: suspect for workspace_id, suspect in self._suspects.items() if suspect.due <= now}
        for workspace_id in due:
            del self._suspects[workspace_id]
        return due

    def _until_next(self) -> float | None:
        if not self._suspects:
            return None
        return max(0.0, min(suspect.due for suspect in self._suspects.values()) - time.monotonic())

    def _look(self, due: dict[str, _Suspect]) -> set[str]:
        suspects = {workspace_id: suspect.testimony for workspace_id, suspect in due.items()}
        final = {workspace_id for workspace_id, suspect in due.items() if suspect.look == len(LOOKS) - 1}
        unsettled: set[str] = set()
        self._guarded(lambda: unsettled.update(self._work.look_at(suspects, final)))
        return unsettled - final

    def _later(self, suspects: dict[str, _Suspect]) -> None:
        """Look at these again. One that a hook named anew meanwhile has its own looks already."""
        for workspace_id, suspect in suspects.items():
            if workspace_id not in self._suspects:
                suspect.look += 1
                self._suspects[workspace_id] = suspect

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException:  # noqa: BLE001  the thread must outlive any fault of one sweep, sys.exit() in a plug-in included
            _log.exception("a sweep failed; the next tick tries again")

"""One thread and its queue. Hooks and ticks only leave a wake-up here; equal ones coalesce; the thread works them off."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from workspace_reaper.model.events import DERIVED_EVENTS, WorkspaceEvent, strongest
from workspace_reaper.util.log import log_event, log_failure

# Seconds after a hook at which its workspace is looked at, until its row says what the hook reported.
LOOKS = (0.0, 0.2, 1.0, 5.0)

# Seconds after the daemon saw a row go. A host often removes the directory after the row, and that may take minutes; then the
# session is reaped within 10 s. After the last look, the ticks go on.
LOOKS_AT_DIRECTORY = (0.0, 1.0, 5.0, *(float(seconds) for seconds in range(12, 301, 8)))

# When this many workspaces wait, a hook only asks for a full sweep, which finds its workspace as well.
MOST_SUSPECTS = 100_000


@dataclass(slots=True)
class _Suspect:
    """A workspace in the queue. ``reported_at`` is when its event was reported, ``named_at`` when any event last was: the looks
    begin again then."""

    event: WorkspaceEvent
    named_at: float
    reported_at: float
    ticket: int
    look: int = 0

    @property
    def due(self) -> float:
        return self.named_at + self.looks[self.look]

    @property
    def looks(self) -> tuple[float, ...]:
        """When it is looked at, in seconds after it was named."""
        return LOOKS_AT_DIRECTORY if self.event in DERIVED_EVENTS else LOOKS


class Worker:
    """Starts its thread at the first wake-up, once in each process: a host may fork, and threads do not survive a fork.

    Args:
        sweep_all: Runs a full sweep.
        look_at: Sweeps these workspaces. It gets what hooks reported about each, those of them that are not looked at again,
            and how long ago each was reported (seconds). It returns the workspaces whose rows do not agree yet with the hook.

    An exception of either is logged, and does not end the thread.
    """

    def __init__(
        self,
        sweep_all: Callable[[], None],
        look_at: Callable[[Mapping[str, WorkspaceEvent], Collection[str], Mapping[str, float]], Collection[str]],
    ) -> None:
        self._sweep_all = sweep_all
        self._look_at = look_at
        self._reset()
        # After a fork the child has the state but not the thread, and a lock may be held by a thread that it does not have.
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
        self._looking_at: dict[str, _Suspect] = {}
        self._forgotten = False

    def is_stopping(self) -> bool:
        """Return whether ``close`` was called: then the current step is finished, and no kill is started."""
        return self._closing_until is not None

    @property
    def busy_since(self) -> float | None:
        """Since when the thread has had work (seconds of ``time.monotonic``), None while it is idle."""
        return self._busy_since

    def doubted(self) -> frozenset[str]:
        """Return the suspects whose rows vanished as after a restore: a sweep that began before that does not know it yet."""
        with self._changed:
            suspects = [*self._suspects.items(), *self._looking_at.items()]
        return frozenset(one for one, suspect in suspects if suspect.event is WorkspaceEvent.DOUBTED)

    def wake(self) -> None:
        """Ask for a full sweep. Returns at once."""
        with self._changed:
            self._take_ticket()
            if self._tick is None:
                self._tick = self._tickets
            self._start()

    def suspect(self, workspace_id: str, event: WorkspaceEvent) -> None:
        """Ask for a look at a workspace that a hook named. Returns at once."""
        with self._changed:
            self._take_ticket()
            known = self._suspects.get(workspace_id)
            too_many = known is None and len(self._suspects) >= MOST_SUSPECTS
            overflows = too_many and self._tick is None
            if overflows:
                self._tick = self._tickets
            if not too_many:
                self._suspects[workspace_id] = self._suspect(known, event)
            self._start()
        if overflows:
            # Without the lock: a slow log handler must not stop the other hooks.
            text = f"more than {MOST_SUSPECTS} workspaces are queued: the next full sweep looks at all others"
            log_event(logging.WARNING, text)

    def _suspect(self, known: _Suspect | None, event: WorkspaceEvent) -> _Suspect:
        """Return the suspect that coalesces what is in the queue with a new event."""
        now = time.monotonic()
        if known is None:
            return _Suspect(event, now, now, self._tickets)
        counts = strongest(known.event, event)
        # A weaker event makes no news of the one before, which may be of a database that has been replaced since.
        return _Suspect(counts, now, now if counts is event else known.reported_at, known.ticket)

    def has_forgotten(self) -> bool:
        """Return whether ``forget`` was called since the current suspects were taken from the queue."""
        return self._forgotten

    def forget(self) -> None:
        """Drop all suspects: what hooks reported about them is not true of the registry that is asked from now on."""
        with self._changed:
            self._suspects.clear()
            self._forgotten = True
            self._changed.notify_all()

    def drain(self, timeout: float) -> bool:
        """Wait until the work of every wake-up so far is done, later looks included. Returns False after ``timeout``
        seconds."""
        with self._changed:
            last = self._tickets
            self._changed.wait_for(lambda: self.is_stopping() or not self._is_open(last), timeout)
            return not self._is_open(last)

    def close(self, timeout: float = 15.0) -> None:
        """End the thread: it finishes its current step, and stops before the next kill. A later sweep does the rest.

        Waits for the thread, for at most ``timeout`` seconds since the first call.
        """
        with self._changed:
            if self._closing_until is None:
                self._closing_until = time.monotonic() + timeout
            until = self._closing_until
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(0.0, until - time.monotonic()))

    def _take_ticket(self) -> None:
        self._tickets += 1
        if self._busy_since is None:
            self._busy_since = time.monotonic()

    def _start(self) -> None:
        if self.is_stopping():
            return
        if self._thread is None or not self._thread.is_alive():
            # A daemon thread: interpreter exit must not wait for a sleeping thread. The plugin closes it at exit.
            thread = threading.Thread(target=self._run, name="workspace-reaper", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no more threads on this machine: the next wake-up tries again
                log_event(logging.ERROR, f"the reaper cannot start its thread, so nothing is reaped: {error}")
                return
            self._thread = thread
        self._changed.notify_all()

    def _is_open(self, last: int) -> bool:
        """Whether work of a ticket up to this one is left."""
        waiting = {suspect.ticket for suspect in self._suspects.values()} | self._working_on
        return any(ticket <= last for ticket in waiting) or (self._tick is not None and self._tick <= last)

    def _run(self) -> None:
        while True:
            with self._changed:
                due = self._take_due()
                while not self.is_stopping() and self._tick is None and not due:
                    self._busy_since = None
                    self._changed.wait(self._until_next())
                    due = self._take_due()
                self._busy_since = time.monotonic()
                if self.is_stopping():
                    self._changed.notify_all()
                    return
                tick, self._tick = self._tick, None
                self._looking_at = due
                self._forgotten = False
                self._working_on = {suspect.ticket for suspect in due.values()} | ({tick} if tick is not None else set())
            unsettled = self._look(due) if due else set()
            if tick is not None and not self.is_stopping():
                self._guarded(self._sweep_all)
            with self._changed:
                if not self._forgotten:
                    self._look_later({workspace_id: due[workspace_id] for workspace_id in unsettled if workspace_id in due})
                self._working_on, self._looking_at = set(), {}
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
        suspects = {workspace_id: suspect.event for workspace_id, suspect in due.items()}
        final = {workspace_id for workspace_id, suspect in due.items() if suspect.look == len(suspect.looks) - 1}
        now = time.monotonic()
        ages = {workspace_id: now - suspect.reported_at for workspace_id, suspect in due.items()}
        unsettled: set[str] = set()
        self._guarded(lambda: unsettled.update(self._look_at(suspects, final, ages)))
        return unsettled - final

    def _look_later(self, suspects: dict[str, _Suspect]) -> None:
        """Look at these again. One that a hook named again meanwhile is in the queue already."""
        for workspace_id, suspect in suspects.items():
            if workspace_id not in self._suspects:
                suspect.look += 1
                self._suspects[workspace_id] = suspect

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as error:  # noqa: BLE001  the thread outlives any fault of a sweep, sys.exit() in a plugin included
            log_failure("a sweep failed; the next tick tries again", error)

"""One plugin's lane: its own thread and its own bounded queue, so that it can slow down nobody but itself."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping

from workspace_hookspecs._reporting import report

Deliver = Callable[[str, Mapping[str, object]], object]


class _Item:
    """One event in a queue. The ``kwargs`` of a waiting tick are replaced by those of a later one."""

    __slots__ = ("hook", "kwargs")

    def __init__(self, hook: str, kwargs: Mapping[str, object]) -> None:
        self.hook = hook
        self.kwargs = kwargs


class Lane:
    """Calls ``deliver(hook, kwargs)`` for each event, in order, on a daemon thread that starts at the first event.

    No lock is held while ``deliver`` runs.
    """

    def __init__(self, name: str, deliver: Deliver, limit: int) -> None:
        self._name = name
        self._deliver = deliver
        self._limit = limit
        self._ending = False
        self.restart()

    def restart(self) -> None:
        """Start afresh in a forked child: the thread does not exist there, the lock may be held by one that does not either,
        and the queued events are the parent's to work off."""
        # An RLock: a signal handler or a finalizer may fire an event while its own thread is in here.
        self._changed = threading.Condition(threading.RLock())
        self._queue: deque[_Item] = deque()
        self._waiting_tick: _Item | None = None
        self._thread: threading.Thread | None = None
        self._accepted = 0
        self._finished = 0
        self._dropped = 0

    def put(self, hook: str, kwargs: Mapping[str, object], *, coalesce: bool) -> bool:
        """Queue an event; False if the lane has ended.

        A full queue drops the event, and says so once until it has caught up. With ``coalesce`` at most one event waits: it
        stays where it is and takes the new ``kwargs``, and there is always room for it, for a tick makes good what was
        dropped. ``RuntimeError``: no thread can be started; the event waits, and the next one tries again.
        """
        with self._changed:
            if self._ending:
                return False
            overflows = not self._enqueue(hook, kwargs, coalesce=coalesce) and self._dropped == 1
            self._start()
        if overflows:
            message = "plugin %r: its queue is full (%d events), %s and what follows is dropped until it has caught up"
            report(logging.ERROR, message, self._name, self._limit, hook)
        return True

    def drain(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds until every event accepted so far is worked off; whether it is."""
        with self._changed:
            target = self._accepted
            if self._finished < target:
                self._start()
            return self._changed.wait_for(lambda: self._finished >= target, max(0.0, timeout))

    def end(self) -> None:
        """Accept nothing more. The thread ends when the queue is empty."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()

    def abandon(self) -> int:
        """Forget what is queued; how many events were never handed over since the last time that nothing was queued."""
        with self._changed:
            lost = len(self._queue) + self._dropped
            self._finished += len(self._queue)
            self._queue.clear()
            self._waiting_tick = None
            self._dropped = 0
            self._changed.notify_all()
            return lost

    def _enqueue(self, hook: str, kwargs: Mapping[str, object], *, coalesce: bool) -> bool:
        if coalesce and self._waiting_tick is not None:
            self._waiting_tick.kwargs = kwargs
            return True
        if not coalesce and len(self._queue) >= self._limit:
            self._dropped += 1
            return False
        item = _Item(hook, kwargs)
        if coalesce:
            self._waiting_tick = item
        self._queue.append(item)
        self._accepted += 1
        self._changed.notify_all()
        return True

    def _start(self) -> None:
        if self._thread is not None:
            return
        # Set before it runs: start() lets signal handlers in, which may fire an event.
        self._thread = threading.Thread(target=self._run, name=f"workspace plugin {self._name}", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._thread = None
            raise

    def _run(self) -> None:
        me = threading.current_thread()
        while (item := self._take(me)) is not None:
            try:
                self._deliver(item.hook, item.kwargs)
            except BaseException as error:  # noqa: BLE001  (boundary: one plugin's hook; sys.exit() must not end the thread)
                arguments = ", ".join(f"{name}={value!r}" for name, value in item.kwargs.items())
                report(logging.ERROR, "plugin %r raised in %s(%s)", self._name, item.hook, arguments, error=error)
            self._finish(me)

    def _take(self, me: threading.Thread) -> _Item | None:
        with self._changed:
            # Not me: a plugin forked inside its hook, and this is its child, which got a copy of this stack.
            while self._thread is me and not self._queue and not self._ending:
                self._changed.wait()
            if self._thread is not me or not self._queue:
                return None
            item = self._queue.popleft()
            if item is self._waiting_tick:
                self._waiting_tick = None
            return item

    def _finish(self, me: threading.Thread) -> None:
        dropped = 0
        with self._changed:
            if self._thread is not me:
                return
            self._finished += 1
            if not self._queue:
                dropped, self._dropped = self._dropped, 0
            self._changed.notify_all()
        if dropped:
            report(logging.WARNING, "plugin %r has caught up; %d events were dropped meanwhile", self._name, dropped)

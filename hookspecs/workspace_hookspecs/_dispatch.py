"""Calling plugins on threads of their own, so that a slow or failing plugin affects only itself."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Final, Protocol, TypeAlias

from pluggy import HookImpl, PluginManager

from workspace_hookspecs._loading import manager_of_one
from workspace_hookspecs._logging import ErrorBoundary, log

# A hook, its arguments, and the key by which it coalesces.
Event: TypeAlias = "tuple[str, Mapping[str, object], Hashable]"

# The hook that makes up for lost events. It coalesces, and is never dropped.
TICK: Final = "on_tick"


# The number of events that may wait for one plugin, unless given otherwise.
QUEUE_LIMIT: Final = 100_000


class PluginQueue:
    """One plugin's bounded queue and its daemon thread, which starts at the first event and calls ``call(hook, kwargs)``.

    No lock is held during the call.
    """

    def __init__(self, name: str, call: Callable[[str, Mapping[str, object]], object], limit: int) -> None:
        self._name = name
        self._call = call
        self._limit = limit
        self._closed = False
        self.restart()

    def restart(self) -> None:
        """Reset the queue in a forked child. The thread does not exist there, a lock may be held by another thread of the
        parent, and the queued events belong to the parent."""
        # An RLock: a signal handler or a finalizer may fire an event while its own thread holds the lock.
        self._changed = threading.Condition(threading.RLock())
        self._queue: deque[tuple[str, Hashable, Mapping[str, object]]] = deque()
        # The arguments of the events that coalesce, by what they coalesce by.
        self._waiting: dict[Hashable, Mapping[str, object]] = {}
        self._thread: threading.Thread | None = None
        self._accepted = 0
        self._finished = 0
        self._dropped = 0

    def put(self, hook: str, kwargs: Mapping[str, object], *, key: Hashable = None, instead: Event | None = None) -> bool:
        """Queue an event. Return False if the queue is closed.

        A full queue drops the event, and logs this once until the plugin has caught up.

        Args:
            hook: The hook's name.
            kwargs: The hook's arguments.
            key: At most one event with this key waits: a later one replaces its arguments. None for an event that does not
                coalesce.
            instead: An event that makes up for all that are dropped. It is queued when the first one is.

        Raises:
            RuntimeError: No thread can be started. The event stays queued, and the next event tries again.
        """
        with self._changed:
            if self._closed:
                return False
            overflowed = not self._enqueue(hook, kwargs, key) and self._dropped == 1
            if overflowed and instead is not None:
                self._enqueue(*instead)
            self._start()
        if overflowed:
            message = "plugin %r: its queue is full (%d events); %s and later events are dropped until it has caught up"
            log(logging.ERROR, message, self._name, self._limit, hook)
        return True

    def drain(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for the events accepted so far. Return whether all are processed."""
        with self._changed:
            target = self._accepted
            if self._finished < target:
                self._start()
            return self._changed.wait_for(lambda: self._finished >= target, max(0.0, timeout))

    def close(self) -> None:
        """Accept no more events. The thread ends when the queue is empty."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def discard(self) -> int:
        """Empty the queue. Return the number of events lost since the queue was last empty."""
        with self._changed:
            lost = len(self._queue) + self._dropped
            self._finished += len(self._queue)
            self._queue.clear()
            self._waiting.clear()
            self._dropped = 0
            self._changed.notify_all()
            return lost

    def _enqueue(self, hook: str, kwargs: Mapping[str, object], key: Hashable) -> bool:
        if key in self._waiting:
            self._waiting[key] = kwargs
            return True
        if len(self._queue) >= self._limit and hook != TICK:
            self._dropped += 1
            return False
        self._append(hook, kwargs, key)
        return True

    def _append(self, hook: str, kwargs: Mapping[str, object], key: Hashable) -> None:
        if key is not None:
            self._waiting[key] = kwargs
        self._queue.append((hook, key, kwargs))
        self._accepted += 1
        # Its thread waits only while the queue is empty, and drain() for what is finished.
        if len(self._queue) == 1:
            self._changed.notify_all()

    def _start(self) -> None:
        if self._thread is not None:
            return
        # Set before the start: signal handlers run during start(), and may fire an event.
        self._thread = threading.Thread(target=self._run, name=f"workspace plugin {self._name}", daemon=True)
        try:
            self._thread.start()
        except BaseException:  # a signal handler may raise during start(): the next event tries again
            self._thread = None
            raise

    def _run(self) -> None:
        me = threading.current_thread()
        while (event := self._take(me)) is not None:
            hook, kwargs = event
            with ErrorBoundary("plugin %r raised in %s, called with %r", self._name, hook, kwargs):
                self._call(hook, kwargs)
            self._finish(me)

    def _take(self, me: threading.Thread) -> tuple[str, Mapping[str, object]] | None:
        with self._changed:
            # The thread differs in a child that a plugin forked inside its hook: the child runs a copy of this stack.
            while self._thread is me and not self._queue and not self._closed:
                self._changed.wait()
            if self._thread is not me or not self._queue:
                return None
            hook, key, kwargs = self._queue.popleft()
            return hook, kwargs if key is None else self._waiting.pop(key, kwargs)

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
            log(logging.WARNING, "plugin %r has caught up; %d events were dropped", self._name, dropped)


class Dispatcher:
    """The queues of one host's plugins, each made at the plugin's first event. All methods are thread-safe."""

    def __init__(self, queue_limit: int) -> None:
        self._queue_limit = queue_limit
        self._closed = False
        # By id(), because plugins need not be hashable. The queue keeps its plugin alive, so the id stays unique.
        self._queues: dict[int, PluginQueue] = {}
        self._lock = threading.RLock()  # an RLock for the same reason as in PluginQueue
        restart_after_fork(self)

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def fire(
        self,
        hook: str,
        impls: Iterable[HookImpl],
        kwargs: Mapping[str, object],
        *,
        key: Hashable = None,
        instead: Event | None = None,
    ) -> None:
        """Queue the event for each plugin that has one of the implementations. See `PluginQueue.put`."""
        for name, plugin in {impl.plugin_name: impl.plugin for impl in impls}.items():
            try:
                queue = self._queue(name, plugin)
                if queue is None or not queue.put(hook, kwargs, key=key, instead=instead):
                    log(logging.WARNING, "plugin %r does not receive %s: its WorkspacePlugins are closed", name, hook)
            except RuntimeError as error:
                log(logging.ERROR, "plugin %r: %s stays queued, because no thread can be started", name, hook, error=error)

    def drain(self, plugin: object, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for the plugin's events so far. Return whether all are processed."""
        queue = self._queues.get(id(plugin))
        return queue is None or queue.drain(timeout)

    def discard(self, plugin: object) -> int:
        """Empty the plugin's queue. Return the number of events that the plugin never received."""
        queue = self._queues.get(id(plugin))
        return 0 if queue is None else queue.discard()

    def close(self) -> bool:
        """Accept no more events, without waiting. The threads end when their queues are empty. False if already closed."""
        with self._lock:
            if self._closed:
                return False
            self._closed = True
        for queue in self._queues.values():
            queue.close()
        return True

    def restart(self) -> None:
        """Reset every queue in a forked child."""
        self._lock = threading.RLock()
        for queue in self._queues.values():
            queue.restart()

    def _queue(self, name: str, plugin: object) -> PluginQueue | None:
        with self._lock:
            queue = self._queues.get(id(plugin))
            if queue is None and not self._closed:
                queue = self._queues[id(plugin)] = PluginQueue(name, _PluginCaller(plugin, name), self._queue_limit)
            return queue


class _PluginCaller:
    """Calls the hooks of one plugin through a manager of its own, because pluggy stops at the first plugin that raises.

    The manager is made at the first call, because pluggy 1.5 evaluates the plugin's properties during registration.
    """

    def __init__(self, plugin: object, name: str) -> None:
        self._plugin = plugin
        self._name = name
        self._manager: PluginManager | None = None

    def __call__(self, hook: str, kwargs: Mapping[str, object]) -> None:
        if self._manager is None:
            self._manager = manager_of_one(self._plugin, self._name)
        getattr(self._manager.hook, hook)(**kwargs)


class _Restartable(Protocol):
    def restart(self) -> None: ...


# One fork handler for all objects, because a handler cannot be unregistered.
_restartables: weakref.WeakSet[_Restartable] = weakref.WeakSet()


def restart_after_fork(restartable: _Restartable) -> None:
    """Call ``restart()`` of the object in every forked child, while the object exists."""
    _restartables.add(restartable)


def _restart_all() -> None:
    for restartable in list(_restartables):
        restartable.restart()


getattr(os, "register_at_fork", dict)(after_in_child=_restart_all)  # Windows has no such function, and no fork

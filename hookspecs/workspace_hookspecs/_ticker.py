"""A periodic tick for hosts without a scheduler."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import TracebackType


class Ticker:
    """Calls ``tick`` at once and then every ``every`` seconds on a daemon thread, while its block is entered.

    For ``with`` and ``async with``. A tick never waits, so the thread is suitable for any event loop, including a blocked one.
    No tick is fired after the block. A ticker can be entered once; ``WorkspacePlugins.ticking`` makes a new one.

    A child forked inside the block does not tick, and does not affect the parent's ticker.
    """

    def __init__(self, tick: Callable[[], None], every: float) -> None:
        if not 0 < every <= threading.TIMEOUT_MAX:
            raise ValueError(f"every must be a positive number of seconds, not {every!r}")
        self._tick = tick
        self._every = every
        self._stopped = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._pid: int | None = None

    def __enter__(self) -> Ticker:
        if self._thread is not None or self._stopped:
            raise RuntimeError("this ticking() was entered or stopped before: call ticking() again")
        self._thread = threading.Thread(target=self._run, name="workspace plugins ticking", daemon=True)
        self._pid = os.getpid()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    async def __aenter__(self) -> Ticker:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop ticking, as the end of the block does. May be called more than once."""
        if self._pid not in {None, os.getpid()}:  # a forked child: the lock may have been held when it was copied
            return
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _run(self) -> None:
        with self._changed:
            while not self._stopped:
                self._tick()
                self._changed.wait_for(lambda: self._stopped, self._every)

"""Calling a method of several plugins at the same time, within a time limit for all of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from workspace_hookspecs._logging import ErrorBoundary, log


def call_each(what: str, calls: Mapping[str, Callable[[], object]], timeout: float) -> bool:
    """Run every call on a daemon thread of its own, for at most ``timeout`` seconds together.

    Errors and late calls are logged. A late call keeps running.

    Args:
        what: The name of the called method, for the log.
        calls: The calls by the plugin's name.
        timeout: Seconds to wait for all calls together.

    Returns:
        Whether every call returned in time, without an error, and something other than False.
    """
    deadline = time.monotonic() + timeout
    running = [_Call(what, name, call) for name, call in calls.items()]
    return False not in [call.wait(deadline) for call in running]


class _Call:
    def __init__(self, what: str, name: str, call: Callable[[], object]) -> None:
        self._what = what
        self._name = name
        self._call = call
        self._done = threading.Event()
        self._succeeded = False
        try:
            threading.Thread(target=self._run, name=f"workspace plugin {name} {what}", daemon=True).start()
        except RuntimeError:  # no thread can be started, or (Python 3.12) the interpreter is shutting down
            self._run()

    def wait(self, deadline: float) -> bool:
        if not self._done.wait(max(0.0, deadline - time.monotonic())):
            log(logging.WARNING, "plugin %r: its %s() has not returned in time", self._name, self._what)
        return self._succeeded

    def _run(self) -> None:
        with ErrorBoundary("plugin %r raised in %s()", self._name, self._what):
            self._succeeded = self._call() is not False
        self._done.set()

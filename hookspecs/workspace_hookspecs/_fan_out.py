"""Calling something on every plugin at the same time, with a limit that holds whatever they do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from workspace_hookspecs._reporting import report


def call_each(what: str, calls: Mapping[str, Callable[[], object]], timeout: float) -> bool:
    """Run each call on a daemon thread of its own, for at most ``timeout`` seconds in all.

    True if each came back in time, without an error and not with False. Errors and late ones are logged with the plugin's
    name, the key of ``calls``; a late one runs on.
    """
    deadline = time.monotonic() + timeout
    running = [_Call(what, name, call) for name, call in calls.items()]
    for call in running:
        call.start()
    return all([call.wait(deadline) for call in running])  # noqa: C419  (each late one is to be named)


class _Call:
    def __init__(self, what: str, name: str, call: Callable[[], object]) -> None:
        self._what = what
        self._name = name
        self._call = call
        self._done = threading.Event()
        self._well = False

    def start(self) -> None:
        try:
            threading.Thread(target=self._run, name=f"workspace plugin {self._name} {self._what}", daemon=True).start()
        except RuntimeError:  # out of threads, or (Python 3.12) the interpreter is ending: then here and now
            self._run()

    def wait(self, deadline: float) -> bool:
        if not self._done.wait(max(0.0, deadline - time.monotonic())):
            report(logging.WARNING, "plugin %r: its %s() has not come back in time", self._name, self._what)
        return self._well

    def _run(self) -> None:
        try:
            self._well = self._call() is not False
        except BaseException as error:  # noqa: BLE001  (boundary: one plugin)
            report(logging.ERROR, "plugin %r raised in %s()", self._name, self._what, error=error)
        finally:
            self._done.set()

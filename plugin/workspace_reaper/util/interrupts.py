"""Handle Ctrl-C, SIGTERM and SIGHUP at safe points only."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GLANCE = 0.05


class Interrupted(Exception):
    """A signal asked this program to end."""


class Interrupts:
    """A context in which these signals are only recorded, and ``check`` raises ``Interrupted``.

    A handler that raised would do so anywhere: between the creation of a process or a directory and its registration, or in
    the middle of the cleanup. A signal that is ignored (by ``nohup``, for example) stays ignored. Outside the main thread,
    which alone may set handlers, nothing is recorded.

    Args:
        final: The program ends when this context is left because of a signal. From then on these signals are ignored:
            another Ctrl-C, while Python exits, would change the exit code and print a traceback at the end of the output.
    """

    def __init__(self, *, final: bool = False) -> None:
        self.signal: signal.Signals | None = None
        self._final = final
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, previous in self._previous.items():
            signal.signal(number, signal.SIG_IGN if self._final and self.signal else previous)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signal = self.signal or signal.Signals(number)

    def check(self) -> None:
        """Raise ``Interrupted`` if a signal came."""
        if self.signal is not None:
            raise Interrupted

    def wait(self, condition: Callable[[], bool], within: float) -> bool:
        """Wait until the condition is true; False after ``within`` seconds. Raises ``Interrupted``."""
        deadline = time.monotonic() + within
        while True:
            self.check()
            if condition():
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(_GLANCE)

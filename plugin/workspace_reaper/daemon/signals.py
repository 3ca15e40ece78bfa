"""Signals to wait for. A handler does nothing but note the signal."""

from __future__ import annotations

import signal
import socket
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Signals:
    """TERM, INT and HUP, which are caught within its block. For the main thread.

    Python writes each signal into a socket, so a signal that arrives right before a wait ends that wait.
    """

    def __init__(self) -> None:
        self._stop: signal.Signals | None = None

    def __enter__(self) -> Signals:
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._fd_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._before: dict[signal.Signals, Any] = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        self._reader.close()
        self._writer.close()

    def wait(self, timeout: float | None) -> frozenset[signal.Signals]:
        """Return the signals since the last call, or wait for one for at most ``timeout`` seconds; None: without a limit."""
        if self._stop is not None:
            return frozenset({self._stop})
        self._reader.settimeout(timeout if timeout is None else max(timeout, 0.001))  # 0 would not wait at all
        try:
            numbers = frozenset(self._reader.recv(1 << 20))
        except TimeoutError:
            return frozenset()
        return frozenset(number for number in SIGNALS if number in numbers)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        # A socket that is full of HUPs drops a TERM.
        if number != signal.SIGHUP:
            self._stop = signal.Signals(number)

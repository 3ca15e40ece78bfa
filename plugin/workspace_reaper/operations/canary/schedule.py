"""The canary that the daemon sends by itself, every ``canary_every``: see ``canary``."""

from __future__ import annotations

import logging
import threading
import time

from workspace_reaper.model.errors import LedgerError
from workspace_reaper.operations.canary import last_run, run_canary
from workspace_reaper.operations.doctor import FAIL, OK, Check
from workspace_reaper.operations.wiring import Reaper
from workspace_reaper.sweep.log import tell

__all__ = ["CanarySchedule", "due_in"]

AGAIN = 3600.0
"""Seconds, the most until the next one where the last was not reaped: an alarm ends soon after its cause."""

GLANCE = 60.0
"""Seconds between two looks at the wall clock, which goes on while the machine sleeps."""


def due_in(last: tuple[float, bool] | None, every: float, now: float) -> float:
    """Seconds until the next one. ``last`` is when it was sent (Unix seconds) and whether it was reaped; None: never."""
    if last is None:
        return 0.0
    at, is_well = last
    period = every if is_well else min(every, AGAIN)
    # A wall clock that was set back must not put it off for ever.
    return max(0.0, at + period - now) if now >= at else 0.0


class CanarySchedule:
    """Sends them on a thread of its own, from ``start`` to ``stop``. ``every`` is in seconds."""

    def __init__(self, reaper: Reaper, every: float) -> None:
        self._reaper = reaper
        self._every = every
        self._last: tuple[float, bool] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="workspace-reaper canary", daemon=True)

    def start(self) -> None:
        """The first is sent when it is due by the ledger: a restart sends none."""
        self._thread.start()

    def fall_silent(self) -> None:
        """Send no more; one that is under way is ended at its next step. Returns at once."""
        self._stopping.set()

    def stop(self, timeout: float) -> bool:
        """Wait until it has ended; False after so many seconds. Its session then ends by itself."""
        self.fall_silent()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._last = self._remembered()
        while not self._stopping.is_set():
            left = due_in(self._last, self._every, time.time())
            if left:
                self._stopping.wait(min(left, GLANCE))
            else:
                self._last = time.time(), self._send()

    def _remembered(self) -> tuple[float, bool] | None:
        try:
            with self._reaper.reading() as ledger:
                return last_run(ledger)
        except LedgerError:  # the sweeps tell it
            return None

    def _send(self) -> bool:
        """Whether one was reaped on every socket where there is a server."""
        try:
            checks = run_canary(self._reaper, self._stopping.is_set)
        except Exception as error:  # noqa: BLE001  boundary: what is wrong with one is told, and the next one is sent
            checks = [Check("canary", FAIL, f"{type(error).__name__}: {error}")]
        if not self._stopping.is_set():
            for check in checks:
                _tell(check)
        states = {check.state for check in checks}
        return OK in states and FAIL not in states


def _tell(check: Check) -> None:
    # A host without a session has nothing to prove, and that is no news.
    level = logging.ERROR if check.state == FAIL else logging.INFO
    do = f"; {check.do}" if check.do else ""
    tell(level, f"{check.check}: {check.detail}{do}", event="canary", state=check.state)

"""Sends a canary every ``canary_every`` seconds, for the daemon."""

from __future__ import annotations

import logging
import threading
import time

from workspace_reaper.model.errors import LedgerError
from workspace_reaper.operations.canary import last_run, run_canary
from workspace_reaper.operations.doctor import FAIL, OK, Check
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.sweep.log import log_event

# Seconds after a failed canary until the next one, at most: the alarm should end soon after its cause.
RETRY_AFTER = 3600.0

# Seconds between two looks at the wall clock, which keeps running while the machine sleeps.
CLOCK_POLL = 60.0


def due_in(last: tuple[float, bool] | None, every: float, now: float) -> float:
    """Return the seconds until the next canary. ``last`` is when the last one was sent and whether it was reaped, or None."""
    if last is None:
        return 0.0
    at, is_well = last
    period = every if is_well else min(every, RETRY_AFTER)
    # A wall clock that was set back must not delay the canary indefinitely.
    return max(0.0, at + period - now) if now >= at else 0.0


class CanarySchedule:
    """Sends canaries on a thread of its own, from ``start`` to ``stop``. ``every`` is in seconds."""

    def __init__(self, reaper: Reaper, every: float) -> None:
        self._reaper = reaper
        self._every = every
        self._last: tuple[float, bool] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="workspace-reaper canary", daemon=True)

    def start(self) -> None:
        """Start the thread. The ledger says when the first canary is due: a restart sends none."""
        self._thread.start()

    def cancel(self) -> None:
        """Send no more canaries. One that is under way ends at its next step. Returns at once."""
        self._stopping.set()

    def stop(self, timeout: float) -> bool:
        """Cancel, and wait for the thread. Returns False after ``timeout`` seconds; a canary then ends by itself."""
        self.cancel()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._last = self._last_recorded()
        while not self._stopping.is_set():
            left = due_in(self._last, self._every, time.time())
            if left:
                self._stopping.wait(min(left, CLOCK_POLL))
            else:
                self._last = time.time(), self._send()

    def _last_recorded(self) -> tuple[float, bool] | None:
        try:
            with self._reaper.reading() as ledger:
                return last_run(ledger)
        except LedgerError:  # the sweeps report it
            return None

    def _send(self) -> bool:
        """Send a canary. Returns whether it was reaped on every socket that has a server."""
        try:
            checks = run_canary(self._reaper, self._stopping.is_set)
        except Exception as error:  # noqa: BLE001  boundary: a fault of one canary is logged, and the next one is sent
            checks = [Check("canary", FAIL, f"{type(error).__name__}: {error}")]
        if not self._stopping.is_set():
            for check in checks:
                _log(check)
        states = {check.state for check in checks}
        return OK in states and FAIL not in states


def _log(check: Check) -> None:
    # A host without a session has nothing to prove, so a warning is logged as information.
    level = logging.ERROR if check.state == FAIL else logging.INFO
    do = f"; {check.do}" if check.do else ""
    log_event(level, f"{check.check}: {check.detail}{do}", event="canary", state=check.state)

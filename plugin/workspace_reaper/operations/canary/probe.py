"""One canary on one socket: made, reaped by the real sweep, and ended in any case."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from workspace_reaper.ledger import open_ledger
from workspace_reaper.model.ports import Ledger
from workspace_reaper.model.process import ProcessKey
from workspace_reaper.model.session import Session
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.operations.canary.diagnosis import Failed, is_waiting, steps_in_words, why_not_reaped
from workspace_reaper.operations.canary.isolation import CanaryProcesses, Token, narrowed
from workspace_reaper.operations.wiring import Reaper
from workspace_reaper.sweep.context import SweepRequest
from workspace_reaper.sweep.report import SessionReport, SweepReport
from workspace_reaper.sweep.sweep import Sweep
from workspace_reaper.tmux.canary import LIFETIME, CanaryTerminal
from workspace_reaper.util.interrupts import Interrupted

__all__ = ["CanaryProbe"]

SWEEPS = 6
"""The most sweeps that may find it too fresh or not confirmed yet; two are enough where nothing disturbs it."""

REST = 2.0
"""Seconds, the most between two of them."""

GLANCE = 0.05
LAST_WAIT = 1.0
"""Seconds between two looks, and until a process that was signalled at the end has ended."""


class CanaryProbe:
    """``run`` is called once, by whoever holds the sweep lock. ``place`` is a directory for nothing else. ``stopping`` is asked
    between all steps."""

    def __init__(self, reaper: Reaper, socket: str, token: Token, place: Path, stopping: Callable[[], bool]) -> None:
        self._reaper = reaper
        self._token = token
        self._place = place
        self._stopping = stopping
        self._processes = CanaryProcesses()
        self._terminal = CanaryTerminal(
            socket, token.session, may_live=lambda pid: self._processes.may_live(pid, None), runs=self._identify
        )
        self._parts = narrowed(reaper, self._terminal, self._processes, token, place)
        self._seconds: dict[str, float] = {}

    def run(self) -> str:
        """How long each step took, in words.

        Raises ``Failed`` if the session was not reaped, or its process lives; ``Interrupted``; ``LedgerError``. The session and
        its process are gone in any case, or ``Failed`` says that they may not be.
        """
        started = perf_counter()
        try:
            self._walk()
        except Exception as error:
            if self._terminal.is_left:
                raise self._left_behind(error) from error
            raise
        finally:
            self._end_process()
        return steps_in_words(self._seconds, perf_counter() - started)

    def _left_behind(self, error: Exception) -> Failed:
        why = "interrupted" if isinstance(error, Interrupted) else str(error)
        return Failed(
            f"{why}; and the session {self._token.session} could not be ended: it ends by itself within {LIFETIME} s",
            "look at it with 'tmux list-sessions', and kill it if it stays",
        )

    def _walk(self) -> None:
        registry = self._reaper.registry
        ledger = open_ledger(self._place, registry_name=registry.name, location=registry.location)
        try:
            ledger.record_named(self._token.workspace_id, self._parts.clock.now())
            begun = perf_counter()
            with self._terminal.session(ledger.registry().owner_id) as failure:
                if failure is not None:
                    raise Failed(f"the session could not be made: {failure.reason}", "mend what it says")
                self._check()
                if self._look() is None:
                    raise Failed("the session was gone as soon as it was made", "look at tmux's hooks: tmux show-hooks -g")
                self._seconds["make"] = perf_counter() - begun
                self._check()
                self._reap(ledger)
                if self._look() is not None:
                    raise Failed("it was reported as reaped, and tmux still lists it", "report this with 'tmux -V'")
        finally:
            ledger.close()

    def _reap(self, ledger: Ledger) -> None:
        begun, held = perf_counter(), ""
        for _ in range(SWEEPS):
            swept_at = perf_counter()
            report = Sweep(self._parts, ledger, SweepRequest(stopping=self._stopping)).run()
            self._check()
            entry = next((entry for entry in report.sessions if entry.key == self._terminal.key), None)
            if entry is None or not is_waiting(entry):
                self._seconds["confirm"] = swept_at - begun
                self._conclude(report, entry)
                return
            held = entry.protected_by or ""
            self._wait_for_rest(entry)
        raise Failed(f"it found no rest in {SWEEPS} sweeps: {held}", "look what goes on in new sessions")

    def _conclude(self, report: SweepReport, entry: SessionReport | None) -> None:
        seconds = report.seconds
        self._seconds |= {"observe": seconds.observe, "look up": seconds.look_up, "judge": seconds.judge, **seconds.steps}
        failure = why_not_reaped(report, entry)
        if failure is not None:
            raise failure
        own = self._processes.own
        if own is not None and self._processes.living([own]):
            raise Failed(f"the session is gone, and its process {own.pid} outlived it", "see 'kill_grace' in the README")

    def _wait_for_rest(self, entry: SessionReport) -> None:
        """Until it was quiet for as long as the rules want."""
        latest = entry.facts.session.last_activity if entry.facts else 0
        left = latest + self._parts.rules.activity_grace - self._parts.clock.now()
        until = time.monotonic() + min(max(0.0, left), REST) + GLANCE
        while time.monotonic() < until:
            self._check()
            time.sleep(GLANCE)

    def _look(self) -> Session | None:
        found = self._terminal.find()
        if isinstance(found, Unknown):
            raise Failed(f"whether the session is there can't be seen: {found.reason}", "mend what it says")
        return found

    def _identify(self, pid: int) -> None:
        """Remember which process is its own, as long as that certainly has this pid."""
        started = self._processes.start_time(pid)
        self._processes.own = None if started is None else ProcessKey(pid, started)

    def _end_process(self) -> None:
        """It ignores the hangup: where no sweep has ended it, nobody else does."""
        own = self._processes.own
        if own is None or self._terminal.is_left:
            return
        until = time.monotonic() + LAST_WAIT
        while self._processes.living([own]) and time.monotonic() < until:
            self._processes.signal(own, signal.SIGKILL)
            time.sleep(GLANCE)

    def _check(self) -> None:
        if self._stopping():
            raise Interrupted

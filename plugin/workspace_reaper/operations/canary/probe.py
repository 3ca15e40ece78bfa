"""One canary on one socket: it is created, reaped by the real sweep, and ended in any case."""

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
from workspace_reaper.operations.canary.diagnosis import CanaryFailed, is_waiting, steps_text, why_not_reaped
from workspace_reaper.operations.canary.isolation import CanaryProcesses, Token, canary_dependencies, canary_settings
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.policy.idle import SampleInterval
from workspace_reaper.policy.marks import mark_of
from workspace_reaper.sweep.context import ReaperState, SweepRequest, SweptHost
from workspace_reaper.sweep.ledgers import OneLedger
from workspace_reaper.sweep.report import SessionReport, SweepReport
from workspace_reaper.sweep.sweep import Sweep
from workspace_reaper.tmux.canary import LIFETIME, CanaryTerminal
from workspace_reaper.util.interrupts import Interrupted

# The most sweeps in which the session may be too active or unconfirmed. Two are enough if nothing disturbs it.
SWEEPS = 6

# Seconds between two of these sweeps, at most.
LONGEST_WAIT = 2.0

# Seconds between two looks.
POLL = 0.05

# Seconds until a process that got KILL at the end has ended.
LAST_WAIT = 1.0


class CanaryProbe:
    """One canary. ``run`` is called once, by the holder of the sweep lock.

    ``directory`` is an empty directory of its own. ``stopping`` is asked between all steps.
    """

    def __init__(self, reaper: Reaper, socket: str, token: Token, directory: Path, stopping: Callable[[], bool]) -> None:
        self._registry = reaper.registry
        self._token = token
        self._directory = directory
        self._stopping = stopping
        self._processes = CanaryProcesses()
        self._terminal = CanaryTerminal(
            socket, token.session, may_live=lambda pid: self._processes.may_live(pid, None), runs=self._identify
        )
        self._dependencies = canary_dependencies(reaper, self._terminal, self._processes, token, directory)
        self._settings = canary_settings(reaper.sweep_settings)
        self._state = ReaperState(SampleInterval(self._settings.tick))
        self._seconds: dict[str, float] = {}

    def run(self) -> str:
        """Send the canary, and return how long each step took, as text.

        The session and its process are gone afterwards, or ``CanaryFailed`` reports that they may not be.

        Raises:
            CanaryFailed: The session was not reaped, or its process lives.
            Interrupted: ``stopping`` returned True.
            LedgerError: The canary's own ledger cannot be used.
        """
        started = perf_counter()
        try:
            self._send()
        except Exception as error:
            if self._terminal.is_left:
                why = "interrupted" if isinstance(error, Interrupted) else str(error)
                raise CanaryFailed(
                    f"{why}; and the session {self._token.session} could not be ended: it ends by itself within {LIFETIME} s",
                    "look for it with 'tmux list-sessions', and kill it if it stays",
                ) from error
            raise
        finally:
            self._end_process()
        return steps_text(self._seconds, perf_counter() - started)

    def _send(self) -> None:
        ledger = open_ledger(self._directory, registry_name=self._registry.name, location=self._registry.location)
        try:
            ledger.record_named(self._token.workspace_id, self._dependencies.clock.now())
            started = perf_counter()
            with self._terminal.session(ledger.registry().owner_id, mark_of(self._token.workspace_id)) as failure:
                if failure is not None:
                    raise CanaryFailed(f"the session could not be created: {failure.reason}", "fix this, then try again")
                self._check()
                if self._find() is None:
                    do = "look at tmux's hooks: tmux show-hooks -g"
                    raise CanaryFailed("the session was gone right after it was created", do)
                self._seconds["make"] = perf_counter() - started
                self._check()
                self._reap(ledger)
                if self._find() is not None:
                    do = "report this with the output of 'tmux -V'"
                    raise CanaryFailed("the session was reported as reaped, but tmux still lists it", do)
        finally:
            ledger.close()

    def _reap(self, ledger: Ledger) -> None:
        started, held_by = perf_counter(), ""
        for _ in range(SWEEPS):
            swept_at = perf_counter()
            request = SweepRequest(stopping=self._stopping)
            host = SweptHost(self._dependencies, self._settings, self._state, ledger, request)
            report = Sweep([host], OneLedger(ledger)).run()
            self._check()
            entry = next((entry for entry in report.sessions if entry.key == self._terminal.key), None)
            if entry is None or not is_waiting(entry):
                self._conclude(report, entry, swept_at - started)
                return
            held_by = entry.protected_by or ""
            self._wait_until_idle(entry)
        do = "find out what is active in new sessions"
        raise CanaryFailed(f"the session was held by {held_by} in {SWEEPS} sweeps", do)

    def _conclude(self, report: SweepReport, entry: SessionReport | None, confirm: float) -> None:
        took = report.seconds
        steps = {"observe": took.observe, "look up": took.look_up, "judge": took.judge, "confirm": confirm}
        self._seconds |= {**steps, **took.steps}
        failure = why_not_reaped(report, entry)
        if failure is not None:
            raise failure
        own = self._processes.own
        if own is not None and self._processes.living([own]):
            raise CanaryFailed(f"the session is gone, but its process {own.pid} has survived it", "raise kill_grace")

    def _wait_until_idle(self, entry: SessionReport) -> None:
        """Wait until the session has been idle for ``activity_grace``."""
        latest = entry.facts.session.last_activity if entry.facts else 0
        left = latest + self._settings.thresholds.activity_grace - self._dependencies.clock.now()
        until = time.monotonic() + min(max(0.0, left), LONGEST_WAIT) + POLL
        while time.monotonic() < until:
            self._check()
            time.sleep(POLL)

    def _find(self) -> Session | None:
        found = self._terminal.find()
        if isinstance(found, Unknown):
            raise CanaryFailed(f"the sessions cannot be listed: {found.reason}", "fix this, then try again")
        return found

    def _identify(self, pid: int) -> None:
        """Remember the identity of the canary's process while it certainly has this pid."""
        started = self._processes.start_time(pid)
        self._processes.own = None if started is None else ProcessKey(pid, started)

    def _end_process(self) -> None:
        """End the process that no sweep has ended: it ignores the hangup."""
        own = self._processes.own
        if own is None or self._terminal.is_left:
            return
        until = time.monotonic() + LAST_WAIT
        while self._processes.living([own]) and time.monotonic() < until:
            self._processes.signal(own, signal.SIGKILL)
            time.sleep(POLL)

    def _check(self) -> None:
        if self._stopping():
            raise Interrupted

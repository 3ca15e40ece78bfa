"""A reaper for one configuration: its sweeps, and the life cycle of its ledger."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from ulid import ULID

from workspace_reaper.ledger import SqliteLedger, open_ledger
from workspace_reaper.ledger.locks import FileSweepLock
from workspace_reaper.model.errors import LedgerError, SweepLocked
from workspace_reaper.model.machine_ports import Clock
from workspace_reaper.model.ports import Plugins
from workspace_reaper.model.state import Event, Finding, LedgerState, StateChanges
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.operations.wiring import homes, sweep_settings
from workspace_reaper.policy.breaker import revoke_approvals
from workspace_reaper.policy.idle import SampleInterval
from workspace_reaper.policy.registry_identity import next_generation
from workspace_reaper.processes.clock import SystemClock
from workspace_reaper.registry import load_schema, open_registry
from workspace_reaper.settings import Settings
from workspace_reaper.sweep.alarms import begins
from workspace_reaper.sweep.log import SweepLog
from workspace_reaper.sweep.other_plugins import NoPlugins, notify_alarms
from workspace_reaper.sweep.report import SweepReport
from workspace_reaper.tmux.version import require_tmux

if TYPE_CHECKING:
    from workspace_reaper.snapshots.store import SnapshotStore
    from workspace_reaper.sweep.context import Dependencies, ReaperState, SweepRequest, SweepSettings
    from workspace_reaper.tmux.terminal import TmuxTerminal


class Reaper:
    """A reaper for one configuration.

    Building it opens no file and no connection. The first write opens the ledger, which stays open until ``close``. Raises
    ``ConfigurationError``.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self.settings = settings
        self.schema = load_schema(settings.registry, settings.table, settings.files)
        self.registry = open_registry(self.schema, settings.database_url, environ)
        self.clock: Clock = SystemClock()
        self._environ = environ
        self._patterns = homes(settings, self.schema, environ)
        # Whether no configuration names the registry: it is the one that is recorded in the state directory.
        self.is_recorded = False
        self.plugins: Plugins = NoPlugins()
        self._log = SweepLog()
        self._lock = FileSweepLock(settings.state_dir)
        self._ledger_lock = threading.Lock()
        self._ledger: SqliteLedger | None = None
        self._writing = False
        self._closed = False
        self._has_tmux = False

    # The commands that only read the ledger need nothing of the following, and start a tenth faster without it.

    @cached_property
    def snapshots(self) -> SnapshotStore:
        """The snapshots of reaped sessions."""
        from workspace_reaper.snapshots.store import SnapshotStore

        own = self.settings
        return SnapshotStore(own.state_dir, lines=own.snapshot_lines, days=own.snapshot_days, max_bytes=own.snapshot_bytes)

    @cached_property
    def terminals(self) -> Sequence[TmuxTerminal]:
        """The tmux sockets."""
        from workspace_reaper.tmux.terminal import TmuxTerminal

        return [TmuxTerminal(path) for path in self._patterns]

    @cached_property
    def dependencies(self) -> Dependencies:
        """The adapters of a sweep."""
        from workspace_reaper.policy.session_names import SessionMatcher
        from workspace_reaper.processes.directories import SystemDirectories
        from workspace_reaper.processes.processes import SystemProcesses
        from workspace_reaper.sweep.context import Dependencies

        return Dependencies(
            terminals=self.terminals,
            registry=self.registry,
            processes=SystemProcesses(self._environ),
            directories=SystemDirectories(self._environ),
            clock=self.clock,
            matcher=SessionMatcher(self._patterns, self.registry.canonical, records_sessions=self.schema.records_sessions),
            snapshots=self.snapshots if self.settings.snapshots else None,
        )

    @cached_property
    def sweep_settings(self) -> SweepSettings:
        """The numbers and switches of a sweep."""
        return sweep_settings(self.settings, self.schema, self.registry.records)

    @cached_property
    def state(self) -> ReaperState:
        """What is kept in memory from one sweep to the next."""
        from workspace_reaper.sweep.context import ReaperState

        return ReaperState(SampleInterval(self.settings.tick))

    def go_on_from(self, before: Reaper) -> None:
        """Take over from the reaper before what must not be reported or recorded again, and a doubt that is not recorded."""
        self.state.unrecorded_alarms.take_over(before.state.unrecorded_alarms)
        if self.settings.state_dir == before.settings.state_dir and self.asks_same_registry(before):
            self.state.last_event, self.state.doubt = before.state.last_event, before.state.doubt
            self.state.recorded = before.state.recorded

    def asks_same_registry(self, other: Reaper) -> bool:
        """Whether a hook's report about a workspace of one registry holds for the other."""
        mine, theirs = self.registry, other.registry
        return (mine.location, self.schema.identity) == (theirs.location, other.schema.identity)

    def require_tmux(self) -> None:
        """Raise ``UnsupportedTmux`` if the tmux on PATH is too old. A supported version is remembered."""
        self._has_tmux = self._has_tmux or require_tmux()

    # Sweeps

    def sweep(self, request: SweepRequest) -> SweepReport:
        """Run one sweep, with the state directory locked, and log it.

        What could not be read is in the report. Raises ``UnsupportedTmux``.
        """
        if not self.settings.configured:
            report = self._empty_report(request, "not configured")
        elif not self.settings.enabled and not request.dry_run:
            report = self._empty_report(request, "disabled")
        else:
            self.require_tmux()
            report = self._sweep(request)
            if request.counts:
                self._watch_blindness(report)
        self._log.write(report)
        return report

    def _sweep(self, request: SweepRequest) -> SweepReport:
        try:
            if request.dry_run:
                with self.reading() as ledger:
                    return self.run(request, ledger)
            with self.writing() as ledger:
                self._record_doubt(ledger)
                self.state.last_event, others = ledger.events_after(self.state.last_event)
                report = self.run(request, ledger)
                # An operator, or another process that sweeps, may have changed the breaker since the last sweep.
                report.events[:0] = [event for event in others if event.kind.startswith("breaker ")]
                with suppress(LedgerError):  # the report is of what was done already; the next sweep reports the ledger
                    self.state.last_event, _ = ledger.events_after(None)
                return report
        except (LedgerError, SweepLocked) as error:
            report = self._empty_report(request, None)
            report.unknown.append(Unknown(Source.LEDGER, str(error)))
            return report

    def run(self, request: SweepRequest, ledger: SqliteLedger) -> SweepReport:
        """Run one sweep with this ledger, even if the reaper is switched off."""
        from workspace_reaper.sweep.sweep import Sweep

        dependencies = replace(self.dependencies, plugins=self.plugins)
        return Sweep(dependencies, self.sweep_settings, self.state, ledger, request).run()

    def _empty_report(self, request: SweepRequest, abstained: str | None) -> SweepReport:
        now = self.clock.now()
        return SweepReport(str(ULID.from_timestamp(now)), now, dry_run=request.dry_run, full=request.full, abstained=abstained)

    def _watch_blindness(self, report: SweepReport) -> None:
        """Raise the alarm "no complete sweep" also while the ledger cannot be written."""
        alarms, now = self.state.unrecorded_alarms, self.clock.now()
        if report.complete:
            alarms.completed(report.started_at)
            return
        error = next((one.reason for one in report.unknown if one.source is Source.LEDGER), None)
        if error is None:
            return
        alarm = alarms.blind(self._readable_state(), error, self.settings.tick, now)
        if alarm is not None:
            report.events.append(begins(alarm, now))
            notify_alarms(self.plugins, [alarm], (), now)

    def _readable_state(self) -> LedgerState | None:
        try:
            with self.reading() as ledger:
                return ledger.load_state((), self.clock.now())
        except LedgerError:
            return None

    def doubt(self, why: str) -> None:
        """Start a new generation of the registry, because its content was replaced as a whole in the same location.

        What was known before proves nothing any more, also what was reported before the first full sweep. Raises
        ``LedgerError`` and ``SweepLocked``.
        """
        # A running sweep holds the lock, and must not kill by what it has confirmed before.
        self.state.doubt = why
        with self.writing() as ledger:
            self._record_doubt(ledger)

    def _record_doubt(self, ledger: SqliteLedger) -> None:
        """Record the doubt that waited for the lock, if there is one."""
        why = self.state.doubt
        if why is None:
            return
        now = self.clock.now()
        before = ledger.load_state((), now)
        ledger.save(
            StateChanges(
                registry=replace(before.registry, generation=next_generation(before.registry)),
                forgotten=frozenset(one for one in before.confirmations if one[1] is Finding.ORPHAN),
                breaker=revoke_approvals(before.breaker) if before.breaker.approved else None,
                events=(Event(now, "registry changed", why),),
            )
        )
        self.state.doubt = None

    # The ledger

    @contextmanager
    def reading(self) -> Iterator[SqliteLedger]:
        """Open the ledger read-only. A ledger that does not exist is not created."""
        ledger = self._open(read_only=True)
        try:
            yield ledger
        finally:
            ledger.close()

    @contextmanager
    def writing(self) -> Iterator[SqliteLedger]:
        """Hold the sweep lock of the state directory, and use the ledger for writing."""
        with self._lock.held():
            with self._ledger_lock:
                if self._ledger is None:
                    self._ledger = self._open(read_only=False)
                self._writing = True
                ledger = self._ledger
            try:
                yield ledger
            finally:
                with self._ledger_lock:
                    self._writing = False
                    if self._closed:
                        self._close_ledger()

    def _open(self, *, read_only: bool) -> SqliteLedger:
        return open_ledger(
            self.settings.state_dir, registry_name=self.registry.name, location=self.registry.location, read_only=read_only
        )

    def close(self) -> None:
        """Close the ledger: now, or as soon as the running write is done. A later write opens it for that time only."""
        with self._ledger_lock:
            self._closed = True
            if not self._writing:
                self._close_ledger()

    def _close_ledger(self) -> None:
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.close()

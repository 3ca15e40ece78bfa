"""A reaper for one configuration: its sweeps, and the life cycle of its ledger."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from workspace_reaper.ledger import SqliteLedger
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.machine_ports import Clock
from workspace_reaper.model.ports import Plugins
from workspace_reaper.model.state import Event, Finding, LedgerState, StateChanges
from workspace_reaper.model.unknown import Source
from workspace_reaper.operations.shared import Shared
from workspace_reaper.operations.sweeping import run_hosts, sweep_hosts
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
    from workspace_reaper.policy.session_hosts import HostMatchers
    from workspace_reaper.snapshots.store import SnapshotStore
    from workspace_reaper.sweep.context import Dependencies, ReaperState, SweepRequest, SweepSettings, SweptHost
    from workspace_reaper.tmux.terminal import TmuxTerminal


class Reaper:
    """A reaper for one host.

    Building it opens no file and no connection. The first write opens the ledger, which stays open until ``close``. Raises
    ``ConfigurationError``.

    Args:
        settings: The settings of this host.
        environ: The environment variables; None takes those of this process.
        name: The name of the host, if the reaper has several.
        shared: What it shares with other hosts of the same reaper.
    """

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str] | None = None,
        *,
        name: str | None = None,
        shared: Shared | None = None,
    ) -> None:
        environ = os.environ if environ is None else environ
        self.settings = settings
        self.schema = load_schema(settings.registry, settings.table, settings.files)
        self.registry = open_registry(self.schema, settings.database_url, environ)
        self.clock: Clock = SystemClock()
        self._environ = environ
        self._patterns = homes(settings, self.schema, environ)
        # Whether no configuration names the registry: it is the one that is recorded in the state directory.
        self.is_recorded = False
        self.name = name
        self.plugins: Plugins = NoPlugins()
        self.shared = shared or Shared(settings, environ)
        self._number = len(self.shared.registries)
        self.shared.registries.append((self.registry.name, self.registry.location))
        # All hosts of the reaper, in their order.
        self.group: Sequence[Reaper] = (self,)
        self.log = SweepLog()
        self._has_tmux = False

    @property
    def snapshots(self) -> SnapshotStore:
        """The snapshots of reaped sessions."""
        return self.shared.snapshots

    @cached_property
    def terminals(self) -> Sequence[TmuxTerminal]:
        """The tmux sockets."""
        return [self.shared.terminal(path) for path in self._patterns]

    @cached_property
    def dependencies(self) -> Dependencies:
        """The adapters of a sweep."""
        from workspace_reaper.policy.session_names import SessionMatcher
        from workspace_reaper.sweep.context import Dependencies

        return Dependencies(
            terminals=self.terminals,
            registry=self.registry,
            processes=self.shared.processes,
            directories=self.shared.directories,
            clock=self.clock,
            matcher=SessionMatcher(self._patterns, self.registry.canonical),
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

        if self is not self.group[0]:
            return self.group[0].state.for_another_host()
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
        """Run one sweep of this host, with the state directory locked, and log it. See ``sweeping``."""
        return sweep_hosts([self], request)

    def run(self, request: SweepRequest, ledgers: Sequence[SqliteLedger]) -> SweepReport:
        """Run one sweep of this host with the ledgers of all hosts, even if the reaper is switched off."""
        return run_hosts([self], request, ledgers)

    @cached_property
    def matchers(self) -> HostMatchers:
        """The session patterns of all hosts of the reaper."""
        from workspace_reaper.policy.session_hosts import HostMatchers

        return HostMatchers([one.dependencies.matcher for one in self.group])

    def swept(self, request: SweepRequest, ledger: SqliteLedger, *, is_asked: bool) -> SweptHost:
        """Return this host as a sweep takes it."""
        from workspace_reaper.sweep.context import SweptHost

        dependencies = replace(self.dependencies, plugins=self.plugins)
        return SweptHost(dependencies, self.sweep_settings, self.state, ledger, request, self.name, is_asked)

    def watch_blindness(self, report: SweepReport) -> None:
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
            self.record_doubt(ledger)

    def record_doubt(self, ledger: SqliteLedger) -> None:
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
        with self.shared.reading() as ledgers:
            yield ledgers[self._number]

    @contextmanager
    def writing(self) -> Iterator[SqliteLedger]:
        """Hold the sweep lock of the state directory, and use the ledger for writing."""
        with self.shared.writing() as ledgers:
            yield ledgers[self._number]

    def close(self) -> None:
        """Close the ledger: now, or as soon as the running write is done. A later write opens it for that time only."""
        self.shared.close()

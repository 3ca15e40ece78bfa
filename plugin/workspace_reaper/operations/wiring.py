"""The only place where the parts are put together: from settings to a reaper that sweeps."""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ulid import ULID

from workspace_reaper.ledger import SqliteLedger, open_ledger
from workspace_reaper.ledger.locks import FileSweepLock
from workspace_reaper.model.errors import LedgerError, SweepLocked
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.ports import Plugins
from workspace_reaper.model.state import Event, Finding, LedgerState, StateChanges
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import IdleClock
from workspace_reaper.policy.breaker import inexcusable
from workspace_reaper.policy.facts import Thresholds
from workspace_reaper.policy.idle import SampleInterval
from workspace_reaper.policy.session_names import SessionMatcher
from workspace_reaper.processes import SystemProcesses
from workspace_reaper.processes.clock import SystemClock
from workspace_reaper.registry import Schema, load_schema, open_registry
from workspace_reaper.settings import Settings, configuration_file
from workspace_reaper.snapshots import SnapshotStore
from workspace_reaper.sweep.alarms import begins
from workspace_reaper.sweep.context import Dependencies, SweepRequest
from workspace_reaper.sweep.last_report import LastReport
from workspace_reaper.sweep.other_plugins import tell_alarms
from workspace_reaper.sweep.report import SweepReport
from workspace_reaper.sweep.sweep import Sweep
from workspace_reaper.tmux import TmuxTerminal, require_tmux, socket_path
from workspace_reaper.util.batch_size import BatchSize

__all__ = ["Reaper", "homes", "how_to_configure", "rules"]


def homes(settings: Settings, schema: Schema, environ: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Socket paths with the session patterns that count on each.

    A socket or pattern that is configured replaces the registry's own; a configured socket has all patterns.
    """
    own = schema.homes(environ)
    sockets = settings.tmux_sockets
    every = tuple(dict.fromkeys(pattern for home in own for pattern in home.patterns))
    if sockets is not None:
        return {socket_path(socket, environ): settings.session_patterns or every for socket in sockets}
    found: dict[str, tuple[str, ...]] = {}
    for home in own:
        path = socket_path(home.socket, environ)
        found[path] = settings.session_patterns or (*found.get(path, ()), *home.patterns)
    return found


def rules(settings: Settings) -> Thresholds:
    """The thresholds of the policy."""
    return Thresholds(
        idle_ttl=settings.idle_ttl,
        min_age=settings.min_age,
        activity_grace=settings.activity_grace,
        archived_ttl=settings.archived_ttl,
        stranger_ttl=settings.stranger_ttl,
        dead_ttl=settings.dead_ttl,
        confirmation_gap=settings.confirmation_gap,
        orphan_confirmations=settings.orphan_confirmations,
        undo_window=settings.undo_window,
        idle_clocks=frozenset(map(IdleClock, settings.idle_clocks)),
    )


def how_to_configure(config: Path | None = None) -> str:
    """What to do where nothing is configured; ``config`` is the file that ``load_settings`` was given."""
    file = str(configuration_file(config, os.environ))
    is_own = file == str(configuration_file(None, {}))
    init = "workspace-reaper init" if is_own else f"workspace-reaper --config {shlex.quote(file)} init"
    return (
        "set database_url or registry in the configuration file, or WORKSPACE_REAPER_DATABASE_URL in the environment; "
        f"'{init}' looks at this machine and makes that file, {file}"
    )


class Reaper:
    """A reaper for one configuration. Building it opens nothing; ``ConfigurationError`` if a setting can't be.

    Its ledger is opened by the first who writes, and stays open until ``close``.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self.settings = settings
        self.schema = schema = load_schema(settings.registry, settings.table)
        self.registry = open_registry(schema, settings.database_url, environ)
        self.snapshots = SnapshotStore(
            settings.state_dir, lines=settings.snapshot_lines, days=settings.snapshot_days, max_bytes=settings.snapshot_bytes
        )
        patterns = homes(settings, schema, environ)
        self.terminals: Sequence[TmuxTerminal] = [TmuxTerminal(path) for path in patterns]
        self.parts = Dependencies(
            terminals=self.terminals,
            registry=self.registry,
            processes=SystemProcesses(environ),
            clock=SystemClock(),
            names=SessionMatcher(patterns, self.registry.canonical),
            rules=rules(settings),
            pace=BatchSize(),
            journal=LastReport(),
            max_orphans_per_hour=settings.max_orphans_per_hour,
            abstain_alarm=settings.abstain_alarm,
            sampling=SampleInterval(settings.tick),
            tick=settings.tick,
            kill_grace=settings.kill_grace,
            end_everywhere=settings.survivors == "all",
            snapshots=self.snapshots if settings.snapshots else None,
            reuses_ids=schema.reuses_ids,
        )
        self._lock = FileSweepLock(settings.state_dir)
        self._handing_over = threading.Lock()
        self._ledger: SqliteLedger | None = None
        self._writing = False
        self._closed = False
        self._has_tmux = False

    def join(self, plugins: Plugins) -> None:
        """Ask these before a kill, and tell them afterwards. A sweep that is on goes on with those it began with."""
        self.parts = replace(self.parts, plugins=plugins)

    def go_on_from(self, before: Reaper) -> None:
        """What the reaper before has told of alarms is not told again."""
        self.parts.watch.go_on_from(before.parts.watch)

    def asks_same_registry(self, other: Reaper) -> bool:
        """Whether what is said of the registry of one is said of the other's."""
        mine, theirs = self.registry, other.registry
        return (mine.location, self.schema.identity) == (theirs.location, other.schema.identity)

    def require_tmux(self) -> None:
        """Raises ``UnsupportedTmux`` if the tmux on PATH is too old. It is asked until it has answered well, once."""
        self._has_tmux = self._has_tmux or require_tmux()

    def sweep(self, request: SweepRequest) -> SweepReport:
        """One sweep, alone on this state directory. Raises ``UnsupportedTmux``; what could not be seen is in the report."""
        if not self.settings.configured:
            return self._abstained(request, "not configured")
        if not self.settings.enabled:
            return self._abstained(request, "disabled")
        self.require_tmux()
        report = self._sweep(request)
        if request.full and not request.dry_run:
            self._watch(report)
        return report

    def _sweep(self, request: SweepRequest) -> SweepReport:
        try:
            if request.dry_run:
                with self.reading() as ledger:
                    return self.run(request, ledger)
            with self.writing() as ledger:
                return self.run(request, ledger)
        except (LedgerError, SweepLocked) as error:
            report = self._abstained(request, None)
            report.unknown.append(Unknown(Source.LEDGER, str(error)))
            return report

    def _watch(self, report: SweepReport) -> None:
        """Raise the alarm that nothing is seen any more also where no ledger can have it."""
        watch, now = self.parts.watch, self.parts.clock.now()
        if report.complete:
            watch.completed(report.started_at)
            return
        unwritten = next((one.reason for one in report.unknown if one.source is Source.LEDGER), None)
        if unwritten is None:
            return
        alarm = watch.blind(self._recall(), unwritten, self.settings.tick, now)
        if alarm is not None:
            report.events.append(begins(alarm, now))
            tell_alarms(self.parts.plugins, [alarm], (), now)

    def _recall(self) -> LedgerState | None:
        """What can be read where nothing can be written."""
        try:
            with self.reading() as ledger:
                return ledger.load_state((), self.parts.clock.now())
        except LedgerError:
            return None

    def run(self, request: SweepRequest, ledger: SqliteLedger) -> SweepReport:
        """One sweep with this ledger, whatever the switch says."""
        return Sweep(self.parts, ledger, request).run()

    def record_events(self, suspects: Mapping[str, WorkspaceEvent]) -> None:
        """Remember what hooks said, before anything is looked at: a crash must not lose it. Raises ``LedgerError``."""
        if self.settings.enabled:
            now = self.parts.clock.now()
            with self.writing() as ledger:
                for workspace_id, said in suspects.items():
                    if said is WorkspaceEvent.DELETED:
                        ledger.record_deletion(workspace_id, now)
                    else:
                        ledger.record_named(workspace_id, now)

    def settle(self, workspace_ids: frozenset[str]) -> None:
        """The rows of these contradict the hooks that named them: forget what the hooks said, and leave it to the ticks."""
        if workspace_ids:
            with self.writing() as ledger:
                ledger.save(StateChanges(settled=workspace_ids))

    def doubt(self, why: str) -> None:
        """The content of the database was put there as a whole, although its place is the same: what was known before proves
        nothing any more. Nothing is written before the first full sweep. Raises ``LedgerError``, ``SweepLocked``."""
        with self.writing() as ledger:
            now = self.parts.clock.now()
            known = ledger.load_state((), now)
            before = known.registry
            if before.generation:
                changes = StateChanges(
                    registry=replace(before, generation=before.generation + 1),
                    forgotten=frozenset(one for one in known.sightings if one[1] is Finding.ORPHAN),
                    breaker=inexcusable(known.breaker) if known.breaker.excused else None,
                    events=(Event(now, "registry changed", why),),
                )
                ledger.save(changes)

    def _abstained(self, request: SweepRequest, why: str | None) -> SweepReport:
        report = SweepReport(str(ULID()), self.parts.clock.now(), dry_run=request.dry_run, full=request.full)
        report.abstained = why
        return report

    @contextmanager
    def reading(self) -> Iterator[SqliteLedger]:
        """The ledger, to read from; nothing is made where there is none."""
        ledger = self._open(read_only=True)
        try:
            yield ledger
        finally:
            ledger.close()

    @contextmanager
    def writing(self) -> Iterator[SqliteLedger]:
        """The ledger, to write to, while no other reaper with this state directory sweeps."""
        with self._lock.held():
            ledger = self._taken()
            try:
                yield ledger
            finally:
                self._let_go()

    def _taken(self) -> SqliteLedger:
        with self._handing_over:
            if self._ledger is None:
                self._ledger = self._open(read_only=False)
            self._writing = True
            return self._ledger

    def _let_go(self) -> None:
        with self._handing_over:
            self._writing = False
            if self._closed:
                self._close_ledger()

    def _open(self, *, read_only: bool) -> SqliteLedger:
        return open_ledger(
            self.settings.state_dir,
            registry_name=self.registry.name,
            location=self.registry.location,
            read_only=read_only,
        )

    def close(self) -> None:
        """Close the ledger: now, or when who writes to it has done. Who writes afterwards opens it for that time only."""
        with self._handing_over:
            self._closed = True
            if not self._writing:
                self._close_ledger()

    def _close_ledger(self) -> None:
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            ledger.close()

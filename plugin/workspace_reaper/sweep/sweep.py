"""One sweep: the nine steps in their order, each for all hosts. Each step has a module of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from operator import attrgetter
from time import perf_counter

from ulid import ULID

from workspace_reaper.model.errors import LedgerError
from workspace_reaper.model.ports import Ledgers
from workspace_reaper.model.state import LedgerState
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import IdleClock
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.policy.session_hosts import HostMatchers
from workspace_reaper.sweep.context import SweptHost
from workspace_reaper.sweep.disputes import settle
from workspace_reaper.sweep.host_sweep import HostSweep
from workspace_reaper.sweep.judge import ask_vetoes
from workspace_reaper.sweep.merged_report import merged
from workspace_reaper.sweep.observe_hosts import Disputed, observe_hosts
from workspace_reaper.sweep.report import SweepReport
from workspace_reaper.sweep.rivals import NO_RIVALS, Rivals


class Sweep:
    """One sweep of all hosts of a reaper. ``run`` is called once.

    Args:
        hosts: The hosts; one that is not asked is not swept. The first one's clock, processes and plugins are those of all.
        ledgers: Their ledgers.
        matchers: Their matchers as one, kept from sweep to sweep. None makes new ones.
    """

    def __init__(self, hosts: Sequence[SweptHost], ledgers: Ledgers, matchers: HostMatchers | None = None) -> None:
        self._hosts = hosts
        self._ledgers = ledgers
        self._matchers = matchers or HostMatchers([host.dependencies.matcher for host in hosts])
        self._dependencies = hosts[0].dependencies
        now = self._dependencies.clock.now()
        sweep_id = str(ULID.from_timestamp(now))
        # It does not change within a sweep, and reading it takes as long as all else for a host with a few sessions.
        own_location = cache(self._dependencies.processes.own_location)
        registries = [(host.name, host.dependencies.registry) for host in hosts]
        self._every = [
            HostSweep(
                host,
                SweepReport(sweep_id, now, dry_run=host.request.dry_run, full=host.request.full),
                own_location,
                Rivals(self._matchers, registries, at) if len(hosts) > 1 else NO_RIVALS,
            )
            for at, host in enumerate(hosts)
        ]
        self._swept = [one for one in self._every if one.host.is_asked]

    def run(self) -> SweepReport:
        """Run the nine steps. Raises no error of tmux, the registry or the ledger: what could not be read is in the report."""
        started = perf_counter()
        try:
            self._run()
        except LedgerError as error:
            self._hold_all(error)
        for one in self._swept:
            one.report.sessions.sort(key=attrgetter("socket", "session"))
            one.report.seconds.total = perf_counter() - started
        try:
            with self._ledgers.together():
                for one in self._swept:
                    one.save_report()
        except LedgerError as error:
            self._hold_all(error)
        return merged([(one.host.name, one.report) for one in self._swept])

    def _run(self) -> None:
        started = perf_counter()
        disputed = self._observe()
        self._took("observe", started)
        for one in self._swept:
            one.record_unrecorded_alarms()
        started = perf_counter()
        self._look_up(disputed)
        self._took("look_up", started)
        known = [one for one in self._swept if isinstance(one.rows, LookupResult)]
        for one in known:
            one.recover()
        started = perf_counter()
        self._judge(known)
        self._took("judge", started)
        if not self._dry_run:
            self._reap(known)

    @property
    def _dry_run(self) -> bool:
        return self._hosts[0].request.dry_run

    # 1 observe, 2 look up

    def _observe(self) -> Sequence[Disputed]:
        """Observe, and load what the ledgers know of what was seen. Return the sessions that several hosts claim."""
        dependencies, first = self._dependencies, self._swept[0]
        counts_cpu = first.host.request.full and IdleClock.CPU in first.host.settings.thresholds.idle_clocks
        sampled_at = dependencies.clock.monotonic()
        is_due = counts_cpu and first.host.state.sample_interval.is_due(sampled_at)
        owner_ids = [one.owner_id for one in self._ledgers.registries()]
        table = dependencies.processes.glance if is_due else None
        later = dependencies.in_background(table, "workspace-reaper processes") if table else None
        found = observe_hosts(self._hosts, owner_ids, self._matchers, later)
        for one, seen in zip(self._every, found.by_host, strict=True):
            one.has_seen(seen, sampled_at)
        ids = [seen.all_workspace_ids for seen in found.by_host]
        states: Sequence[LedgerState] = self._ledgers.load_states(ids, dependencies.clock.now())
        for one, state in zip(self._every, states, strict=True):
            one.has_loaded(state)
        return found.disputed

    def _look_up(self, disputed: Sequence[Disputed]) -> None:
        by_host: list[set[str]] = [set() for _ in self._hosts]
        for _, claims in disputed:
            for claim in claims:
                by_host[claim.host].add(claim.workspace_id)
        for one, ids in zip(self._every, by_host, strict=True):
            if one.host.is_asked or ids:
                one.look_up(ids)
        for one in self._swept:
            if isinstance(one.rows, Unknown):
                one.hold_all(one.rows)
        settle(self._every, disputed)

    # 3 judge, 4 confirm

    def _judge(self, known: Sequence[HostSweep]) -> None:
        for one in known:
            one.judge_each()
        failures = ask_vetoes([one.judge for one in known], self._dependencies.plugins)
        for one in known:
            one.report.vetoes.extend(failures)
            one.select()

    # 5 prepare, 6 recheck, 7 kill, 8 terminate, 9 record

    def _reap(self, known: Sequence[HostSweep]) -> None:
        for one in known:
            one.show_announcements()
        with self._ledgers.together():
            for one in known:
                one.record_before_kills()
        marked: dict[str, int] = {}
        for one in known:
            one.is_recorded(marked)
        for one in known:
            one.reap(self._lived_in_elsewhere(one) if one.candidates else {})
        with self._ledgers.together():
            for one in self._swept:
                one.record_after_kills()
        for one in self._swept:
            one.notify_alarms()
        for one in known:
            one.prune_snapshots()

    def _lived_in_elsewhere(self, own: HostSweep) -> Mapping[str, str]:
        """Return the directories in which sessions of the other hosts live: their processes are not this host's leftovers."""
        return {name: path for one in self._swept if one is not own for name, path in one.lived_in().items()}

    def _hold_all(self, error: LedgerError) -> None:
        for one in self._swept:
            one.hold_all(Unknown(Source.LEDGER, str(error)))

    def _took(self, step: str, started: float) -> None:
        """Note how long a step took that is one for all hosts."""
        for one in self._swept:
            setattr(one.report.seconds, step, perf_counter() - started)

"""Sweeps one host or several, with the state directory locked, and logs what was done."""

from __future__ import annotations

from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ulid import ULID

from workspace_reaper.ledger import SqliteLedger
from workspace_reaper.ledger.ledgers import SqliteLedgers
from workspace_reaper.model.errors import LedgerError, SweepLocked
from workspace_reaper.model.events import key_of
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.sweep.report import SweepReport

if TYPE_CHECKING:
    from workspace_reaper.model.state import Event
    from workspace_reaper.operations.reaper import Reaper
    from workspace_reaper.sweep.context import SweepRequest


def sweep_hosts(asked: Sequence[Reaper], request: SweepRequest) -> SweepReport:
    """Run one sweep of these hosts, which are of one reaper.

    The other hosts of that reaper are asked only where they claim a session of these. What could not be read is in the report.
    Raises ``UnsupportedTmux``.
    """
    first = asked[0]
    if not first.settings.configured:
        report = _empty_report(first, request, "not configured")
    elif not first.settings.enabled and not request.dry_run:
        report = _empty_report(first, request, "disabled")
    else:
        first.require_tmux()
        report = _sweep(asked, request)
        if request.counts:
            for one in asked:
                one.watch_blindness(report.hosts.get(str(one.name), report))
    first.group[0].log.write(report)
    return report


def run_hosts(asked: Sequence[Reaper], request: SweepRequest, ledgers: Sequence[SqliteLedger]) -> SweepReport:
    """Run one sweep with these ledgers, which are those of all hosts of the reaper, even if it is switched off."""
    from workspace_reaper.sweep.ledgers import OneLedger
    from workspace_reaper.sweep.sweep import Sweep

    group = asked[0].group
    hosts = [
        one.swept(_request_of(one, request) if one in asked else _nothing(request), ledger, is_asked=one in asked)
        for one, ledger in zip(group, ledgers, strict=True)
    ]
    if len(hosts) == 1:
        return Sweep(hosts, OneLedger(ledgers[0])).run()
    return Sweep(hosts, SqliteLedgers(ledgers), group[0].matchers).run()


def _request_of(host: Reaper, request: SweepRequest) -> SweepRequest:
    """Return what is asked of one host: of several, the approval is for the registry that its part of the report named."""
    if host.name is None:
        return request
    prefix = key_of(host.name, "")

    def doubted() -> Set[str]:
        return {one.removeprefix(prefix) for one in request.doubted() if one.startswith(prefix)}

    shown = None if request.shown is None else request.shown.get(host.name, {})
    return replace(request, shown=shown, doubted=doubted)


def _nothing(request: SweepRequest) -> SweepRequest:
    return replace(request, suspects={}, approve=frozenset(), shown=None)


def _sweep(asked: Sequence[Reaper], request: SweepRequest) -> SweepReport:
    shared, group = asked[0].shared, asked[0].group
    try:
        if request.dry_run:
            with shared.reading() as ledgers:
                return run_hosts(asked, request, ledgers)
        with shared.writing() as ledgers:
            for one, ledger in zip(group, ledgers, strict=True):
                one.record_doubt(ledger)
            before = _breaker_events(group, ledgers)
            report = run_hosts(asked, request, ledgers)
            # An operator, or another process that sweeps, may have changed the breaker since the last sweep.
            report.events[:0] = before
            with suppress(LedgerError):  # the report is of what was done already; the next sweep reports the ledger
                _note_events(group, ledgers)
            return report
    except (LedgerError, SweepLocked) as error:
        report = _empty_report(asked[0], request, None)
        report.unknown.append(Unknown(Source.LEDGER, str(error)))
        return report


def _breaker_events(group: Sequence[Reaper], ledgers: Sequence[SqliteLedger]) -> list[Event]:
    """Return what happened to the breakers since the last sweep."""
    found: list[Event] = []
    if ledgers[0].latest_event() == group[0].state.last_event:
        return found
    for one, ledger in zip(group, ledgers, strict=True):
        _, events = ledger.events_after(one.state.last_event)
        found += [event for event in events if event.kind.startswith("breaker ")]
    return found


def _note_events(group: Sequence[Reaper], ledgers: Sequence[SqliteLedger]) -> None:
    latest = ledgers[0].latest_event()
    for one in group:
        one.state.last_event = latest


def _empty_report(first: Reaper, request: SweepRequest, abstained: str | None) -> SweepReport:
    now = first.clock.now()
    return SweepReport(str(ULID.from_timestamp(now)), now, dry_run=request.dry_run, full=request.full, abstained=abstained)

"""Looks at the workspaces that a host's hooks named."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import MappingProxyType

from workspace_reaper.model.errors import LedgerError, SweepLocked
from workspace_reaper.model.events import DERIVED_EVENTS, WITHOUT_PROOF, WorkspaceEvent, strongest
from workspace_reaper.model.reap import Outcome
from workspace_reaper.model.state import StateChanges
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.sweep.context import Report, SweepRequest
from workspace_reaper.sweep.log import log_event
from workspace_reaper.sweep.report import SweepReport

# Seconds within which two reports of the same event are one.
_SAME = 0.5


def look_at(
    reaper: Reaper,
    suspects: Mapping[str, WorkspaceEvent],
    final: Collection[str],
    ages: Mapping[str, float] = MappingProxyType({}),
    *,
    stopping: Callable[[], bool],
    replaced: Callable[[], bool],
) -> Collection[str]:
    """Record what hooks reported, and sweep these workspaces.

    Args:
        suspects: What hooks reported, by the workspace id as the hook wrote it.
        final: The suspects that are not looked at again.
        ages: How long ago each was reported, in seconds. A session that was created since then is another one.
        stopping: Whether the sweep must start no more kills.
        replaced: Whether another reaper has taken over: then all suspects stay unsettled.

    Returns:
        The suspects whose rows do not agree yet with what the hook reported.
    """
    ids = {text: reaper.registry.canonical(text) for text in suspects}
    events: dict[str, WorkspaceEvent] = {}
    now, at = reaper.clock.now(), dict[str, float]()
    for text, workspace_id in ids.items():
        if workspace_id is None:
            message = f"a hook named {text!r}, which is not a workspace id of the registry {reaper.registry.name}"
            log_event(logging.WARNING, message, workspace=text)
        else:
            # One id may be written in two ways.
            events[workspace_id] = strongest(suspects[text], events.get(workspace_id, suspects[text]))
            at[workspace_id] = min(now - ages.get(text, 0.0), at.get(workspace_id, now))
    if not events:
        return ()
    _write_or_log(lambda: _record_once(reaper, events, at))
    report = reaper.sweep(SweepRequest(suspects=events, stopping=stopping))
    is_replaced = replaced()
    if report.abstained is not None and not is_replaced:
        _forget(reaper, events)
        return ()
    derived = {one for one, event in events.items() if event in DERIVED_EVENTS}
    _notify(reaper, report, {one for one in derived if events[one] in WITHOUT_PROOF})
    contradicted = report.contradicted - derived
    unsettled = contradicted | _left(report, derived) if report.complete and not is_replaced else frozenset(events)
    given_up = frozenset(one for text, one in ids.items() if text in final and one in contradicted)
    for workspace_id in sorted(given_up):
        event = events[workspace_id].value
        message = f"a hook reported {workspace_id} as {event}, but its row is not {event}: left to the next tick"
        log_event(logging.WARNING, message, workspace=workspace_id)
    # A row that is back settles what the daemon saw; it derives that again if the row vanishes again.
    _write_or_log(lambda: _settle(reaper, given_up | (report.contradicted & derived)))
    reaper.state.notified -= events.keys() - unsettled
    _forget(reaper, {one for text, one in ids.items() if one is not None and (text in final or one not in unsettled)})
    return [text for text, workspace_id in ids.items() if workspace_id in unsettled]


def notify_of_witnesses(reaper: Reaper, report: SweepReport) -> None:
    """Notify the other plugins of the directories that a full sweep found gone, and no look before it."""
    left = {entry.workspace_id: entry.facts.reported for entry in report.sessions if entry.facts and entry.facts.gone}
    _notify(reaper, report, {one for one, event in left.items() if event in WITHOUT_PROOF})
    if report.complete:
        reaper.state.notified.intersection_update(one for one, event in left.items() if event in DERIVED_EVENTS)


def _left(report: SweepReport, workspace_ids: Collection[str]) -> frozenset[str]:
    """Return those of the workspaces without a row that still have a session, and a directory that may prove the deletion."""
    entries = [entry for entry in report.sessions if entry.outcome is not Outcome.REAPED]
    left = {entry.workspace_id for entry in entries if entry.facts is None or entry.facts.witness is not None}
    return frozenset(left.intersection(workspace_ids) - report.contradicted)


def _notify(reaper: Reaper, report: SweepReport, vanished: Collection[str]) -> None:
    """Notify the other plugins of those workspaces whose row and directory went together."""
    witnessed = {entry.workspace_id for entry in report.sessions if entry.facts and entry.facts.is_witnessed}
    for workspace_id in sorted(witnessed.intersection(vanished) - reaper.state.notified):
        _write_or_log(partial(record_events, reaper, {workspace_id: WorkspaceEvent.REMOVED}))
        reaper.plugins.deleted(workspace_id)
        reaper.state.notified.add(workspace_id)


def _write_or_log(write: Callable[[], None]) -> None:
    try:
        write()
    except (LedgerError, SweepLocked) as error:
        log_event(logging.WARNING, str(error))


def _record_once(reaper: Reaper, events: Mapping[str, WorkspaceEvent], at: Mapping[str, float]) -> None:
    """Record what has not been recorded at an earlier look.

    The registry may be another one by now, of which an event of before says nothing.
    """
    # The wall clock may be set between two looks.
    passed = reaper.clock.monotonic() - reaper.clock.now()
    reports = {one: (event, at[one] + passed) for one, event in events.items()}
    recorded = reaper.state.recorded
    new = {one: reports[one] for one in reports if not _is_same(recorded.get(one), reports[one])}
    record_events(reaper, {one: event for one, (event, _) in new.items()}, at)
    recorded |= new


def _is_same(one: Report | None, other: Report) -> bool:
    return one is not None and one[0] is other[0] and abs(one[1] - other[1]) < _SAME


def _forget(reaper: Reaper, workspace_ids: Collection[str]) -> None:
    for workspace_id in workspace_ids:
        reaper.state.recorded.pop(workspace_id, None)


def record_events(
    reaper: Reaper, events: Mapping[str, WorkspaceEvent], moments: Mapping[str, float] = MappingProxyType({})
) -> None:
    """Record what hooks reported, before a sweep begins: a crash must not lose it.

    ``moments`` is when (Unix seconds), where that is not now. Raises ``LedgerError`` and ``SweepLocked``.
    """
    if reaper.settings.enabled:
        now = reaper.clock.now()
        with reaper.writing() as ledger:
            for workspace_id, event in events.items():
                at = moments.get(workspace_id, now)
                if event is WorkspaceEvent.DELETED:
                    ledger.record_deletion(workspace_id, at)
                elif event in DERIVED_EVENTS:
                    ledger.record_removal(workspace_id, event, at)


def _settle(reaper: Reaper, workspace_ids: frozenset[str]) -> None:
    """Forget what hooks reported about workspaces whose rows contradict it."""
    if workspace_ids:
        with reaper.writing() as ledger:
            ledger.save(StateChanges(settled=workspace_ids))

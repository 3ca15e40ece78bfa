"""Looks at the workspaces that a host's hooks named."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping

from workspace_reaper.model.errors import LedgerError, SweepLocked
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.model.state import StateChanges
from workspace_reaper.operations.reaper import Reaper
from workspace_reaper.sweep.context import SweepRequest
from workspace_reaper.sweep.log import log_event


def look_at(
    reaper: Reaper,
    suspects: Mapping[str, WorkspaceEvent],
    final: Collection[str],
    *,
    stopping: Callable[[], bool],
    replaced: Callable[[], bool],
) -> Collection[str]:
    """Record what hooks reported, and sweep these workspaces.

    Args:
        suspects: What hooks reported, by the workspace id as the hook wrote it.
        final: The suspects that are not looked at again.
        stopping: Whether the sweep must start no more kills.
        replaced: Whether another reaper has taken over: then all suspects stay unsettled.

    Returns:
        The suspects whose rows do not agree yet with what the hook reported.
    """
    ids = {text: reaper.registry.canonical(text) for text in suspects}
    events: dict[str, WorkspaceEvent] = {}
    for text, workspace_id in ids.items():
        if workspace_id is None:
            message = f"a hook named {text!r}, which is not a workspace id of the registry {reaper.registry.name}"
            log_event(logging.WARNING, message, workspace=text)
        # One id may be written in two ways: a deletion outweighs other events.
        elif events.get(workspace_id) is not WorkspaceEvent.DELETED:
            events[workspace_id] = suspects[text]
    if not events:
        return ()
    _write_or_log(lambda: record_events(reaper, events))
    report = reaper.sweep(SweepRequest(suspects=events, stopping=stopping))
    is_replaced = replaced()
    if report.abstained is not None and not is_replaced:
        return ()
    unsettled = report.contradicted if report.complete and not is_replaced else frozenset(events)
    given_up = frozenset(one for text, one in ids.items() if text in final and one in report.contradicted)
    for workspace_id in sorted(given_up):
        event = events[workspace_id].value
        message = f"a hook reported {workspace_id} as {event}, but its row is not {event}: left to the next tick"
        log_event(logging.WARNING, message, workspace=workspace_id)
    _write_or_log(lambda: _settle(reaper, given_up))
    return [text for text, workspace_id in ids.items() if workspace_id in unsettled]


def _write_or_log(write: Callable[[], None]) -> None:
    try:
        write()
    except (LedgerError, SweepLocked) as error:
        log_event(logging.WARNING, str(error))


def record_events(reaper: Reaper, events: Mapping[str, WorkspaceEvent]) -> None:
    """Record what hooks reported, before a sweep begins: a crash must not lose it. Raises ``LedgerError`` and
    ``SweepLocked``."""
    if reaper.settings.enabled:
        now = reaper.clock.now()
        with reaper.writing() as ledger:
            for workspace_id, event in events.items():
                if event is WorkspaceEvent.DELETED:
                    ledger.record_deletion(workspace_id, now)
                else:
                    ledger.record_named(workspace_id, now)


def _settle(reaper: Reaper, workspace_ids: frozenset[str]) -> None:
    """Forget what hooks reported about workspaces whose rows contradict it."""
    if workspace_ids:
        with reaper.writing() as ledger:
            ledger.save(StateChanges(settled=workspace_ids))

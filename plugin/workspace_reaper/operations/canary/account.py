"""What is remembered of canaries: an event for each run, and an alarm until one is reaped again."""

from __future__ import annotations

from collections.abc import Sequence

from workspace_reaper.model.ports import Ledger, Plugins
from workspace_reaper.model.state import Alarm, Changes, Event
from workspace_reaper.operations.doctor import FAIL, OK, Check
from workspace_reaper.sweep import alarms
from workspace_reaper.sweep.other_plugins import tell_alarms

__all__ = ["CANARY", "last_run", "record"]

CANARY = "canary"
"""The kind of the event, and the name of the alarm."""

_LOOKS_AT = 1000
"""So many of the latest events are searched for the last run."""


def last_run(ledger: Ledger) -> tuple[float, bool] | None:
    """When one was last sent (Unix seconds), and whether it was reaped; None if never. Raises ``LedgerError``."""
    for event in ledger.events(_LOOKS_AT):
        if event.kind == CANARY:
            return event.at, event.detail.startswith(OK)
    return None


def record(ledger: Ledger, checks: Sequence[Check], plugins: Plugins, now: float) -> None:
    """Write down how they went, and tell the plugins of an alarm that began or is over. Nothing is written where nothing was
    proved either way. Raises ``LedgerError``."""
    failed = [check for check in checks if check.state == FAIL]
    proved = [*failed, *(check for check in checks if check.state == OK)]
    if not proved:
        return
    before = ledger.recall((), now).alarms
    after = {name: alarm for name, alarm in before.items() if name != CANARY}
    if failed:
        detail = "; ".join(f"{check.check}: {check.detail}" for check in failed)
        after[CANARY] = Alarm(CANARY, now, detail, "a canary is reaped on every socket: 'workspace-reaper doctor --canary'")
    kept, events = alarms.changes(before, after, now)
    told = "; ".join(f"{check.check}: {check.detail}" for check in proved)
    event = Event(now, CANARY, f"{FAIL if failed else OK}: {told}")
    ledger.remember(Changes(alarms=kept if kept != before else None, events=(event, *events)))
    begun, ended = alarms.turns(before, kept)
    tell_alarms(plugins, begun, ended, now)

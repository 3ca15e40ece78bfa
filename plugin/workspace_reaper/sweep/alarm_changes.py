"""Which alarms have begun and which have ended. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from workspace_reaper.model.state import Alarm, Event


def begins(alarm: Alarm, now: float) -> Event:
    """Return the event that records the beginning of an alarm."""
    return Event(now, "alarm", f"{alarm.name}: {alarm.detail}")


def turns(before: Mapping[str, Alarm], after: Mapping[str, Alarm]) -> tuple[tuple[Alarm, ...], tuple[Alarm, ...]]:
    """Return the alarms that have begun and those that have ended."""
    begun = tuple(alarm for name, alarm in after.items() if name not in before)
    return begun, tuple(alarm for name, alarm in before.items() if name not in after)


def changes(before: Mapping[str, Alarm], after: Mapping[str, Alarm], now: float) -> tuple[dict[str, Alarm], tuple[Event, ...]]:
    """Return the alarms with the time each began, and the events of those that began or ended."""
    kept = {name: replace(alarm, since=before[name].since) if name in before else alarm for name, alarm in after.items()}
    begun, ended = turns(before, after)
    return kept, (*(begins(alarm, now) for alarm in begun), *(Event(now, "alarm over", alarm.name) for alarm in ended))

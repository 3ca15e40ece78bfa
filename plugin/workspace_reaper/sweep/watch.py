"""What a process must tell although it can write no ledger: that nothing is seen any more, and what kept it from beginning.

Such an alarm is told without a record, and recorded by the first sweep that can.
"""

from __future__ import annotations

from dataclasses import replace

from workspace_reaper.model.state import Alarm, Changes, Memory
from workspace_reaper.sweep.alarms import blind, changes

__all__ = ["Watch"]


class Watch:
    """One for the life of a reaper. Not safe for several threads at once: sweeps exclude one another."""

    def __init__(self) -> None:
        self._told: dict[str, Alarm] = {}
        self._since: float | None = None
        self._last_complete: float | None = None

    def told(self, alarm: Alarm) -> None:
        """This one was told, and is in no ledger yet."""
        self._told[alarm.name] = alarm

    def go_on_from(self, other: Watch) -> None:
        """What the reaper before has told is not told again, and its end is."""
        self._told |= other._told

    def completed(self, at: float) -> None:
        """A complete sweep began then (Unix seconds)."""
        self._last_complete = at

    def blind(self, memory: Memory | None, why: str, tick: float, now: float) -> Alarm | None:
        """A sweep could not record anything: the alarm, if it is to be told now. ``memory`` is what can be read of the ledger;
        another process may have seen all, or told it already. ``tick`` is in seconds, ``now`` in Unix seconds."""
        if self._since is None:
            self._since = now
        last_complete = self._last_complete
        if memory is not None and memory.last_complete is not None:
            last_complete = memory.last_complete
        alarm = blind(last_complete, tick, now, began=self._since)
        if alarm is None or alarm.name in self._told or (memory is not None and alarm.name in memory.alarms):
            return None
        alarm = replace(alarm, detail=f"{alarm.detail}: {why}")
        self._told[alarm.name] = alarm
        return alarm

    def unrecorded(self, memory: Memory, now: float) -> tuple[Changes, Memory] | None:
        """What is to be written of alarms that were told, and the memory after that; None if there is nothing."""
        if not self._told:
            return None
        kept, events = changes(memory.alarms, {**self._told, **memory.alarms}, now)
        return Changes(alarms=kept, events=events), replace(memory, alarms=kept)

    def recorded(self) -> None:
        """The ledger has them now, and is where they end."""
        self._told, self._since = {}, None

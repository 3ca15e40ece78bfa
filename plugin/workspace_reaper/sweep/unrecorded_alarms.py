"""Alarms that were reported while no ledger could record them."""

from __future__ import annotations

from dataclasses import replace

from workspace_reaper.model.state import Alarm, LedgerState, StateChanges
from workspace_reaper.sweep.alarms import blind, changes


class UnrecordedAlarms:
    """One for the life of a reaper. Not safe for several threads at once: sweeps exclude one another."""

    def __init__(self) -> None:
        self._reported: dict[str, Alarm] = {}
        self._since: float | None = None
        self._last_complete: float | None = None

    def add(self, alarm: Alarm) -> None:
        """Note an alarm that was reported and is in no ledger yet."""
        self._reported[alarm.name] = alarm

    def take_over(self, other: UnrecordedAlarms) -> None:
        """Continue for an earlier reaper: what it reported is not reported again, and its end is."""
        self._reported |= other._reported

    def completed(self, at: float) -> None:
        """Note that a complete sweep began then (Unix seconds)."""
        self._last_complete = at

    def blind(self, state: LedgerState | None, why: str, tick: float, now: float) -> Alarm | None:
        """Return the alarm ``blind`` if it is to be reported now, after a sweep that could not record anything.

        Args:
            state: What can be read of the ledger: another process may have swept, or reported the alarm.
            why: What prevented the record.
            tick: Seconds.
            now: Unix seconds.
        """
        if self._since is None:
            self._since = now
        last_complete = self._last_complete
        if state is not None and state.last_complete is not None:
            last_complete = state.last_complete
        alarm = blind(last_complete, tick, now, began=self._since)
        if alarm is None or alarm.name in self._reported or (state is not None and alarm.name in state.alarms):
            return None
        alarm = replace(alarm, detail=f"{alarm.detail}: {why}")
        self._reported[alarm.name] = alarm
        return alarm

    def unrecorded(self, state: LedgerState, now: float) -> tuple[StateChanges, LedgerState] | None:
        """Return what is to be written, and the state after it; None if there is nothing to write."""
        if not self._reported:
            return None
        kept, events = changes(state.alarms, {**self._reported, **state.alarms}, now)
        return StateChanges(alarms=kept, events=events), replace(state, alarms=kept)

    def recorded(self) -> None:
        """Note that the ledger has them: they end there."""
        self._reported, self._since = {}, None

"""Alarms of a full sweep: first they are in the ledger, then the other plugins are told."""

from __future__ import annotations

from workspace_reaper.model.ports import Ledger
from workspace_reaper.model.state import Changes, Memory
from workspace_reaper.sweep.alarms import Limits, turns
from workspace_reaper.sweep.context import Parts
from workspace_reaper.sweep.other_plugins import tell_alarms

__all__ = ["catch_up", "limits", "tell"]


def limits(parts: Parts) -> Limits:
    """What is too long."""
    return Limits(abstain=parts.abstain_alarm, tick=parts.tick)


def catch_up(parts: Parts, ledger: Ledger, memory: Memory) -> Memory:
    """Record the alarms that were told while there was no ledger to record them in; the memory with them. Nobody is told
    again. Raises ``LedgerError``."""
    unrecorded = parts.watch.unrecorded(memory, parts.clock.now())
    if unrecorded is None:
        return memory
    changes, after = unrecorded
    ledger.remember(changes)
    parts.watch.recorded()
    return after


def tell(parts: Parts, memory: Memory, changes: Changes) -> None:
    """Tell the plugins what has begun and what is over by these changes, which are in the ledger."""
    if changes.alarms is not None:
        begun, ended = turns(memory.alarms, changes.alarms)
        tell_alarms(parts.plugins, begun, ended, parts.clock.now())

"""Right before the first kill: the processes of what is condemned, and whether they have been at work since the listing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from workspace_reaper.model.process import Details, ProcessKey, ProcessTable
from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import IdleClock
from workspace_reaper.policy import idle
from workspace_reaper.policy.process_tree import SessionProcess, processes_by_session
from workspace_reaper.sweep.context import Dependencies, ReapCandidate
from workspace_reaper.sweep.observe import Observation

__all__ = ["describe", "look_at_processes"]

WINDOW = 0.2
"""Seconds, the least between two looks at the CPU time: a program that computes uses ten ticks in them. Without it a session
that is seen for the first time would have no clock but those of its terminal."""


def look_at_processes(parts: Dependencies, seen: Observation, cases: Sequence[ReapCandidate]) -> Unknown | None:
    """Give each case its processes. Spare those that are at work although they go for being idle. What stood in the way, if
    anything did: then nothing may die."""
    resting = [
        case
        for case in cases
        if IdleClock.CPU in parts.rules.idle_clocks and case.reason.rests_on_idleness(case.facts, parts.rules)
    ]
    first = seen.table
    if resting and first is None:
        first = parts.processes.table()
    if isinstance(first, Unknown):
        return first
    details: Mapping[ProcessKey, Details] = {}
    before = None
    if resting and first is not None:
        before = _families(first, seen)
        # Reading what there is to read takes up the time between the two looks, or a part of it.
        details = parts.processes.details([kin.process.key for case in cases for kin in before[case.key]])
        time.sleep(min(WINDOW, max(0.0, first.at + WINDOW - time.time())))
    second = parts.processes.table()
    if isinstance(second, Unknown):
        return second
    now = _families(second, seen)
    for case in cases:
        case.family = now[case.key]
        _learn(case, details)
    if first is not None and before is not None:
        _spare_the_busy(resting, before, now, second.at - first.at)
    return None


def describe(parts: Dependencies, cases: Sequence[ReapCandidate]) -> None:
    """What is to be known of their processes: afterwards, when they are dead, there is nothing left to measure."""
    missing = [kin.process.key for case in cases for kin in case.family if kin.process.key not in case.details]
    if missing:
        details = parts.processes.details(missing)
        for case in cases:
            _learn(case, details)


def _learn(case: ReapCandidate, details: Mapping[ProcessKey, Details]) -> None:
    found = {kin.process.key: details[kin.process.key] for kin in case.family if kin.process.key in details}
    case.details = {**case.details, **found}


def _spare_the_busy(
    resting: Sequence[ReapCandidate],
    before: Mapping[SessionKey, Sequence[SessionProcess]],
    now: Mapping[SessionKey, Sequence[SessionProcess]],
    seconds: float,
) -> None:
    for case in resting:
        if idle.is_busy(idle.used(before[case.key]), idle.used(now[case.key]), seconds):
            case.spare("active")


def _families(table: ProcessTable, seen: Observation) -> Mapping[SessionKey, Sequence[SessionProcess]]:
    return processes_by_session(table, (session for listing in seen.listings for session in listing.sessions))

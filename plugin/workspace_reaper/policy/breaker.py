"""The breaker: stops all reaping that rests on an absence alone when too much is absent at once. Pure."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from typing import Any

from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import BreakerState, RegistryState
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.util.time import iso

__all__ = ["AT_LEAST", "CLEAR_SWEEPS", "as_json", "clears_when", "excuse", "inexcusable", "rows_lost", "step"]

AT_LEAST = 3
"""Fewer orphans, or fewer lost rows, never trip it."""

CLEAR_SWEEPS = 3
"""So many full sweeps in a row without an orphan among those that tripped it free it."""


def rows_lost(before: RegistryState, now: LookupResult) -> str | None:
    """Why the registry lost too much since the last full sweep, or None.

    Of more rows than are counted, the oldest stand for all of them.
    """
    losses = [(before.total - now.total, before.total, "rows")]
    if before.capped:
        losses.append(
            (len(before.identity.sentinels) - len(now.sentinels_found), len(before.identity.sentinels), "oldest rows")
        )
    for lost, of, what in losses:
        if lost >= AT_LEAST and 2 * lost > of:
            the = "the " if what == "oldest rows" else ""
            return f"the registry lost {lost} of {the}{of} {what} since the last full sweep"
    return None


def step(state: BreakerState, orphans: Set[SessionKey], managed: int, loss: str | None, now: float) -> BreakerState:
    """The breaker after one full sweep that found these orphans among so many managed sessions.

    A latched breaker stays latched whatever the ratio becomes: only the sessions that tripped it, and those that would have
    tripped it since, can free it, by being orphans no longer.
    """
    fresh = orphans - state.excused
    excused = state.excused.intersection(orphans)
    too_many = len(fresh) >= AT_LEAST and 2 * len(fresh) > managed
    if state.latched and (too_many or loss):
        return replace(state, tripped=state.tripped | fresh, clear_sweeps=0, excused=excused)
    if state.latched:
        clear = 0 if state.tripped & orphans else state.clear_sweeps + 1
        latched = replace(state, clear_sweeps=clear, excused=excused)
        return latched if clear < CLEAR_SWEEPS else BreakerState(excused=excused)
    if too_many or loss:
        cause = f"{len(fresh)} of {managed} managed sessions have no workspace" if too_many else loss or ""
        return BreakerState(latched=True, since=now, cause=cause, tripped=frozenset(fresh), excused=excused)
    return replace(state, excused=excused)


def excuse(state: BreakerState, approved: Set[SessionKey] | None = None) -> BreakerState:
    """The breaker after an operator let sessions go: all that tripped it (``approved`` None), or exactly these.

    It opens once none of those that tripped it is left; one that no session tripped (rows were lost) by a full reset only.
    """
    if not state.latched:
        return state
    granted = state.tripped if approved is None else frozenset(approved)
    excused, left = state.excused | granted, state.tripped - granted
    opens = approved is None or (state.tripped and not left)
    return BreakerState(excused=excused) if opens else replace(state, excused=excused, tripped=left)


def inexcusable(state: BreakerState, known: Set[SessionKey] | None = None) -> BreakerState:
    """The breaker once the registry has these sessions' workspaces, or (``known`` None) is another one than an operator was
    shown: what was said of them was said of another absence."""
    return replace(state, excused=frozenset() if known is None else state.excused - known) if state.excused else state


def clears_when(state: BreakerState) -> str | None:
    """What frees it, in words; None while it is closed."""
    if not state.latched:
        return None
    return (
        f"none of the {len(state.tripped)} sessions that tripped it is an orphan any more for {CLEAR_SWEEPS} full sweeps in a"
        f" row ({state.clear_sweeps} so far), or an operator runs 'breaker reset' or 'sweep --approve'"
    )


def as_json(state: BreakerState) -> dict[str, Any]:
    """The ``breaker`` of ``status --json``."""
    return {
        "state": "latched" if state.latched else "closed",
        "since": iso(state.since),
        "cause": state.cause or None,
        "clears_when": clears_when(state),
    }

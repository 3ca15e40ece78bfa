"""The breaker: stops all reaping that rests on an absent row when too many rows are missing at once. Pure."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from typing import Any

from workspace_reaper.model.session import SessionKey
from workspace_reaper.model.state import BreakerState, RegistryState
from workspace_reaper.model.workspace import LookupResult
from workspace_reaper.util.time import iso

# Fewer orphans, or fewer lost rows, never trip it.
AT_LEAST = 3

# The number of full sweeps in a row without an orphan among those that tripped it, after which it releases.
CLEAR_SWEEPS = 3


def exceeds_half(lost: int, of: int) -> bool:
    """Return whether the losses are more than half of all, and at least ``AT_LEAST``."""
    return lost >= AT_LEAST and 2 * lost > of


def rows_lost(before: RegistryState, now: LookupResult, witnessed: Set[str] = frozenset()) -> str | None:
    """Return why the registry lost too many rows since the last full sweep, or None.

    Rows that went together with their directories (``witnessed``) are not lost.

    If there are more rows than are counted, the oldest ones stand for all of them.
    """
    sentinels = len(before.identity.sentinels)
    losses = [(before.total - now.total - len(witnessed), before.total, "rows")]
    if before.capped:
        gone = set(before.identity.sentinels) - now.sentinels_found - witnessed
        losses.append((len(gone), sentinels, "oldest rows"))
    for lost, of, what in losses:
        if exceeds_half(lost, of):
            the = "the " if what == "oldest rows" else ""
            return f"the registry lost {lost} of {the}{of} {what} since the last full sweep"
    return None


def step(
    state: BreakerState,
    orphans: Set[SessionKey],
    managed: int,
    loss: str | None,
    now: float,
    strangers: Set[SessionKey] = frozenset(),
    known_before: Set[SessionKey] = frozenset(),
) -> BreakerState:
    """Return the breaker after one full sweep that found these orphans among ``managed`` sessions.

    ``orphans`` are those that the registry has known. ``strangers``, which it has never known, neither trip nor hold the
    breaker, but for those that were known before the registry changed (``known_before``): where rows are lost, they are the
    sessions of these rows. A latched breaker stays latched whatever the ratio becomes. Only the sessions that tripped it,
    and those that would have tripped it since, release it, by not being orphans any more.
    """
    fresh = orphans - state.approved
    approved = state.approved.intersection(orphans | strangers)
    too_many = exceeds_half(len(fresh), managed)
    tripping = fresh | (known_before - state.approved if loss else frozenset())
    if state.latched and (too_many or loss):
        return replace(state, tripped=state.tripped | tripping, clear_sweeps=0, approved=approved)
    if state.latched:
        tripped = state.tripped | _started_again(state.tripped, fresh)
        # What tripped it was known then, and may be a stranger to the registry that is read now.
        clear = 0 if tripped & (orphans | strangers) else state.clear_sweeps + 1
        latched = replace(state, tripped=tripped, clear_sweeps=clear, approved=approved)
        return latched if clear < CLEAR_SWEEPS else BreakerState(approved=approved)
    if too_many or loss:
        cause = f"{len(fresh)} of {managed} managed sessions have no row, or one marked deleted" if too_many else loss or ""
        return BreakerState(latched=True, since=now, cause=cause, tripped=frozenset(tripping), approved=approved)
    return state if approved == state.approved else replace(state, approved=approved)


def _started_again(tripped: Set[SessionKey], orphans: Set[SessionKey]) -> Set[SessionKey]:
    """Return the orphans on another tmux server than the one that ran on their socket when the breaker tripped.

    They may be the same sessions: something has made them again, and their rows are still missing.
    """
    before = {(key.socket, key.server_pid, key.server_start) for key in tripped}
    sockets = {socket for socket, *_ in before}
    return {key for key in orphans if key.socket in sockets and (key.socket, key.server_pid, key.server_start) not in before}


def approve(state: BreakerState, sessions: Set[SessionKey]) -> BreakerState:
    """Return the breaker after an operator approved exactly these sessions.

    It releases when none of those that tripped it is left. A breaker that lost rows tripped is released by ``reset`` alone.
    While it is closed, strangers may be approved.
    """
    approved, left = state.approved | sessions, state.tripped - sessions
    if not state.latched:
        return replace(state, approved=approved)
    return replace(state, approved=approved, tripped=left) if left or not state.tripped else BreakerState(approved=approved)


def reset(state: BreakerState, gone: Set[SessionKey]) -> BreakerState:
    """Return the breaker after an operator released it.

    That approves those that tripped it and have no row now (``gone``). One that has a row again may lose it again, and that
    is another absence.
    """
    return BreakerState(approved=state.approved | (state.tripped & gone))


def revoke_approvals(state: BreakerState, known: Set[SessionKey] | None = None) -> BreakerState:
    """Return the breaker without the approvals of these sessions, or (None) without any.

    An approval is for one absence. It ends when the registry has the session's workspace again, or when the registry is not
    the one that the operator was shown.
    """
    return replace(state, approved=frozenset() if known is None else state.approved - known) if state.approved else state


def clears_when(state: BreakerState) -> str | None:
    """Return what releases the breaker, in words, or None while it is closed."""
    if not state.latched:
        return None
    sweeps = f"{CLEAR_SWEEPS} full sweeps in a row ({state.clear_sweeps} so far)"
    if not state.tripped:
        return f"the registry loses no more rows for {sweeps}, or an operator runs 'breaker reset'"
    return (
        f"each of the {len(state.tripped)} sessions that tripped it has ended or has a row again, for {sweeps}, or an operator"
        " runs 'breaker reset' or 'sweep --approve'"
    )


def as_json(state: BreakerState) -> dict[str, Any]:
    """Return the ``breaker`` of ``status --json``."""
    return {
        "state": "latched" if state.latched else "closed",
        "since": iso(state.since),
        "cause": state.cause or None,
        "clears_when": clears_when(state),
    }

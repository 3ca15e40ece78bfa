"""Proof of registry: whether we ask the one that knew these workspaces. Pure."""

from __future__ import annotations

from dataclasses import replace

from workspace_reaper.model.session import Owner, Session
from workspace_reaper.model.state import LedgerState, RegistryState
from workspace_reaper.model.workspace import LookupResult

__all__ = ["change_of_identity", "is_proven", "known_under", "recognise"]


def change_of_identity(before: RegistryState, now: LookupResult) -> str | None:
    """Why this is not the registry that was read last time, in words; None if it is, or if there was none before."""
    if before.generation == 0:
        return None
    if before.schema != now.schema:
        return f"its schema was {before.schema} and is {now.schema}"
    if before.place != now.place:
        return f"it was {before.place} and is {now.place}"
    if before.oldest and not now.anchors:
        return f"none of its {len(before.oldest)} oldest rows is left"
    return _put_there_as_a_whole(before, now)


def _put_there_as_a_whole(before: RegistryState, now: LookupResult) -> str | None:
    """What an older copy lacks was not deleted. Where a host changes its tables, or vacuums, this is said as well: then what
    vanished before it must prove itself anew, which costs a delay."""
    if None not in (before.epoch, now.epoch) and before.epoch != now.epoch:
        return f"its tables were changed, or its content was put there as a whole ({before.epoch}, now {now.epoch})"
    if before.clock is not None and now.clock is not None and now.clock < before.clock:
        return "its count of changes went back: an older copy was put in its place"
    return None


def recognise(before: RegistryState, now: LookupResult) -> RegistryState:
    """What is remembered of the registry after a full sweep. Another registry is another generation: what was known under
    the one before proves nothing any more."""
    changed = before.generation == 0 or change_of_identity(before, now) is not None
    return replace(
        before,
        generation=before.generation + 1 if changed else before.generation,
        place=now.place,
        schema=now.schema,
        oldest=frozenset(now.oldest),
        total=now.total,
        capped=now.capped,
        epoch=now.epoch,
        clock=now.clock,
    )


def is_proven(workspace_id: str, session: Session, memory: LedgerState, generation: int) -> bool:
    """Whether this registry is known to have known this workspace.

    A stamp does not tell under which generation it was set, so it proves something only while there has been one.
    """
    if generation in (memory.named.get(workspace_id), memory.seen.get(workspace_id)):
        return True
    return session.stamp is Owner.OURS and generation == 1


def known_under(workspace_id: str, memory: LedgerState) -> int | None:
    """The last generation of the registry that is remembered to have known this workspace; None if none is."""
    return max((some[workspace_id] for some in (memory.seen, memory.named) if workspace_id in some), default=None)

"""Proof of registry: whether we ask the one that knew these workspaces. Pure."""

from __future__ import annotations

from dataclasses import replace

from workspace_reaper.memory import Memory, RegistryMemory
from workspace_reaper.model import Rows, Session, Stamp

__all__ = ["change_of_identity", "is_proven", "recognise"]


def change_of_identity(before: RegistryMemory, now: Rows) -> str | None:
    """Why this is not the registry that was read last time, in words; None if it is, or if there was none before."""
    if before.generation == 0:
        return None
    if before.schema != now.schema:
        return f"its schema was {before.schema} and is {now.schema}"
    if before.place != now.place:
        return f"it was {before.place} and is {now.place}"
    if before.oldest and not now.anchors:
        return f"none of its {len(before.oldest)} oldest rows is left"
    return None


def recognise(before: RegistryMemory, now: Rows) -> RegistryMemory:
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
    )


def is_proven(workspace_id: str, session: Session, memory: Memory, generation: int) -> bool:
    """Whether this registry is known to have known this workspace.

    A stamp does not tell under which generation it was set, so it proves something only while there has been one.
    """
    if generation in (memory.named.get(workspace_id), memory.seen.get(workspace_id)):
        return True
    return session.stamp is Stamp.OURS and generation == 1

"""Proof of registry: whether this is the registry that knew these workspaces. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from workspace_reaper.model.session import Session
from workspace_reaper.model.state import LedgerState, RegistryState
from workspace_reaper.model.workspace import LookupResult, PartIdentity, RegistryIdentity
from workspace_reaper.policy.marks import is_marked_as


def change_of_identity(before: RegistryState, now: LookupResult) -> str | None:
    """Return why this is a different registry from the one that was read last time, or None if it is the same.

    The first read is never a change.
    """
    return difference(before.identity, now.identity) if _is_read(before) else None


def is_another(before: RegistryState, now: LookupResult) -> bool:
    """Return whether this is certainly another database than the one that was read last time, or an older copy of it.

    A change of the tables is not certain: the host itself may have made it.
    """
    old, new = before.identity, now.identity
    return _is_read(before) and (moved(old, new) or _went_back(old, new)) is not None


def _is_read(registry: RegistryState) -> bool:
    return registry.identity != RegistryIdentity()


def difference(old: RegistryIdentity, new: RegistryIdentity) -> str | None:
    """Return why these are different registries, or one whose content was replaced as a whole; None if they are the same.

    Sweeps and the daemon compare in this way. Which rows are missing does not matter: a host may delete any of them, and what
    is missing is judged by the directories, the breaker and the confirmations.
    """
    return moved(old, new) or replaced(old, new)


def moved(old: RegistryIdentity, new: RegistryIdentity) -> str | None:
    """Return why this is a different database or schema, or None."""
    if old.schema != new.schema:
        return f"its schema was {old.schema} and is {new.schema}"
    if old.location != new.location:
        return f"the database was {old.location} and is {new.location}"
    left = {part.location for part in new.parts}
    gone = [part.location for part in old.parts if part.location not in left]
    return f"{gone[0]} is not one of its databases any more" if gone else None


def replaced(old: RegistryIdentity, new: RegistryIdentity) -> str | None:
    """Return why the content was replaced as a whole: rows that an older copy lacks were not deleted.

    A host that changes its tables or vacuums causes this too, which only delays what vanished before it.
    """
    for before, now, of in _pairs(old, new):
        if None not in (before.schema_version, now.schema_version) and before.schema_version != now.schema_version:
            versions = f"({before.schema_version}, now {now.schema_version})"
            return f"its tables were changed, or its content was replaced as a whole {versions}{of}"
    return _went_back(old, new)


def _went_back(old: RegistryIdentity, new: RegistryIdentity) -> str | None:
    for before, now, of in _pairs(old, new):
        earlier, later = before.change_counter, now.change_counter
        if earlier is not None and later is not None and later < earlier:
            return f"its count of changes went back: an older copy was put in its place{of}"
    return None


def _pairs(
    old: RegistryIdentity, new: RegistryIdentity
) -> Iterator[tuple[RegistryIdentity | PartIdentity, RegistryIdentity | PartIdentity, str]]:
    """Yield the identities to compare: those of the whole, and those of each part that both have, with its name."""
    yield old, new, ""
    now = {part.location: part for part in new.parts}
    for part in old.parts:
        if part.location in now:
            yield part, now[part.location], f" ({part.location})"


def recognise(before: RegistryState, now: LookupResult) -> RegistryState:
    """Return the state of the registry after a full sweep.

    A different registry starts a new generation: what an earlier generation knew proves nothing about this one.
    """
    generation = next_generation(before) if change_of_identity(before, now) else max(1, before.generation)
    return RegistryState(before.owner_id, generation, now.identity, now.total, now.capped)


def next_generation(before: RegistryState) -> int:
    """Return the generation after this one. What is recorded before the first full sweep belongs to the first."""
    return max(1, before.generation) + 1


def identified(before: RegistryState, now: LookupResult) -> RegistryState:
    """Return the state of the registry after a sweep that is no full one, or that does not see every session.

    Only the identity is remembered, if no sweep had read one: the next full sweep must notice that the database was replaced.
    """
    return before if _is_read(before) else replace(before, identity=now.identity)


def is_proven(workspace_id: str, session: Session, state: LedgerState, generation: int) -> bool:
    """Return whether this registry is known to have known this workspace.

    The marks do not contain the generation under which they were set, so they are proof only while there has been one.
    """
    if generation in (state.named.get(workspace_id), state.seen.get(workspace_id)):
        return True
    return generation == 1 and is_marked_as(session, workspace_id)


def known_in_generation(workspace_id: str, state: LedgerState) -> int | None:
    """Return the last generation of the registry known to have known this workspace, or None."""
    return max((some[workspace_id] for some in (state.seen, state.named) if workspace_id in some), default=None)

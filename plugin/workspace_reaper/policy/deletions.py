"""What may be concluded from workspaces that are no longer in a database. Pure.

Nobody says that they were deleted: the database may as well have been replaced, restored or emptied. So a deletion is told
only while the registry's identity stays the same and little vanishes at once; for the rest the orphan rules decide.
"""

from __future__ import annotations

from collections.abc import Collection, Set
from dataclasses import dataclass, field, replace

from workspace_reaper.model.workspace import LookupResult, RegistryIdentity, WorkspaceList
from workspace_reaper.policy.breaker import AT_LEAST

__all__ = ["WINDOW", "Comparison", "DeletedWorkspace", "Past", "compare", "confirm", "vanished"]

WINDOW = 60.0
"""Seconds over which what vanished is counted together: rows may go one by one."""

_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class DeletedWorkspace:
    """A workspace that vanished. ``at`` is when that was noticed (monotonic seconds); ``had_session`` None: that could not be
    told."""

    workspace_id: str
    at: float
    had_session: bool | None


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered from one comparison to the next. ``recent`` vanished within the last ``WINDOW``; ``gone`` are all
    that vanished under this identity, the latest last."""

    census: WorkspaceList
    recent: tuple[DeletedWorkspace, ...] = ()
    gone: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """``deleted`` and ``archived`` may be told, sorted; ``withheld`` are those that vanished and may not, ``why`` in words.
    ``past`` is for the next comparison. ``doubtful``: what vanished did so with a change of identity, so that its absence
    proves nothing either."""

    past: Past
    deleted: tuple[str, ...] = ()
    archived: tuple[str, ...] = ()
    withheld: frozenset[str] = field(default_factory=frozenset)
    why: str | None = None
    doubtful: bool = False


def vanished(past: Past | None, now: WorkspaceList) -> frozenset[str]:
    """The workspaces that were there at the last comparison, and are not."""
    return past.census.workspaces - now.workspaces if past else frozenset()


def compare(past: Past | None, now: WorkspaceList, sessions: Collection[str] | None, at: float) -> Comparison:
    """The first census (``past`` None) is a baseline, and so is the first one after a change of identity.

    ``sessions`` are the ids that living sessions are named for, None if that can't be told; they matter only where
    something vanished. ``at`` is the time (monotonic seconds).
    """
    if past is None:
        return Comparison(Past(now))
    missing = vanished(past, now)
    changed = _change_of_identity(past.census.identity, now) or _restored(past, now, missing)
    if changed is not None:
        return Comparison(Past(now), withheld=missing, why=changed, doubtful=bool(missing) or _lost_much(past, at))
    archived = tuple(sorted(now.archived - past.census.archived))
    following, too_many = _count(past, now, missing, sessions, at)
    if missing and too_many:
        return Comparison(following, archived=archived, withheld=missing, why=too_many)
    return Comparison(following, deleted=tuple(sorted(missing)), archived=archived)


def confirm(comparison: Comparison, before: WorkspaceList, rows: LookupResult) -> Comparison:
    """The comparison once these rows were read, in one transaction, for its deletions, with the oldest of ``before`` as
    anchors: a census of many rows is of no single moment. Those that are there after all are known again."""
    now = comparison.past.census
    old, new = now.identity, rows.identity
    if (old.location, old.schema) != (new.location, new.schema):
        why: str | None = f"the database was {old.location} and is {new.location}"
    else:
        why = _none_left(before.identity, new, rows.sentinels_found)
    there = {workspace_id for workspace_id, row in rows.found.items() if not row.deleted}
    absent = tuple(one for one in comparison.deleted if one not in there)
    return replace(
        comparison,
        past=_known_again(comparison.past, there.intersection(comparison.deleted)),
        deleted=() if why else absent,
        archived=() if why else comparison.archived,
        withheld=frozenset(absent) if why else comparison.withheld,
        why=why or comparison.why,
        doubtful=bool(why and absent) or comparison.doubtful,
    )


def _known_again(past: Past, there: Set[str]) -> Past:
    if not there:
        return past
    return Past(
        replace(past.census, workspaces=past.census.workspaces | there),
        tuple(absent for absent in past.recent if absent.workspace_id not in there),
        tuple(workspace_id for workspace_id in past.gone if workspace_id not in there),
    )


def _change_of_identity(before: RegistryIdentity, after: WorkspaceList) -> str | None:
    now = after.identity
    if before.location != now.location:
        return f"the database was {before.location} and is {now.location}"
    if before.schema != now.schema:
        return f"its schema was {before.schema} and is {now.schema}"
    if before.schema_version != now.schema_version:
        versions = f"({before.schema_version}, now {now.schema_version})"
        return f"its tables were changed, or its content was replaced as a whole {versions}"
    if before.change_counter is not None and now.change_counter is not None and now.change_counter < before.change_counter:
        return "its count of changes went back: an older copy was put in its place"
    return _none_left(before, now, after.workspaces)


def _none_left(before: RegistryIdentity, now: RegistryIdentity, others: frozenset[str]) -> str | None:
    """Return that none of the oldest rows is left, or None.

    An empty database that had few rows is an everyday matter; one that has different rows instead is not.
    """
    if not before.sentinels or not others.union(now.sentinels).isdisjoint(before.sentinels):
        return None
    if not now.sentinels and len(before.sentinels) < AT_LEAST:
        return None
    return f"none of its {len(before.sentinels)} oldest rows is left"


def _restored(past: Past, now: WorkspaceList, missing: Set[str]) -> str | None:
    if not missing or not past.gone:
        return None
    back = now.workspaces.intersection(past.gone)
    return f"{len(back)} workspaces that had vanished are there again: an older state was restored" if back else None


def _count(
    past: Past, now: WorkspaceList, missing: Set[str], sessions: Collection[str] | None, at: float
) -> tuple[Past, str | None]:
    """What is remembered from here on, and why too much vanished, if it did."""
    known = past.census.workspaces
    recent = [absent for absent in past.recent if at - absent.at < WINDOW and absent.workspace_id not in now.workspaces]
    recent += [DeletedWorkspace(one, at, None if sessions is None else one in sessions) for one in missing]
    gone = tuple(one for one in past.gone if one not in now.workspaces) + tuple(sorted(missing))
    following = Past(now, tuple(recent), gone[-_REMEMBERED:])
    lost = {absent.workspace_id for absent in recent}
    if _too_many(len(lost), len(known | lost)):
        return following, f"{len(lost)} of {len(known | lost)} workspaces vanished within {WINDOW:g} s"
    # Where the sessions can't be told, all that vanished may have had one, and no other.
    with_session = {absent.workspace_id for absent in recent if absent.had_session is not False}
    living = with_session | (known.intersection(sessions) if sessions is not None else set())
    if _too_many(len(with_session), len(living)):
        of = "an unknown number of" if sessions is None else f"{len(living)}"
        return following, f"{len(with_session)} of {of} workspaces with a session vanished within {WINDOW:g} s"
    return following, None


def _lost_much(past: Past, at: float) -> bool:
    """Too much had vanished a moment ago: a census of several transactions may see the rows go before their order."""
    lost = {absent.workspace_id for absent in past.recent if at - absent.at < WINDOW}
    return _too_many(len(lost), len(past.census.workspaces | lost))


def _too_many(lost: int, of: int) -> bool:
    return lost >= AT_LEAST and 2 * lost > of

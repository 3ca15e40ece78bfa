"""What the daemon may conclude from workspaces that are no longer in a database. Pure.

No host reports these deletions: the database may also have been replaced, restored or emptied. So a deletion is reported only
while the registry's identity stays the same and few rows disappear at once. Otherwise the orphan rules decide.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field, replace

from workspace_reaper.model.workspace import LookupResult, RegistryIdentity, WorkspaceList
from workspace_reaper.policy.breaker import exceeds_half
from workspace_reaper.policy.registry_identity import difference

# Seconds over which disappeared rows are counted together: they may disappear one by one.
WINDOW = 60.0

_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class DeletedWorkspace:
    """A workspace that disappeared. ``at`` is when that was noticed (monotonic seconds). ``had_session`` None: unknown."""

    workspace_id: str
    at: float
    had_session: bool | None


@dataclass(frozen=True, slots=True)
class Past:
    """The input of the next comparison. ``recent`` disappeared within the last ``WINDOW``; ``gone`` are all that disappeared
    under this identity, the latest last. ``living`` is when each workspace was last seen to have a session (monotonic seconds),
    within that time."""

    workspace_list: WorkspaceList
    recent: tuple[DeletedWorkspace, ...] = ()
    gone: tuple[str, ...] = ()
    living: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result.

    Attributes:
        past: The input of the next comparison.
        deleted: The workspaces that may be reported as deleted, sorted.
        archived: The same for archived ones.
        suppressed: Workspaces that disappeared and may not be reported.
        why: The reason for that.
        uncertain: Rows disappeared together with a change of identity, so that their absence proves nothing either.
        vanished: The suppressed ones whose directories may prove the deletion all the same, sorted.
        as_by_restore: They vanished as after the restore of an older copy, so that their absence stays in doubt.
    """

    past: Past
    deleted: tuple[str, ...] = ()
    archived: tuple[str, ...] = ()
    suppressed: frozenset[str] = field(default_factory=frozenset)
    why: str | None = None
    uncertain: bool = False
    vanished: tuple[str, ...] = ()
    as_by_restore: bool = False


def vanished(past: Past | None, now: WorkspaceList) -> frozenset[str]:
    """Return the workspaces that existed at the last comparison and do not exist now."""
    return past.workspace_list.workspaces - now.workspaces if past else frozenset()


def compare(past: Past | None, now: WorkspaceList, sessions: Collection[str] | None, at: float) -> Comparison:
    """Compare a list of workspaces with the last one.

    The first list (``past`` None) reports nothing, and neither does the first one after a change of identity.

    Args:
        past: What the last comparison returned.
        now: The list.
        sessions: The workspaces of the living sessions, or None if unknown. They matter only if rows disappeared.
        at: Monotonic seconds.
    """
    if past is None:
        return Comparison(Past(now))
    missing = vanished(past, now)
    old, new = past.workspace_list.identity, now.identity
    changed = difference(old, new) or _lost_version(old, new) or now.replaced or _restored(past, now, missing)
    following, too_many = _count(past, now, missing, sessions, at)
    if changed is not None:
        # A minute's deletions are not few because the tables changed within it.
        counted = replace(following, gone=())
        return Comparison(counted, suppressed=missing, why=changed, uncertain=bool(missing) or _lost_much(past, at))
    # A flag that an older copy has may have been removed since.
    older_copy = now.looks_restored or now.may_be_restored
    archived = () if older_copy else tuple(sorted(now.archived - past.workspace_list.archived))
    why = older_copy or too_many
    if missing and why:
        doubted = now.looks_restored is not None
        ids = tuple(sorted(missing))
        return Comparison(following, archived=archived, suppressed=missing, why=why, vanished=ids, as_by_restore=doubted)
    return Comparison(following, deleted=tuple(sorted(missing)), archived=archived)


def confirm(comparison: Comparison, before: WorkspaceList, rows: LookupResult) -> Comparison:
    """Return the comparison after its deletions were looked up again in one transaction.

    A list of many rows is read in several transactions, so it shows no single moment. Workspaces that exist after all are
    known again.

    Args:
        comparison: The comparison to confirm.
        before: The list before it.
        rows: The result of the look-up.
    """
    why = difference(before.identity, rows.identity)
    there = {workspace_id for workspace_id, row in rows.found.items() if not row.deleted}
    absent = tuple(one for one in comparison.deleted if one not in there)
    return replace(
        comparison,
        past=_known_again(comparison.past, there.intersection(comparison.deleted)),
        deleted=() if why else absent,
        archived=() if why else comparison.archived,
        suppressed=frozenset(absent) if why else comparison.suppressed,
        why=why or comparison.why,
        uncertain=bool(why and absent) or comparison.uncertain,
        vanished=() if why else comparison.vanished,
    )


def _known_again(past: Past, there: Set[str]) -> Past:
    if not there:
        return past
    return replace(
        past,
        workspace_list=replace(past.workspace_list, workspaces=past.workspace_list.workspaces | there),
        recent=tuple(absent for absent in past.recent if absent.workspace_id not in there),
        gone=tuple(workspace_id for workspace_id in past.gone if workspace_id not in there),
    )


def _lost_version(old: RegistryIdentity, new: RegistryIdentity) -> str | None:
    """Return that the schema version was lost or gained, or None. Each list of one database has one, or none has."""
    if (old.schema_version is None) != (new.schema_version is None):
        return f"its content was replaced as a whole ({old.schema_version}, now {new.schema_version})"
    return None


def _restored(past: Past, now: WorkspaceList, missing: Set[str]) -> str | None:
    if not missing or not past.gone:
        return None
    back = now.workspaces.intersection(past.gone)
    return f"{len(back)} workspaces that had vanished are there again: an older state was restored" if back else None


def _count(
    past: Past, now: WorkspaceList, missing: Set[str], sessions: Collection[str] | None, at: float
) -> tuple[Past, str | None]:
    """Return the input of the next comparison, and why too many rows disappeared, if they did."""
    known = past.workspace_list.workspaces
    recent = [absent for absent in past.recent if at - absent.at < WINDOW and absent.workspace_id not in now.workspaces]
    recent += [DeletedWorkspace(one, at, None if sessions is None else one in sessions) for one in missing]
    gone = tuple(one for one in past.gone if one not in now.workspaces) + tuple(sorted(missing))
    seen = {one: last for one, last in past.living.items() if at - last < WINDOW}
    seen |= dict.fromkeys((known | now.workspaces).intersection(sessions or ()), at)
    following = Past(now, tuple(recent), gone[-_REMEMBERED:], seen)
    lost = {absent.workspace_id for absent in recent}
    if exceeds_half(len(lost), len(known | lost)):
        return following, f"{len(lost)} of {len(known | lost)} workspaces vanished within {WINDOW:g} s"
    # If the sessions are unknown, all that disappeared may have had one, and no other.
    with_session = {absent.workspace_id for absent in recent if absent.had_session is not False}
    # A session that was reaped meanwhile counts too.
    living = with_session | (seen.keys() if sessions is not None else set())
    if exceeds_half(len(with_session), len(living)):
        of = "an unknown number of" if sessions is None else f"{len(living)}"
        return following, f"{len(with_session)} of {of} workspaces with a session vanished within {WINDOW:g} s"
    return following, None


def _lost_much(past: Past, at: float) -> bool:
    """Return whether too many rows disappeared just before: a list read in several transactions may show that first."""
    lost = {absent.workspace_id for absent in past.recent if at - absent.at < WINDOW}
    return exceeds_half(len(lost), len(past.workspace_list.workspaces | lost))

"""For each reason a kill that is right, and the changes of one fact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.simulation.oracle.truth import (
    Absence,
    Activity,
    Directory,
    FullSweep,
    Hook,
    HookKind,
    KillTruth,
    Reaper,
    Reason,
    Row,
    RowState,
    Session,
    Workspace,
)

__all__ = [
    "DAY",
    "HOUR",
    "NOW",
    "Change",
    "activity",
    "both",
    "clock",
    "directory",
    "history",
    "limits",
    "reaper",
    "right",
    "rows",
    "session",
    "truth",
    "workspace",
]

HOUR = 3600.0
DAY = 24 * HOUR
NOW = 100 * DAY
Change = Callable[[KillTruth], KillTruth]

_SESSION = Session(
    socket="/tmp/s",
    session_id="$1",
    name="ws-a",
    created=NOW - 5 * DAY,
    activity=Activity(input=NOW - 2 * HOUR, attach=NOW - 4 * DAY, seen_attached=NOW - 3 * HOUR, output=NOW - HOUR),
)
_SWEEPS = tuple(FullSweep(NOW - ago, NOW - ago) for ago in (180.0, 120.0, 60.0, 0.0))
_PRESENT = RowState(NOW - 5 * DAY, (Row(),))
_GONE = RowState(NOW - 100.0)


def _truth(*states: RowState, **workspace_facts: Any) -> KillTruth:
    place = Workspace("a", (_PRESENT, *states), known_at=NOW - 180.0, **workspace_facts)
    return KillTruth(NOW, _SESSION, (place,), Reaper(_SWEEPS, managed=8, recognised=7))


def _since(ago: float, **flags: bool) -> RowState:
    return RowState(NOW - ago, (Row(**flags),))


def right(reason: Reason) -> KillTruth:
    """Return a kill for that reason with which nothing is wrong."""
    return {
        Reason.DELETED: _truth(_GONE, hooks=(Hook(HookKind.DELETED, NOW - 99.0),)),
        Reason.REMOVED: _truth(
            _GONE,
            directory=(Directory(seen_with_row=NOW - 180.0), Directory(NOW - 99.0, gone=True, seen_with_row=NOW - 180.0)),
        ),
        Reason.ARCHIVED_BY_HOOK: _truth(_since(10.0, archived=True), hooks=(Hook(HookKind.ARCHIVED, NOW - 9.0),)),
        Reason.WORKTREE_DELETED: _truth(_since(10.0, worktree_deleted=True)),
        Reason.ORPHAN: _truth(_GONE),
        Reason.ARCHIVED: _truth(_since(10.0, archived=True)),
        Reason.IDLE: activity(input=NOW - 3 * DAY, seen_attached=NOW - 3 * DAY, output=NOW - 3 * DAY)(_truth()),
        Reason.DEAD: session(panes=(NOW - 700.0,))(_truth()),
    }[reason]


def truth(**changes: Any) -> Change:
    return lambda each: replace(each, **changes)


def session(**changes: Any) -> Change:
    return lambda each: replace(each, session=replace(each.session, **changes))


def activity(**changes: Any) -> Change:
    return lambda each: session(activity=replace(each.session.activity, **changes))(each)


def workspace(**changes: Any) -> Change:
    return lambda each: replace(each, workspaces=(replace(each.workspaces[0], **changes), *each.workspaces[1:]))


def reaper(**changes: Any) -> Change:
    return lambda each: replace(each, reaper=replace(each.reaper, **changes))


def limits(**changes: Any) -> Change:
    return lambda each: replace(each, limits=replace(each.limits, **changes))


def clock(**changes: Any) -> Change:
    return lambda each: replace(each, clock=replace(each.clock, **changes))


def directory(**changes: Any) -> Change:
    """Change the newest state of the directory."""

    def change(each: KillTruth) -> KillTruth:
        *before, last = each.workspaces[0].directory
        return workspace(directory=(*before, replace(last, **changes)))(each)

    return change


def rows(ago: float, *now: Row, absence: Absence = Absence.DELETED) -> Change:
    """Set what the registry says since ``ago`` seconds, after all that it said before."""
    return lambda each: workspace(rows=(*each.workspaces[0].rows, RowState(NOW - ago, now, absence)))(each)


def history(*states: tuple[float, tuple[Row, ...]], absence: Absence = Absence.DELETED) -> Change:
    """Set all that the registry said: pairs of ``ago`` and rows, oldest first."""
    return workspace(rows=tuple(RowState(NOW - ago, each, absence) for ago, each in states))


def both(*changes: Change) -> Change:
    """Apply the changes one after the other."""

    def change(each: KillTruth) -> KillTruth:
        for one in changes:
            each = one(each)
        return each

    return change

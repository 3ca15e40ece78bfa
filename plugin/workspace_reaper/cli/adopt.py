"""The command ``adopt``: take over sessions that are marked by an owner that no longer exists."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workspace_reaper.cli.bootstrap import load_reaper
from workspace_reaper.cli.sweep import confirm
from workspace_reaper.cli.tables import show_unknown
from workspace_reaper.util.console import print_json, print_table, say
from workspace_reaper.util.durations import seconds_text
from workspace_reaper.util.text import printable

if TYPE_CHECKING:
    from workspace_reaper.model.session import SessionKey
    from workspace_reaper.operations.adopt import Adoptable, AdoptableSessions
    from workspace_reaper.operations.reaper import Reaper


def adopt(
    context: typer.Context,
    sessions: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SESSION]...", help="Only these sessions: full names, or ids such as $3.", show_default=False),
    ] = None,
    *,
    socket: Annotated[
        str | None, typer.Option("--socket", metavar="SOCKET", help="Only sessions on this tmux socket: its name or path.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON value, for programs. Without --yes nothing is changed.")
    ] = False,
) -> None:
    """Take ownership of sessions whose names match, but which the reaper of another registry has marked as its own.

    A reaper marks the sessions of its registry, and all other reapers leave
    them alone. If that registry or the state directory of its reaper is lost
    for good, no reaper ends those sessions. This command cannot see whether a
    reaper with that mark still exists: you have to know.

    It shows the sessions and asks. A session whose workspace is in this
    registry is managed from then on. From any other session the mark is only
    removed: like every session that was never seen in this registry, it is
    reaped when it has been idle for stranger_ttl.
    """
    from workspace_reaper.operations import adopt as operations

    reaper = load_reaper(context)
    found = operations.find(reaper, sessions or (), socket)
    able = [one for one in found.sessions if one.owner is not None]
    if not as_json:
        _show(reaper, found)
        if able and not yes:
            say("This command cannot see whether a reaper still uses one of these owner marks. If so, answer no.")
            confirm(f"Take over exactly these {len(able)} sessions?", preview="workspace-reaper adopt --json")
    is_wanted = yes or not as_json
    taken = operations.adopt(reaper, found) if able and is_wanted else frozenset()
    if as_json:
        print_json(_as_json(found, taken, tried=yes))
    elif able:
        _show_result(able, taken)
    raise typer.Exit(1 if is_wanted and len(taken) < len(able) else 3 if found.unknown else 0)


def _show(reaper: Reaper, found: AdoptableSessions) -> None:
    show_unknown(found.unknown)
    rows = [
        (
            printable(one.session.name),
            one.key.session_id,
            printable(one.workspace_id),
            one.owner,
            "in it now" if one.has_row else "was in it" if one.was_known else "never in it",
            _result(reaper, one),
            printable(one.key.socket),
        )
        for one in found.sessions
    ]
    columns = ("SESSION", "ID", "WORKSPACE", "OWNER", "THIS REGISTRY", "RESULT", "SOCKET")
    print_table(columns, rows, empty="no session that could be read is marked as owned by another registry")


def _result(reaper: Reaper, one: Adoptable) -> str:
    if one.owner is None:
        return "left alone: this mark was not set by a reaper"
    if one.has_row:
        return "managed"
    if one.was_known:
        return "mark removed: an orphan"
    return f"mark removed: reaped once idle for {seconds_text(reaper.settings.stranger_ttl)}"


def _show_result(able: list[Adoptable], taken: Set[SessionKey]) -> None:
    managed = sum(one.key in taken and one.has_row for one in able)
    say(f"{managed} sessions are managed now, and from {len(taken) - managed} the mark was removed")
    for one in able:
        if one.key not in taken:
            say(f"LEFT {one.session.name}: the session, its mark or the registry has changed since it was shown; try again")


def _as_json(found: AdoptableSessions, taken: Set[SessionKey], *, tried: bool) -> dict[str, Any]:
    sessions = [
        {
            "socket": one.key.socket,
            "session": printable(one.session.name),
            "session_id": one.key.session_id,
            "workspace_id": one.workspace_id,
            "owner": one.owner,
            "has_row": one.has_row,
            "was_known": one.was_known,
            "outcome": ("managed" if one.has_row else "unmarked") if one.key in taken else "left" if tried else "none",
        }
        for one in found.sessions
    ]
    unknown = [{"source": one.source.value, "socket": one.socket, "error": printable(one.reason)} for one in found.unknown]
    return {"sessions": sessions, "unknown": unknown}

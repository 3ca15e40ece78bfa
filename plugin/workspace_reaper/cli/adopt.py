"""The command ``adopt``: take over sessions with a stamp that nobody serves."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workspace_reaper.cli.bootstrap import chosen_config

if TYPE_CHECKING:
    from workspace_reaper.model.session import SessionKey
    from workspace_reaper.operations.adopt import Adoptable, Found
    from workspace_reaper.operations.wiring import Reaper

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    """Give the command line this command."""
    app.command()(adopt)


def adopt(
    context: typer.Context,
    sessions: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SESSION]...", help="Only these: whole names, or ids such as $3.", show_default=False),
    ] = None,
    *,
    socket: Annotated[
        str | None, typer.Option("--socket", metavar="SOCKET", help="Only on this tmux socket, by name or path.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON value, for programs. Without --yes nothing is done.")
    ] = False,
) -> None:
    """Take over sessions that match by name and carry a stamp that nobody serves any more.

    A stamp is set by the reaper of one registry, and every other one leaves
    such a session alone. If that registry, or its state directory, is gone
    for good, nobody reaps it. Whether a reaper still serves a stamp can't be
    seen: that is for you to know.

    It shows them and asks. One whose workspace this registry has is managed
    from then on. Of any other one the stamp is only taken off, so that it is
    a stranger: it goes when it has been idle for stranger_ttl.
    """
    from workspace_reaper.cli.bootstrap import load_reaper
    from workspace_reaper.operations import adopt as adoption
    from workspace_reaper.util.console import print_json

    reaper = load_reaper(chosen_config(context))
    found = adoption.find(reaper, sessions or (), socket)
    able = [one for one in found.sessions if one.owner is not None]
    if not as_json:
        _show(reaper, found)
        if able and not yes:
            _ask(len(able))
    taken = adoption.adopt(reaper, found) if able and (yes or not as_json) else frozenset()
    if as_json:
        print_json(_as_json(found, taken, tried=yes))
    elif able:
        _tell(able, taken)
    missed = (yes or not as_json) and len(taken) < len(able)
    raise typer.Exit(1 if missed else 3 if found.unknown else 0)


def _show(reaper: Reaper, found: Found) -> None:
    from workspace_reaper.sweep.report import printable
    from workspace_reaper.util.console import print_table, say

    for unknown in found.unknown:
        say(f"UNKNOWN {unknown.source.value}: {printable(unknown.reason)}")
    rows = [
        (
            printable(one.session.name),
            one.key.session_id,
            printable(one.workspace_id),
            one.owner,
            "has it" if one.has_row else "has had it" if one.was_known else "has never had it",
            _then(reaper, one),
            printable(one.key.socket),
        )
        for one in found.sessions
    ]
    columns = ("SESSION", "ID", "WORKSPACE", "STAMP", "THIS REGISTRY", "THEN", "SOCKET")
    print_table(columns, rows, empty="no session that could be read carries another registry's stamp")


def _then(reaper: Reaper, one: Adoptable) -> str:
    from workspace_reaper.util.durations import seconds_text

    if one.owner is None:
        return "left alone: no reaper has set this mark"
    if one.has_row:
        return "managed"
    if one.was_known:
        return "no stamp: an orphan"
    return f"no stamp: a stranger, until it is idle for {seconds_text(reaper.settings.stranger_ttl)}"


def _ask(count: int) -> None:
    from workspace_reaper.cli.prompts import agree
    from workspace_reaper.util.console import say

    say("Whether a reaper still serves one of these stamps can't be seen from here. If one does, say no: they are its own.")
    agree(f"Take over exactly these {count} sessions?", before="workspace-reaper adopt --json")


def _tell(able: list[Adoptable], taken: Set[SessionKey]) -> None:
    from workspace_reaper.sweep.report import printable
    from workspace_reaper.util.console import say

    managed = sum(one.key in taken and one.has_row for one in able)
    say(f"{managed} sessions are managed now, and {len(taken) - managed} carry no stamp any more")
    for one in able:
        if one.key not in taken:
            say(f"LEFT {printable(one.session.name)}: it, its stamp or the registry is not what was shown; look again")


def _as_json(found: Found, taken: Set[SessionKey], *, tried: bool) -> dict[str, Any]:
    from workspace_reaper.sweep.report import printable

    sessions = [
        {
            "socket": one.key.socket,
            "session": printable(one.session.name),
            "session_id": one.key.session_id,
            "workspace_id": one.workspace_id,
            "owner": one.owner,
            "has_row": one.has_row,
            "was_known": one.was_known,
            "outcome": ("managed" if one.has_row else "unstamped") if one.key in taken else "left" if tried else "none",
        }
        for one in found.sessions
    ]
    unknown = [{"source": one.source.value, "socket": one.socket, "error": printable(one.reason)} for one in found.unknown]
    return {"sessions": sessions, "unknown": unknown}

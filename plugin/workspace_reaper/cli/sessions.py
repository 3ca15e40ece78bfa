"""The commands that look at sessions and protect them: ``status``, ``explain``, ``keep``, ``history`` and ``breaker``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workspace_reaper.cli import tables
from workspace_reaper.cli.bootstrap import Json, SessionName, SocketName, load_hosts, load_reaper, usage_error
from workspace_reaper.cli.history_table import show_history
from workspace_reaper.model.errors import LedgerError
from workspace_reaper.util.console import print_json, say

if TYPE_CHECKING:
    from workspace_reaper.operations.reaper import Reaper

_CLOSED = "closed: orphans are reaped once they are confirmed"


def status(
    context: typer.Context,
    *,
    as_json: Json = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="For monitoring: print one line. Exit codes: 0 no alarm; 1 an alarm; 3 status unknown."),
    ] = False,
) -> None:
    """Show the last full sweep, the breaker, and each alarm with what clears it."""
    from workspace_reaper.operations.several import check_code, status_as_dict
    from workspace_reaper.operations.status import read_status

    try:
        found = {one.name: read_status(one) for one in load_hosts(context)}
    except LedgerError as error:
        if as_json or not check:
            raise
        tables.show_failed_check(str(error))
        raise typer.Exit(3) from None
    if as_json:
        print_json(status_as_dict(found))
    elif check:
        tables.show_check(found, check_code(found))
    else:
        for name, one in found.items():
            tables.show_status(one, name)
    raise typer.Exit(check_code(found) if check else 0)


def explain(context: typer.Context, session: SessionName, *, socket: SocketName = None, as_json: Json = False) -> None:
    """Explain why a session is kept or reaped: all facts, each rule, and the decision."""
    from workspace_reaper.operations.several import explain_of_any

    explanation = explain_of_any(load_hosts(context), session, socket)
    if as_json:
        print_json(explanation.as_dict())
    else:
        tables.show_explanation(explanation)
    raise typer.Exit(explanation.exit_code)


def keep(context: typer.Context, session: SessionName, *, socket: SocketName = None) -> None:
    """Protect a session: it is not reaped, whatever happens to its workspace. Sets its option @reaper_keep."""
    _keep(context, session, socket, on=True)


def unkeep(context: typer.Context, session: SessionName, *, socket: SocketName = None) -> None:
    """Remove the protection that 'keep' has set: the rules apply to the session again."""
    _keep(context, session, socket, on=False)


def _keep(context: typer.Context, name: str, socket: str | None, *, on: bool) -> None:
    from workspace_reaper.operations.sessions import keep_session
    from workspace_reaper.operations.several import of_any

    found = of_any(load_hosts(context), lambda host: keep_session(host, name, socket, on=on))
    say(f"{found.name} ({found.key.session_id}) on {found.key.socket} is {'kept' if on else 'no longer kept'}")


def history(
    context: typer.Context,
    *,
    as_json: Json = False,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Maximum number of reaps.")] = 20,
) -> None:
    """List what was reaped and why, newest first."""
    from workspace_reaper.operations.restore import is_restorable
    from workspace_reaper.operations.several import histories
    from workspace_reaper.sweep.report import reap_as_json

    reaps = [(one.name, reap, is_restorable(reap, one.snapshots)) for one, reap in histories(load_hosts(context), limit)]
    if as_json:
        print_json([reap_as_json(reap, restorable=restorable, host=host) for host, reap, restorable in reaps])
    else:
        show_history(reaps)


def breaker(
    context: typer.Context,
    action: Annotated[
        str | None,
        typer.Argument(
            metavar="[reset]",
            help="Reset the breaker: the next sweep can reap the sessions that tripped it. Check the database first.",
        ),
    ] = None,
    *,
    as_json: Json = False,
) -> None:
    """Show or reset the breaker. It holds sessions without a workspace when many workspaces disappear at once."""
    from workspace_reaper.operations.status import read_breaker
    from workspace_reaper.policy.breaker import as_json as state_as_json

    if action not in (None, "reset"):
        usage_error(f"unknown action {action!r} of 'breaker': the only one is 'reset'")
    if action:
        _reset(load_reaper(context), as_json=as_json)
        return
    states = {one.name: state_as_json(read_breaker(one)) for one in load_hosts(context)}
    if as_json:
        one_host = states.get(None)
        print_json(one_host if one_host is not None else [{"host": name, **state} for name, state in states.items()])
        return
    for name, state in states.items():
        host = "" if name is None else f"{name}: "
        if state["state"] != "latched":
            say(f"{host}{_CLOSED}")
        else:
            say(f"{host}latched since {state['since']}: {state['cause']}")
            say(f"{host}it is released when {state['clears_when']}")


def _reset(reaper: Reaper, *, as_json: bool) -> None:
    from workspace_reaper.operations.breaker_reset import released, reset_breaker
    from workspace_reaper.operations.status import read_breaker
    from workspace_reaper.policy.breaker import as_json as state_as_json

    before = reset_breaker(reaper)
    let_go = released(reaper, before)
    if as_json:
        print_json({**state_as_json(read_breaker(reaper)), "released": let_go.orphans})
    elif not before.latched:
        say(_CLOSED)
    else:
        tables.show_released(let_go)

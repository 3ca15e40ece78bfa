"""The commands. Each loads what it needs only when it runs, so that ``--help`` is quick."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from workspace_reaper.cli import adopt as adopting
from workspace_reaper.cli import doctor as checking
from workspace_reaper.cli import init
from workspace_reaper.cli import restore as reaped
from workspace_reaper.cli import run as hosting
from workspace_reaper.model.errors import (
    AmbiguousSession,
    ConfigurationError,
    LedgerError,
    NoSuchReap,
    NoSuchSession,
    ReaperError,
    SweepLocked,
    UnreadableSocket,
)

__all__ = ["app", "main"]

app = typer.Typer(
    name="workspace-reaper",
    help="Reaps the tmux sessions that deleted, archived and forgotten workspaces leave behind, and nothing else.\n\n"
    "Start with 'demo', then 'init', 'doctor', and 'sweep --dry-run'.",
    epilog="Exit codes: 0 done; 1 something failed; 2 usage or configuration; 3 could not see everything, or the breaker "
    "holds, so held back. Switch it off with WORKSPACE_REAPER_ENABLED=0.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON value, for programs.")]
_Socket = Annotated[
    str | None,
    typer.Option("--socket", metavar="SOCKET", help="The tmux socket, by name or path, where several have that session."),
]
_Session = Annotated[str, typer.Argument(metavar="SESSION", help="The whole name of a session, or its id such as $3.")]


class _Chosen:
    """What the options before the command say."""

    config: Path | None = None


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"workspace-reaper {version('workspace-reaper')}")
        raise typer.Exit


@app.callback()
def _options(
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="The configuration file (default: the user's own, if there is one)."),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    _Chosen.config = config


@app.command()
def demo() -> None:
    """Show all of it in a sandbox: a private tmux server, a database, a host, ten sessions. Leaves nothing behind."""
    from workspace_reaper.demo import run_demo

    raise typer.Exit(run_demo(final=True))


@app.command()
def sweep(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide everything, do and write nothing.")] = False,
    as_json: _Json = False,
    approve: Annotated[
        bool, typer.Option("--approve", help="Show what only the breaker holds back, ask, and let exactly these sessions go.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --approve: do not ask.")] = False,
) -> None:
    """Sweep once, now: look at every managed session, and reap what should go."""
    from workspace_reaper.cli.bootstrap import load_plugin
    from workspace_reaper.cli.tables import show_sweep
    from workspace_reaper.operations.wiring import how_to_configure
    from workspace_reaper.util.console import print_json, progress

    if yes and not approve:
        _stop("--yes answers the question of --approve, and is nothing without it", 2)
    if approve and dry_run:
        _stop("--approve lets sessions go, --dry-run does nothing: choose one", 2)
    if approve and as_json and not yes:
        _stop("--approve asks, which --json can't: add --yes, after you have seen 'sweep --dry-run --json'", 2)
    plugin = load_plugin(_Chosen.config)
    shown = None
    if approve:
        from workspace_reaper.cli.prompts import ask_to_let_go

        approved, shown = ask_to_let_go(plugin, yes=yes, quiet=as_json)
    with progress("sweeping"):
        report = plugin.sweep(dry_run=dry_run, approve=approved if approve else None, shown=shown)
    if report.refused:
        _complain(report.refused)
    if as_json:
        print_json(report.as_dict())
    else:
        show_sweep(report)
    if report.abstained == "not configured":
        _stop(how_to_configure(_Chosen.config), 2)
    raise typer.Exit(report.exit_code)


@app.command()
def status(
    *,
    as_json: _Json = False,
    check: Annotated[
        bool, typer.Option("--check", help="For monitoring: one line, and exit 0 fine, 1 an alarm, 3 nothing can be seen.")
    ] = False,
) -> None:
    """How the reaper is: the last full sweep, the breaker, and every alarm with what clears it."""
    from workspace_reaper.cli.bootstrap import load_reaper
    from workspace_reaper.cli.tables import show_check, show_no_check, show_status
    from workspace_reaper.operations.status import read_status
    from workspace_reaper.util.console import print_json

    try:
        found = read_status(load_reaper(_Chosen.config))
    except LedgerError as error:
        if as_json or not check:
            raise
        show_no_check(str(error))
        raise typer.Exit(3) from None
    if as_json:
        print_json(found.as_dict())
    elif check:
        show_check(found)
    else:
        show_status(found)
    raise typer.Exit(found.check_code if check else 0)


@app.command()
def explain(session: _Session, *, socket: _Socket = None, as_json: _Json = False) -> None:
    """Why a session lives or goes: every fact, each rule, and the one that decided."""
    from workspace_reaper.cli.bootstrap import load_reaper
    from workspace_reaper.cli.tables import show_explanation
    from workspace_reaper.operations.sessions import explain_session
    from workspace_reaper.util.console import print_json

    explanation = explain_session(load_reaper(_Chosen.config), session, socket)
    if as_json:
        print_json(explanation.as_dict())
    else:
        show_explanation(explanation)
    raise typer.Exit(explanation.exit_code)


@app.command()
def keep(session: _Session, *, socket: _Socket = None) -> None:
    """Keep a session alive, whatever becomes of its workspace (sets @reaper_keep on it)."""
    _keep(session, socket, on=True)


@app.command()
def unkeep(session: _Session, *, socket: _Socket = None) -> None:
    """Keep it no longer: the rules decide again."""
    _keep(session, socket, on=False)


def _keep(name: str, socket: str | None, *, on: bool) -> None:
    from workspace_reaper.cli.bootstrap import load_reaper
    from workspace_reaper.operations.sessions import keep_session
    from workspace_reaper.sweep.report import printable
    from workspace_reaper.util.console import say

    found = keep_session(load_reaper(_Chosen.config), name, socket, on=on)
    say(f"{printable(found.name)} ({found.key.session_id}) on {found.key.socket} is {'kept' if on else 'kept no longer'}")


@app.command()
def history(
    *,
    as_json: _Json = False,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="At most so many, the newest.")] = 20,
) -> None:
    """What was reaped, and why; newest first."""
    from workspace_reaper.cli.bootstrap import load_reaper
    from workspace_reaper.cli.tables import show_history
    from workspace_reaper.operations.restore import is_restorable
    from workspace_reaper.operations.status import read_history
    from workspace_reaper.sweep.report import reap_as_json
    from workspace_reaper.util.console import print_json

    reaper = load_reaper(_Chosen.config)
    reaps = [(reap, is_restorable(reap, reaper.snapshots)) for reap in read_history(reaper, limit)]
    if as_json:
        print_json([reap_as_json(reap, restorable=restorable) for reap, restorable in reaps])
    else:
        show_history(reaps)


reaped.add_to(app)
hosting.add_to(app)
init.add_to(app)
adopting.add_to(app)


@app.command()
def breaker(
    action: Annotated[str | None, typer.Argument(metavar="[reset]", help="Free it, and let go what tripped it.")] = None,
    *,
    as_json: _Json = False,
) -> None:
    """The breaker stops the reaping of orphans when too many workspaces vanish at once: its state, why, and what frees it."""
    from workspace_reaper.cli.bootstrap import load_reaper
    from workspace_reaper.operations.status import read_breaker, reset_breaker
    from workspace_reaper.policy.breaker import as_json as state_as_json
    from workspace_reaper.util.console import print_json, say

    if action not in (None, "reset"):
        _stop(f"{action!r} is no action of 'breaker': leave it out, or write 'reset'", 2)
    reaper = load_reaper(_Chosen.config)
    before = reset_breaker(reaper) if action else read_breaker(reaper)
    if as_json:
        print_json(state_as_json(read_breaker(reaper)))
    elif not before.latched:
        say("closed: orphans are reaped as they are confirmed")
    elif action:
        say(f"freed; {len(before.tripped)} sessions that tripped it may go now")
    else:
        told = state_as_json(before)
        say(f"latched since {told['since']}: {told['cause']}")
        say(f"it is freed when {told['clears_when']}")


checking.add_to(app)


def _stop(text: str, code: int) -> NoReturn:
    _complain(text)
    raise typer.Exit(code)


def _complain(text: str) -> None:
    from workspace_reaper.sweep.report import printable

    sys.stderr.write(f"workspace-reaper: {printable(text)}\n")


_CODES: tuple[tuple[type[ReaperError], int], ...] = (
    (ConfigurationError, 2),
    (NoSuchReap, 2),
    (NoSuchSession, 2),
    (AmbiguousSession, 2),
    (UnreadableSocket, 3),
    (LedgerError, 3),
    (SweepLocked, 3),
)


def main() -> None:
    """The entry point of the command ``workspace-reaper``."""
    # What the plugin logs is in the report, which is printed; a program that loads the plugin has a log of its own.
    logging.getLogger("workspace_reaper").addHandler(logging.NullHandler())
    try:
        app()
    except ReaperError as error:
        _complain(str(error))
        sys.exit(next((code for kind, code in _CODES if isinstance(error, kind)), 1))
    finally:
        # Not left to the interpreter's exit: a plugin that needs a thread to end could not have one by then.
        loading = sys.modules.get("workspace_reaper.cli.bootstrap")
        if loading is not None:
            loading.close_plugins()

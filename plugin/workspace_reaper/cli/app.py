"""The command line as a whole. A command loads what it needs when it runs, so that ``--help`` is fast."""

from __future__ import annotations

import errno
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from workspace_reaper.cli.adopt import adopt
from workspace_reaper.cli.bootstrap import close_plugins
from workspace_reaper.cli.doctor import doctor
from workspace_reaper.cli.init import init
from workspace_reaper.cli.restore import restore, show, undo
from workspace_reaper.cli.run import demo, run, service
from workspace_reaper.cli.sessions import breaker, explain, history, keep, status, unkeep
from workspace_reaper.cli.sweep import sweep
from workspace_reaper.model import errors
from workspace_reaper.util.console import OutputLost, complain, lost_output, open_standard_streams, say_whole

app = typer.Typer(
    name="workspace-reaper",
    help="Ends the tmux sessions that deleted, archived and idle workspaces leave behind, and nothing else.\n\n"
    "To reap a session means to end it and its processes. A reaped session can be inspected and restored.\n\n"
    "Start with 'demo', then 'init', 'doctor', and 'sweep --dry-run'.",
    epilog="Exit codes: 0 done; 1 something failed; 2 wrong usage or configuration; 3 something could not be read, or the "
    "breaker has tripped (see 'breaker --help'), so sessions were held back. WORKSPACE_REAPER_ENABLED=0 in its environment "
    "switches the reaper off.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# All commands, in the order of --help.
_COMMANDS = (
    *(demo, init, doctor, sweep, status, explain, keep, unkeep),
    *(history, show, restore, undo, breaker, adopt, run, service),
)

# Exit codes of errors; 1 for every other one.
_CODES: Mapping[int, tuple[type[errors.ReaperError], ...]] = {
    2: (errors.ConfigurationError, errors.NoSuchReap, errors.NoSuchSession, errors.AmbiguousSession),
    3: (errors.UnreadableSocket, errors.LedgerError, errors.SweepLocked),
}


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        say_whole(f"workspace-reaper {version('workspace-reaper')}")
        raise typer.Exit


@app.callback()
def _options(
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Configuration file (default: the one of this user, if it exists)."),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option("--host", metavar="NAME", help="Only this host, where the configuration has several (default: all)."),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Accept the options that are given before the command."""


for command in _COMMANDS:
    app.command()(command)


def main() -> None:
    """Run the command ``workspace-reaper``."""
    open_standard_streams()
    # The report that a command prints has all that the plugin logs.
    logging.getLogger("workspace_reaper").addHandler(logging.NullHandler())
    try:
        app()
    except errors.ReaperError as refused:
        complain(str(refused))
        sys.exit(next((code for code, kinds in _CODES.items() if isinstance(refused, kinds)), 1))
    except (OSError, SystemExit) as ended:
        error = lost_output() or (ended if isinstance(ended, OutputLost) else None)
        if error is None:
            raise
        if error.errno != errno.EPIPE:  # who reads from a pipe may have enough, as head does
            complain(f"the output cannot be written: {error.strerror}")
        sys.exit(1)
    finally:
        # Not at the interpreter's exit: a plugin that needs a thread to finish cannot start one by then.
        close_plugins()

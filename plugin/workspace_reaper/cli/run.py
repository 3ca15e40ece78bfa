"""The reaper as a host of its own: the commands ``run`` and ``service``."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from workspace_reaper.cli.bootstrap import chosen_config

if TYPE_CHECKING:
    from workspace_hookspecs import WorkspacePlugins
    from workspace_reaper.plugin import ReaperPlugin

__all__ = ["add_to"]

_COMMAND = "workspace-reaper"


class _Manager(str, Enum):
    SYSTEMD = "systemd"
    LAUNCHD = "launchd"


def add_to(app: typer.Typer) -> None:
    """Give the command line these commands."""
    for command in (run, service):
        app.command()(command)


def run(context: typer.Context) -> None:
    """Serve as a daemon, in the foreground: for a server that can't load Python plugins.

    It watches the server's database, reaps within a second of a deletion or
    an archiving, and sweeps every 'tick'. All plugins of this installation
    are loaded, and asked before a kill.

    It logs to standard error, one line for each event (see 'log_format').
    TERM or INT stops it within 5 s, exit code 0. HUP reloads the
    configuration; a bad one is refused, and the old one stays. There is one
    for each 'state_dir'; all other commands work beside it.

    'service' prints what makes it start at each login, and tells how it can
    start with the machine.
    """
    from workspace_reaper.cli.bootstrap import find_reaper
    from workspace_reaper.daemon.daemon import run_daemon

    config = chosen_config(context)

    def find(plugins: WorkspacePlugins) -> ReaperPlugin:
        return find_reaper(plugins, config)

    run_daemon(config, find)


def service(
    context: typer.Context,
    manager: Annotated[_Manager, typer.Argument(metavar="systemd|launchd", help="Who is to start it.", show_default=False)],
) -> None:
    """Print what makes 'run' a service of this user: a systemd unit, or a launchd property list.

    Nothing is written or started: the comments in it say where to put it,
    how to start it, and how to take it out again. It names this
    installation, the --config given here, and what is set in this shell of
    the variables that the reaper reads; never a password.
    """
    from workspace_reaper.setup.service import Program, launchd, systemd

    config = chosen_config(context)
    tmux = shutil.which("tmux")
    program = Program(
        command=_own_command(),
        config=None if config is None else config.absolute(),
        tmux_directory=None if tmux is None else str(Path(tmux).absolute().parent),
        environ=os.environ,
    )
    text = systemd.unit(program) if manager is _Manager.SYSTEMD else launchd.property_list(program, Path.home())
    sys.stdout.buffer.write(text.encode("utf-8"))


def _own_command() -> str:
    """The absolute path of the command that runs now, else of this installation's."""
    from workspace_reaper.model.errors import ConfigurationError

    called = Path(sys.argv[0]).absolute()
    if called.name == _COMMAND and called.is_file():
        return str(called)
    for scheme in (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")):
        installed = Path(sysconfig.get_path("scripts", scheme)) / _COMMAND
        if installed.is_file():
            return str(installed)
    raise ConfigurationError(f"the command {_COMMAND} is not where Python puts commands: call it by its absolute path")

"""The commands that run the reaper without a host of the user's: ``demo``, ``run`` and ``service``."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from workspace_reaper.cli.bootstrap import chosen_config, find_reaper

_COMMAND = "workspace-reaper"


class _Manager(str, Enum):
    SYSTEMD = "systemd"
    LAUNCHD = "launchd"


def demo() -> None:
    """Show the reaper in a sandbox: a private tmux server, a database, a host, and 18 sessions. Leaves nothing behind."""
    from workspace_reaper.demo import run_demo

    raise typer.Exit(run_demo(final=True))


def run(context: typer.Context) -> None:
    """Run as a daemon in the foreground, for servers that cannot load Python plugins.

    The daemon watches the server's database, reaps within a second after a
    workspace is deleted or archived, and sweeps every 'tick'. All plugins of
    this installation are loaded, and asked before each kill.

    It logs to standard error, one line for each event (see 'log_format').
    TERM or INT stops it within 5 s with exit code 0. HUP reloads the
    configuration; if the new one is invalid, the old one stays in force. Only
    one daemon can run for each 'state_dir'; all other commands can be used
    while it runs.

    'service' prints a service definition that starts it at each login, and
    explains how to start it at boot.
    """
    from workspace_reaper.daemon.daemon import run_daemon

    config = chosen_config(context)
    run_daemon(config, lambda plugins: find_reaper(plugins, config))


def service(
    context: typer.Context,
    manager: Annotated[
        _Manager, typer.Argument(metavar="systemd|launchd", help="The service manager that starts it.", show_default=False)
    ],
) -> None:
    """Print a systemd unit or a launchd property list that starts the daemon as a service of this user.

    Nothing is written or started: the comments in the output say how to
    install, start and uninstall the service. The output contains the path of
    this installation, the --config given here, and the variables of this
    shell that the reaper reads. It never contains a password.
    """
    from workspace_reaper.setup.service import Program, property_list, unit

    config = chosen_config(context)
    tmux = shutil.which("tmux")
    program = Program(
        command=_own_command(),
        config=None if config is None else config.absolute(),
        tmux_directory=None if tmux is None else str(Path(tmux).absolute().parent),
        environ=os.environ,
    )
    text = unit(program) if manager is _Manager.SYSTEMD else property_list(program, Path.home())
    sys.stdout.buffer.write(text.encode("utf-8"))


def _own_command() -> str:
    """Return the absolute path of the running command, or else of the command of this installation."""
    from workspace_reaper.model.errors import ConfigurationError

    called = Path(sys.argv[0]).absolute()
    if called.name == _COMMAND and called.is_file():
        return str(called)
    for scheme in (sysconfig.get_default_scheme(), sysconfig.get_preferred_scheme("user")):
        installed = Path(sysconfig.get_path("scripts", scheme)) / _COMMAND
        if installed.is_file():
            return str(installed)
    raise ConfigurationError(f"the command {_COMMAND} is not in Python's directory for scripts: call it by its absolute path")

"""Access to the reaper as a host has it: through the entry point, with all other plugins, because they may veto."""

from __future__ import annotations

import atexit
import logging
import os
from pathlib import Path
from traceback import format_exception_only
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from workspace_hookspecs import WorkspacePlugins
from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.plugin import ReaperPlugin
from workspace_reaper.util.console import complain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workspace_reaper.operations.reaper import Reaper
    from workspace_reaper.operations.reapers import Reapers

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value, for programs.")]
SessionName = Annotated[str, typer.Argument(metavar="SESSION", help="The full name of a session, or its tmux id such as $3.")]
SocketName = Annotated[
    str | None,
    typer.Option("--socket", metavar="SOCKET", help="Name or path of the tmux socket, if several have such a session."),
]

# Seconds that the plugins have at the end to process their events.
_GRACE = 2.0

_loaded: list[WorkspacePlugins] = []


def chosen_config(context: typer.Context) -> Path | None:
    """Return the file that ``--config`` names."""
    # Older versions of Typer keep the text here, and pass the path to the callback only.
    config: str | Path | None = context.find_root().params["config"]
    return None if config is None else Path(config)


def load_reaper(context: typer.Context) -> Reaper:
    """Return the reaper of the only host, or of the one that ``--host`` names. Raises ``ConfigurationError``.

    Without a configuration it is the one whose state a host's plugin of this user has written, if there is one. Standard error
    names it.
    """
    return load_reapers(context).host(context.find_root().params["host"])


def load_hosts(context: typer.Context) -> Sequence[Reaper]:
    """Return the reapers of all hosts, or the one that ``--host`` names. See ``load_reaper``."""
    reapers, name = load_reapers(context), context.find_root().params["host"]
    return reapers.hosts if name is None else [reapers.host(name)]


def load_reapers(context: typer.Context) -> Reapers:
    """Return the reapers behind the plugin, one for each host. See ``load_reaper``."""
    plugin = load_plugin(chosen_config(context))
    reapers = plugin.reapers()
    if not reapers.settings.configured:
        from workspace_reaper.operations.recorded_registry import recorded_reaper

        recorded = recorded_reaper(reapers.settings)
        if recorded is not None:
            complain(f"no configuration names a registry, so this is about {recorded}")
            plugin.use(recorded.reaper)
            return plugin.reapers()
    return reapers


def load_plugin(config: Path | None) -> ReaperPlugin:
    """Load the plugin behind the entry point ``workspace_server: reaper`` and all others of that group.

    The others are asked for vetoes and notified, but never ticked. A plugin that cannot be loaded is reported on standard
    error. The plugins of an earlier call are closed. Raises ``ConfigurationError`` if this installation has no reaper.
    """
    close_plugins()
    logger = logging.getLogger("workspace_hookspecs")
    if not any(isinstance(handler, _StandardError) for handler in logger.handlers):
        logger.addHandler(_StandardError(logging.WARNING))
    plugins = WorkspacePlugins.load()
    _loaded.append(plugins)
    if failed := sorted(set(plugins.problems) - {"reaper"}):
        complain(f"warning: could not be loaded, so they cannot veto the reaping of a session: {', '.join(failed)}")
    return find_reaper(plugins, config)


def find_reaper(plugins: WorkspacePlugins, config: Path | None) -> ReaperPlugin:
    """Return the reaper among these plugins, configured by that file. Raises ``ConfigurationError`` if there is none."""
    where = "the entry point workspace_server: reaper"
    if plugins.manager.is_blocked("reaper"):
        raise ConfigurationError("WORKSPACE_PLUGINS_BLOCK blocks the plugin 'reaper': remove this name from the variable")
    if "reaper" in plugins.problems:
        raise ConfigurationError(f"{where} cannot be loaded: {plugins.problems['reaper']}")
    plugin = plugins.manager.get_plugin("reaper")
    if plugin is None:
        raise ConfigurationError(f"{where} is missing: install workspace-reaper with pip")
    if not isinstance(plugin, ReaperPlugin):
        from importlib.metadata import entry_points

        values = ", ".join(entry.value for entry in entry_points(group="workspace_server", name="reaper"))
        raise ConfigurationError(f"{where} refers to {values}, which is another program")
    if config is not None:
        # In the environment as well, so that processes started from here read the same file.
        os.environ["WORKSPACE_REAPER_CONFIG"] = str(config.absolute())
    plugin.configure(config)
    return plugin


@atexit.register
def close_plugins() -> None:
    """Wait shortly until the plugins have processed their events, then close them."""
    while _loaded:
        plugins = _loaded.pop()
        plugins.drain(_GRACE)
        plugins.close(_GRACE)


def usage_error(text: str) -> NoReturn:
    """Print what is wrong, and end with exit code 2."""
    complain(text)
    raise typer.Exit(2)


class _StandardError(logging.Handler):
    """Prints one line for each error of a plugin: this program configures no logging."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message and the error, without a traceback."""
        message = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        # Not str(error), which may raise anything.
        text = "".join(format_exception_only(type(error), error)).strip() if error else ""
        is_known = (text.partition(": ")[2] or text) in message
        complain(f"warning: {message if is_known else f'{message} ({text})'}")

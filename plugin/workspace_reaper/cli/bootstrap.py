"""How the command line gets at the reaper: the way a host does, with all the other plugins, for they may veto."""

from __future__ import annotations

import atexit
import logging
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from traceback import format_exception_only
from typing import TYPE_CHECKING

import typer

from workspace_hookspecs import WorkspacePlugins
from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.plugin import ReaperPlugin

if TYPE_CHECKING:
    from workspace_reaper.operations.reaper import Reaper

__all__ = ["chosen_config", "close_plugins", "find_reaper", "load_plugin", "load_reaper"]

_LAST_WORDS = 2.0

"""Seconds that the plugins have at the end to work off what they were told."""

_loaded: list[WorkspacePlugins] = []


def load_plugin(config: Path | None) -> ReaperPlugin:
    """The plugin behind the entry point ``workspace_server: reaper``, joined with all others of that group: they are asked
    before a kill and told after it, but never ticked. Those of an earlier call are closed.

    One that can't be loaded can't veto, which is said on standard error. Raises ``ConfigurationError`` where this installation
    has no reaper.
    """
    close_plugins()
    plugins = _load()
    _loaded.append(plugins)
    return find_reaper(plugins, config)


def find_reaper(plugins: WorkspacePlugins, config: Path | None) -> ReaperPlugin:
    """The reaper among these plugins, told to read that file. Raises ``ConfigurationError`` where there is none."""
    plugin = _reaper_of(plugins)
    if config is not None:
        # The variable, too, so that whatever this process starts reads the same file.
        os.environ["WORKSPACE_REAPER_CONFIG"] = str(config.absolute())
    plugin.configure(config)
    return plugin


def load_reaper(config: Path | None) -> Reaper:
    """The reaper of that plugin."""
    return load_plugin(config).reaper()


@atexit.register
def close_plugins() -> None:
    """Wait shortly until the plugins have worked off what they were told, then close them. Harmless without any."""
    while _loaded:
        plugins = _loaded.pop()
        plugins.drain(_LAST_WORDS)
        plugins.close(_LAST_WORDS)


def _load() -> WorkspacePlugins:
    logger = logging.getLogger("workspace_hookspecs")
    if not any(isinstance(handler, _Lines) for handler in logger.handlers):
        logger.addHandler(_Lines(logging.WARNING))
    plugins = WorkspacePlugins.load()
    unable = sorted(set(plugins.problems) - {"reaper"})
    if unable:
        _say(f"could not be loaded, so nobody asks them before a session is reaped: {', '.join(unable)}")
    return plugins


def _reaper_of(plugins: WorkspacePlugins) -> ReaperPlugin:
    where = "the entry point workspace_server: reaper"
    if plugins.manager.is_blocked("reaper"):
        raise ConfigurationError("WORKSPACE_PLUGINS_BLOCK blocks the plugin 'reaper': take that name out of it")
    if "reaper" in plugins.problems:
        raise ConfigurationError(f"{where} can't be loaded: {plugins.problems['reaper']}")
    plugin = plugins.manager.get_plugin("reaper")
    if plugin is None:
        raise ConfigurationError(f"{where} is missing: install workspace-reaper with pip")
    if not isinstance(plugin, ReaperPlugin):
        values = ", ".join(entry.value for entry in entry_points(group="workspace_server", name="reaper"))
        raise ConfigurationError(f"{where} names {values}, which is another program")
    return plugin


class _Lines(logging.Handler):
    """What a plugin does wrong, as one line each on standard error: this program configures no logging."""

    def emit(self, record: logging.LogRecord) -> None:
        """Without a traceback, but with the error."""
        message = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        # Not str(error), which may raise whatever it likes.
        words = "".join(format_exception_only(type(error), error)).strip() if error else ""
        told = words.partition(": ")[2] or words
        _say(message if told in message else f"{message} ({words})")


def _say(text: str) -> None:
    from workspace_reaper.sweep.report import printable

    sys.stderr.write(f"workspace-reaper: warning: {printable(text)}\n")


def chosen_config(context: typer.Context) -> Path | None:
    """The file that ``--config`` names."""
    # Older versions of Typer keep the text here, and give the path to the callback only.
    config: str | Path | None = context.find_root().params["config"]
    return None if config is None else Path(config)

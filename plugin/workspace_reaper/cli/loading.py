"""How the command line gets at the reaper: the way a host does."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from workspace_reaper.errors import ConfigurationError
from workspace_reaper.hooks import ReaperPlugin

if TYPE_CHECKING:
    from workspace_reaper.wiring import Reaper

__all__ = ["load_plugin", "load_reaper"]


def load_plugin(config: Path | None) -> ReaperPlugin:
    """The plugin behind the entry point ``workspace_server: reaper``, alone: other plugins are not loaded, and not ticked.

    Raises ``ConfigurationError`` where this installation has none.
    """
    found = list(entry_points(group="workspace_server", name="reaper"))
    if not found:
        raise ConfigurationError("the entry point workspace_server: reaper is missing: install workspace-reaper with pip")
    plugin = found[0].load()
    if not isinstance(plugin, ReaperPlugin):
        raise ConfigurationError(f"the entry point workspace_server: reaper names {found[0].value}, which is another program")
    if config is not None:
        # The variable, too, so that whatever this process starts reads the same file.
        os.environ["WORKSPACE_REAPER_CONFIG"] = str(config.absolute())
    plugin.configure(config)
    return plugin


def load_reaper(config: Path | None) -> Reaper:
    """The reaper of that plugin."""
    return load_plugin(config).reaper()

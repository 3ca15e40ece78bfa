"""The reaper inside a server that does not use ``workspace_hookspecs`` and configures nothing."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING

from workspace_hookspecs import WorkspacePlugins
from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.plugin import ReaperPlugin
from workspace_reaper.util.log import log_event

if TYPE_CHECKING:
    from workspace_reaper.settings import Settings

_NAME = "reaper"

# Seconds in which queued events are worked off when the server stops. The next tick finds the rest.
_LAST_LOOKS = 3.0

# Seconds in which all plugins are closed.
_CLOSING = 5.0


class EmbeddedReaper:
    """Ticks from its creation until ``stop``, and asks the other plugins of the group ``workspace_server`` before a kill.

    It uses the user's configuration if that names a registry or a database, and otherwise ``registry`` with its own database
    and sockets. If the configuration cannot be used, one error is logged and nothing is reaped.

    Creating and stopping take time: call them outside of an event loop. All other methods return at once, raise nothing, and
    may be called from any thread.
    """

    def __init__(self, registry: str) -> None:
        self._plugins: WorkspacePlugins | None = None
        self._clock = ExitStack()
        self._is_own_registry = False
        reaper = ReaperPlugin()
        try:
            settings = _configure(reaper, registry)
        except ConfigurationError as error:
            text = "the configuration cannot be used, so nothing is reaped until it is fixed and the server is restarted"
            log_event(logging.ERROR, f"{text}: {error}")
            return
        self._is_own_registry = settings.registry == registry
        self._plugins = _load_plugins(reaper)
        self._clock.enter_context(self._plugins.ticking(settings.tick))

    def deleted(self, workspace_id: str) -> None:
        """Report that the server has deleted this workspace, and committed that. Ignored if another registry is configured."""
        if self._plugins is not None and self._is_own_registry:
            self._plugins.workspace_deleted(workspace_id)

    def look(self) -> None:
        """Start a full sweep. Calls that come meanwhile coalesce."""
        if self._plugins is not None:
            self._plugins.tick()

    def drain(self, timeout: float) -> bool:
        """Wait until all events so far are worked off. Returns False after ``timeout`` seconds."""
        return self._plugins is None or self._plugins.drain(timeout)

    def stop(self) -> None:
        """End the ticks, work off the queued events, and close the plugins, in about eight seconds at most."""
        if self._plugins is not None:
            self._clock.close()
            self._plugins.drain(_LAST_LOOKS)
            self._plugins.close(_CLOSING)


def _configure(reaper: ReaperPlugin, registry: str) -> Settings:
    """Give the reaper its configuration, and return the settings. Raises ``ConfigurationError``."""
    # Late imports: a server may import this module and never start the reaper.
    from workspace_reaper.operations.reaper import Reaper
    from workspace_reaper.settings import load_settings

    settings = load_settings()
    if not settings.configured:
        settings = settings.model_copy(update={"registry": registry})
    elif settings.registry != registry:
        names = f"the configuration names the registry {settings.registry}, not {registry}"
        log_event(logging.WARNING, f"{names}, so the sessions of this server are not looked at")
    reaper.use(Reaper(settings))
    return settings


def _load_plugins(reaper: ReaperPlugin) -> WorkspacePlugins:
    """Return the plugins of this machine, with this reaper."""
    plugins = WorkspacePlugins.load()
    # The reaper of the entry point lives as long as the process. An application in the process may be closed and start again.
    if plugins.manager.has_plugin(_NAME):
        plugins.manager.unregister(name=_NAME)
    plugins.register(reaper, _NAME)
    return plugins

"""The reaper inside a server that knows nothing of ``workspace_hookspecs`` and configures nothing."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from typing import TYPE_CHECKING

from workspace_hookspecs import WorkspacePlugins
from workspace_reaper.model.errors import ConfigurationError
from workspace_reaper.plugin import ReaperPlugin

if TYPE_CHECKING:
    from workspace_reaper.settings import Settings

__all__ = ["Embedded"]

_log = logging.getLogger("workspace_reaper")

_NAME = "reaper"
_LAST_LOOKS = 3.0
"""Seconds for what was asked for to be worked off when the server stops. What is left is found by the next tick."""

_CLOSING = 5.0
"""Seconds for all plugins to close."""


class Embedded:
    """Ticks from its making until ``stop``, and asks the other plugins of the group ``workspace_server`` before a kill.

    It has the user's own configuration where that says which workspaces to look at, and else that of ``registry``, with its
    own database and sockets. Where the configuration can't be used, that is an error in the log, and nothing is reaped.

    Making and stopping it takes its time: neither is for an event loop. All other methods return at once, raise nothing,
    and may be called from any thread.
    """

    def __init__(self, registry: str) -> None:
        self._plugins: WorkspacePlugins | None = None
        self._clock = ExitStack()
        self._is_asked = False
        reaper = ReaperPlugin()
        try:
            settings = _configure(reaper, registry)
        except ConfigurationError as error:
            text = "the configuration can't be used, so nothing is reaped until it is mended and the server restarted: %s"
            _log.error(text, error)
            return
        self._is_asked = settings.registry == registry
        self._plugins = _loaded(reaper)
        self._clock.enter_context(self._plugins.ticking(settings.tick))

    def deleted(self, workspace_id: str) -> None:
        """The server has deleted this workspace, and committed that. It says nothing of those of another registry."""
        if self._plugins is not None and self._is_asked:
            self._plugins.workspace_deleted(workspace_id)

    def look(self) -> None:
        """Something is new: sweep now, once for all who ask meanwhile."""
        if self._plugins is not None:
            self._plugins.tick()

    def drain(self, timeout: float) -> bool:
        """Wait until all that was asked for is worked off; False after so many seconds."""
        return self._plugins is None or self._plugins.drain(timeout)

    def stop(self) -> None:
        """End the ticks, work off what was asked for, and close the plugins: in eight seconds, or nearly that."""
        if self._plugins is not None:
            self._clock.close()
            self._plugins.drain(_LAST_LOOKS)
            self._plugins.close(_CLOSING)


def _configure(reaper: ReaperPlugin, registry: str) -> Settings:
    """Give it its configuration, and return that. Raises ``ConfigurationError``."""
    from workspace_reaper.operations.wiring import Reaper
    from workspace_reaper.settings import load_settings

    settings = load_settings()
    if not settings.configured:
        settings = settings.model_copy(update={"registry": registry})
    elif settings.registry != registry:
        text = "the configuration names the registry %s, and not %s, so the sessions of this server are not looked at"
        _log.warning(text, settings.registry, registry)
    reaper.use(Reaper(settings))
    return settings


def _loaded(reaper: ReaperPlugin) -> WorkspacePlugins:
    """The plugins of this machine, with this reaper."""
    plugins = WorkspacePlugins.load()
    # The one of the entry point lives as long as the process, and can't be closed and begin anew as an application in it can.
    if plugins.manager.has_plugin(_NAME):
        plugins.manager.unregister(name=_NAME)
    plugins.register(reaper, _NAME)
    return plugins

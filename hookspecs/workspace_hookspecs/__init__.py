"""The contract between a workspace server and the plugins that listen to it.

A server (the host) fires three hooks through :class:`WorkspacePlugins`; a plugin that ends sessions, the reaper, three others.
A plugin implements any of them, marked with :data:`hookimpl`, and registers under the entry-point group ``workspace_server``.
The module itself is a namespace of hook specifications for bare pluggy:
``pm = pluggy.PluginManager("workspace_server"); pm.add_hookspecs(workspace_hookspecs)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workspace_hookspecs._markers import hookimpl, hookspec
from workspace_hookspecs._specs import (
    on_reaper_alarm,
    on_session_reaped,
    on_tick,
    on_workspace_archived,
    on_workspace_deleted,
    reaper_veto,
)

if TYPE_CHECKING:
    from workspace_hookspecs._plugins import WorkspacePlugins
    from workspace_hookspecs._values import Candidate, Reaped, ReaperAlarm, Veto

__all__ = [
    "Candidate",
    "Reaped",
    "ReaperAlarm",
    "Veto",
    "WorkspacePlugins",
    "hookimpl",
    "hookspec",
    "on_reaper_alarm",
    "on_session_reaped",
    "on_tick",
    "on_workspace_archived",
    "on_workspace_deleted",
    "reaper_veto",
]


def __getattr__(name: str) -> object:
    # Late: a plugin that takes the marker from here should cost its host nothing to import.
    if name == "WorkspacePlugins":
        from workspace_hookspecs._plugins import WorkspacePlugins

        return WorkspacePlugins
    if name in {"Candidate", "Reaped", "ReaperAlarm", "Veto"}:
        from workspace_hookspecs import _values

        return getattr(_values, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

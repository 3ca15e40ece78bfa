"""The contract between a workspace server and its plugins.

A server (the host) fires three hooks through :class:`WorkspacePlugins`. A plugin that ends tmux sessions (a reaper) fires three
more. A plugin implements any of them, marked with :data:`hookimpl`, and registers under the entry-point group
``workspace_server``. This module is also the namespace of hook specifications for bare pluggy:
``pm = pluggy.PluginManager("workspace_server"); pm.add_hookspecs(workspace_hookspecs)``.

(PYTEST_DONT_REWRITE: it has no assertions, and pytest may find it imported already.)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from workspace_hookspecs._specs import (
    hookimpl,
    hookspec,
    on_reaper_alarm,
    on_session_reaped,
    on_tick,
    on_workspace_archived,
    on_workspace_deleted,
    reaper_veto,
)

if TYPE_CHECKING:
    from workspace_hookspecs._manager import WorkspacePlugins
    from workspace_hookspecs._types import Candidate, Reaped, ReaperAlarm, Veto

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

# Imported at first use, so that a plugin that needs only the marker adds next to nothing to its host's start.
_LATE: Final = {"WorkspacePlugins": "_manager", **dict.fromkeys(["Candidate", "Reaped", "ReaperAlarm", "Veto"], "_types")}


def __getattr__(name: str) -> object:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)

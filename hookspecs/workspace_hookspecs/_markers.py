"""The project's name for pluggy, the entry-point group of the same name, and the two markers."""

from __future__ import annotations

from typing import Final

from pluggy import HookimplMarker, HookspecMarker

PROJECT: Final = "workspace_server"

hookspec: Final = HookspecMarker(PROJECT)
"""Marks a hook specification of the project ``workspace_server``. Hosts and plugins have no need of it."""

hookimpl: Final = HookimplMarker(PROJECT)
"""Marks a function or method of a plugin as the implementation of the hook whose name it has."""

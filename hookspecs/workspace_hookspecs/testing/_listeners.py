"""The plugins that the kit installs for a host. They tell the test's process what they hear, from whatever process the host
runs in, and do what it answers."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final

from workspace_hookspecs._markers import hookimpl

if TYPE_CHECKING:
    from workspace_hookspecs._plugins import WorkspacePlugins

__all__ = ["ADDRESS", "ARCHIVED", "DELETED", "RAISE", "TICK", "ListenerError", "neighbour", "recorder"]

ADDRESS: Final = "WORKSPACE_CONFORMANCE"
"""The environment variable that tells where the test listens: a port of this machine."""

RAISE: Final = "raise"
DELETED: Final = "on_workspace_deleted"
ARCHIVED: Final = "on_workspace_archived"
TICK: Final = "on_tick"
_FIRED: Final = {"workspace_deleted": DELETED, "workspace_archived": ARCHIVED}


class ListenerError(Exception):
    """What the kit's neighbour raises when it is told to. It must never reach the host."""


class Listener:
    """A plugin of all three hooks of a host."""

    def __init__(self, name: str) -> None:
        self._name = name

    @hookimpl
    def on_workspace_deleted(self, workspace_id: str) -> None:
        """Tell it."""
        self._hear(DELETED, workspace_id)

    @hookimpl
    def on_workspace_archived(self, workspace_id: str) -> None:
        """Tell it."""
        self._hear(ARCHIVED, workspace_id)

    @hookimpl
    def on_tick(self, now: datetime) -> None:
        """Tell it."""
        self._hear(TICK, now)

    def drain(self, timeout: float) -> bool:  # noqa: ARG002  part of what a plugin may offer
        """Tell that the host drains."""
        self._tell("drain")
        return True

    def close(self) -> None:
        """Tell that the host closes."""
        self._tell("close")

    def _hear(self, hook: str, value: object) -> None:
        if self._tell("heard", hook, value) == RAISE:
            raise ListenerError(f"the kit's plugin {self._name!r} raises in {hook}, to see whether that hurts the host")

    def _tell(self, what: str, hook: str = "", value: object = None) -> str:
        """Tell the test's process, and wait for its answer; empty where it listens no more."""
        said = {
            "plugin": self._name,
            "what": what,
            "hook": hook,
            "process": os.getpid(),
            "text": value if isinstance(value, str) else None,
            "type": type(value).__name__,
            "shown": repr(value),
        }
        address = ("127.0.0.1", int(os.environ.get(ADDRESS, "0")))
        # OSError: the check is over, and this host was not closed by its end.
        with suppress(OSError), socket.create_connection(address) as connection, connection.makefile("rwb") as stream:
            stream.write(json.dumps(said).encode() + b"\n")
            stream.flush()
            return stream.readline().decode().strip()
        return ""


class Recorder(Listener):
    """A listener that also tells the very moment of firing, on the thread that fires: what another connection sees *then* tells
    whether the host had committed. What a plugin sees on its own thread, later, does not."""

    def join(self, plugins: WorkspacePlugins) -> None:
        """Note each call of the host from now on."""
        self._tell("loaded")
        for name, hook in _FIRED.items():
            setattr(plugins, name, self._noting(hook, getattr(plugins, name)))

    def _noting(self, hook: str, fire: Callable[[str], None]) -> Callable[[str], None]:
        def noted(workspace_id: str) -> None:
            self._tell("fired", hook, workspace_id)
            fire(workspace_id)

        return noted


recorder = Recorder("recorder")
neighbour = Listener("neighbour")

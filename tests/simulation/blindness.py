"""What the reaper cannot read at a moment, by the truth."""

from __future__ import annotations

from tests.simulation.oracle.truth_reports import REGISTRY
from tests.simulation.world import SOCKET, World

__all__ = ["is_missed", "unreadable"]


def unreadable(world: World) -> frozenset[str]:
    """Return the socket and the registry, as far as they cannot be read now."""
    is_silent = world.tmux.fault is not None or is_missed(world)
    return frozenset([SOCKET] * is_silent + [REGISTRY] * (world.host.fault is not None))


def is_missed(world: World) -> bool:
    """Return whether the socket was removed under a living server. Only a reaper that knows the server can miss it."""
    server = world.tmux.server
    if not world.tmux.is_unlinked or server is None:
        return False
    known = world.file.open("standard", "memory").load_state((), world.clock.now()).servers.get(SOCKET)
    return known is not None and known.pid == server.pid

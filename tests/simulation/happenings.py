"""What can happen in the simulated world: each event of a plan, by its name."""

from __future__ import annotations

from tests.simulation.host_events import HOST_EVENTS
from tests.simulation.machine_events import MACHINE_EVENTS
from tests.simulation.plan import Event
from tests.simulation.user_events import USER_EVENTS
from tests.simulation.world import World

__all__ = ["happen"]


def happen(world: World, event: Event) -> None:
    """Let an event happen, unless it cannot happen now, or is none of the world."""
    if (on_machine := MACHINE_EVENTS.get(event.what)) is not None:
        on_machine(world, event.amount)
    elif (by_host := HOST_EVENTS.get(event.what)) is not None:
        by_host(world, world.workspaces[event.who % len(world.workspaces)])
    elif (by_user := USER_EVENTS.get(event.what)) is not None and (life := world.life_of(event.who)) is not None:
        by_user(world, life)

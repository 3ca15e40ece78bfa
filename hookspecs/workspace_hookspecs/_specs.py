"""The three hooks. Nobody calls these functions: they are the specification that implementations are checked against.

None is *historic*: replaying an old "deleted" at a plugin that is registered later is a way to act on the wrong thing.
"""

from datetime import datetime

from workspace_hookspecs._markers import hookspec


@hookspec
def on_workspace_deleted(workspace_id: str) -> None:
    """A workspace is deleted: its row is gone, or carries the host's "deleted" flag.

    **When a host fires it:** after the transaction that deletes it is committed, so that a plugin that reads the database
    finds it gone. Fired before the commit, or for a transaction that is rolled back, it is a wrong event.

    **Threads:** from any thread, also from an event loop. :meth:`WorkspacePlugins.workspace_deleted` returns at once, never
    waits for a plugin and never raises. Each plugin is called on a thread of its own, in the order of firing.
    With bare pluggy the plugin runs on the firing thread, and the first one that raises ends the call for the rest.

    **What may be relied on:** the event names a suspect and proves nothing. A plugin looks for itself before it acts, so a
    wrong event costs nothing, and a lost one (the host crashed, a queue was full) costs only the delay until the next tick.
    It may come twice.

    :param workspace_id: the id in the host's canonical text form (a hyphenated UUID where the host uses UUIDs).
    """


@hookspec
def on_workspace_archived(workspace_id: str) -> None:
    """A workspace is archived: its row is there and says so.

    **When a host fires it:** after the transaction that archives it is committed. Taking a workspace out of the archive again
    fires nothing.

    **Threads** and **what may be relied on:** as for :func:`on_workspace_deleted`. A plugin reads the row before it acts, so a
    workspace that was taken out again in the meantime is safe.

    :param workspace_id: the id in the host's canonical text form (a hyphenated UUID where the host uses UUIDs).
    """


@hookspec
def on_tick(now: datetime) -> None:
    """Time has passed: look at everything that may have been missed.

    **When a host fires it:** regularly, about once a minute, from the process that serves; :meth:`WorkspacePlugins.ticking`
    does it. Every lost event is made good by a later tick, so a host that never ticks has plugins that never catch up.

    **Threads** and **what may be relied on:** as for :func:`on_workspace_deleted`. A plugin that is still busy when more ticks
    come gets one of them afterwards, with the latest ``now``: ticks never pile up.

    :param now: the moment of firing, aware, in UTC. It is for the plugin's information; a plugin that judges ages reads its
        own clock when it does so, because the tick may have waited in the queue.
    """

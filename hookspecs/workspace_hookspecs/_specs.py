"""The six hooks. Nobody calls these functions: they are the specification that implementations are checked against.

A host fires ``on_workspace_deleted``, ``on_workspace_archived`` and ``on_tick``. A plugin that ends tmux sessions, the reaper,
asks ``reaper_veto`` and fires ``on_session_reaped`` and ``on_reaper_alarm``.

None is *historic*: replaying an old "deleted" at a plugin that is registered later is a way to act on the wrong thing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from workspace_hookspecs._markers import hookspec

if TYPE_CHECKING:
    from workspace_hookspecs._values import Candidate, Reaped, ReaperAlarm


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


@hookspec
def reaper_veto(candidates: Sequence[Candidate]) -> Mapping[str, str]:  # type: ignore[empty-body]
    """These tmux sessions are about to be ended: which of them must stay?

    **When a reaper asks it:** before the last look at the sessions that it has condemned, once for all of a sweep, and never
    for none. It is a question and not an event: what is condemned may be spared all the same, a dry run asks as well, and a
    session that is held is asked about in each sweep. An answer must change nothing.

    **What it returns:** the sessions to be held, each with the reason, which the reaper reports: ``{"the session's name":
    "why"}``. A key is a candidate's ``session``. A name that stands on two sockets is held on both; a name that is no
    candidate is ignored, so a plugin may return all that it guards. An empty mapping, or None, is no veto. A veto holds for
    this sweep only.

    **Threads and the time limit:** each plugin is asked on a thread of its own, all at the same time, beside the hooks that it
    may be working off; so what they share needs a lock. The answer must be there within **1 second**. The reaper holds its
    kills until then, so answer from what is known already, and make no request over a network.

    **What may be relied on:** nothing is ended without an answer. A plugin that raises, returns anything else than a mapping of
    text to text, or takes longer, has vetoed **all** candidates. It is reported by name, and not asked again while it hangs:
    until it comes back it has vetoed all candidates of every sweep. With bare pluggy the first plugin that raises ends
    the call for the rest, so a reaper asks through :meth:`WorkspacePlugins.ask_vetoes`.

    The process that asks need not be the host's: the reaper's command line loads the same plugins and asks them too. So
    decide by what every process can read, such as a file or the host's database, and not by what the host's process remembers.

    :param candidates: what is about to be ended, at least one; the same objects for all plugins.
    """


@hookspec
def on_session_reaped(reap: Reaped) -> None:
    """A tmux session was ended: what it was, why it went, and what became of its processes.

    **When a reaper fires it:** once for each session that it has ended, after the outcome is in its history.

    **Threads:** as for :func:`on_workspace_deleted`: :meth:`WorkspacePlugins.session_reaped` returns at once, and each plugin
    is called on its own thread, in the order of firing.

    **What may be relied on:** what it tells has happened. It may be lost (the process ended, a queue was full), and no tick
    makes that good: the reaper's history, under ``reap.id``, is what is complete.

    :param reap: the reap; the same object for all plugins.
    """


@hookspec
def on_reaper_alarm(alarm: ReaperAlarm) -> None:
    """A reaper can't do its work, or has seen what somebody should know: an alarm has begun, or is over.

    **When a reaper fires it:** once when an alarm begins and once when it is over (``alarm.ended_at``), each after it is
    in the reaper's history; an alarm that says that the history can't be written, without that. It is not fired again while
    the alarm is on, and a dry run fires none.

    **Threads:** as for :func:`on_workspace_deleted`: :meth:`WorkspacePlugins.reaper_alarm` returns at once, and each plugin is
    called on its own thread, in the order of firing.

    **What may be relied on:** the beginning is fired before the end. Either may be lost (the process ended, a queue was full),
    and comes from the process that saw it, which may be the reaper's command line: to learn whether all is well now, ask the
    reaper, and do not count.

    :param alarm: the alarm; the same object for all plugins.
    """

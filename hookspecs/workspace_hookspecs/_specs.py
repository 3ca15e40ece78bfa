"""The six hook specifications and the two markers. The functions are never called; implementations are checked against them.

A host fires ``on_workspace_deleted``, ``on_workspace_archived`` and ``on_tick``. A plugin that ends tmux sessions, the reaper,
calls ``reaper_veto`` and fires ``on_session_reaped`` and ``on_reaper_alarm``.

No hook is *historic*: a plugin that registers late must not act on an old event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    from workspace_hookspecs._types import Candidate, Reaped, ReaperAlarm

PROJECT: Final = "workspace_server"
"""The project name for pluggy, and the entry-point group."""

hookspec: Final = HookspecMarker(PROJECT)
"""Marks a hook specification of the project ``workspace_server``. Hosts and plugins do not need it."""

hookimpl: Final = HookimplMarker(PROJECT)
"""Marks a function or method of a plugin as the implementation of the hook of the same name."""


@hookspec
def on_workspace_deleted(workspace_id: str) -> None:
    """React to the deletion of a workspace: its row is gone, or has the host's "deleted" flag.

    **When a host fires it:** after the commit of the transaction that deletes the workspace, so that a plugin that reads the
    database finds it deleted. A call before the commit, or for a transaction that is rolled back, is a wrong event.

    **Threads:** any thread may fire, including one that runs an event loop. :meth:`WorkspacePlugins.workspace_deleted` returns
    at once, never waits for a plugin and never raises. Each plugin is called on its own thread, in the order of firing.
    With bare pluggy the plugins run on the firing thread, and the first that raises keeps the event from the rest.

    **Guarantees:** none that the event is true. A plugin must read the database before it acts. So a wrong event does no harm,
    and a lost event (the host crashed, a queue was full) is only a delay until the next tick. An event may come twice.

    Args:
        workspace_id: The id in the host's canonical text form (a hyphenated UUID if the host uses UUIDs).
    """


@hookspec
def on_workspace_archived(workspace_id: str) -> None:
    """React to the archiving of a workspace: its row exists and is marked as archived.

    **When a host fires it:** after the commit of the transaction that archives the workspace. Unarchiving fires no hook.

    **Threads** and **Guarantees:** as for :func:`on_workspace_deleted`. A plugin reads the row before it acts, so a workspace
    that was unarchived in the meantime is safe.

    Args:
        workspace_id: The id in the host's canonical text form (a hyphenated UUID if the host uses UUIDs).
    """


@hookspec
def on_tick(now: datetime) -> None:
    """Do periodic work, and look for everything that lost events would have reported.

    **When a host fires it:** regularly, about once a minute, in the process that serves; :meth:`WorkspacePlugins.ticking` does
    this. Ticks make up for lost events, so without ticks a lost event is never made up for.

    **Threads** and **Guarantees:** as for :func:`on_workspace_deleted`. Ticks do not pile up: while a plugin is busy, at most
    one tick waits for it, with the latest ``now``.

    Args:
        now: The time of firing, timezone-aware, in UTC. The tick may have waited in a queue, so a plugin that compares ages
            reads its own clock.
    """


@hookspec
def reaper_veto(candidates: Sequence[Candidate]) -> Mapping[str, str]:  # type: ignore[empty-body]
    """Return the tmux sessions that must not be ended, out of those that a reaper is about to end.

    **When a reaper asks it:** before the last check of the sessions that are selected for reaping, once for all of them in a
    sweep, and never without candidates. The call is a question and not an event: a candidate may still be skipped, a dry run
    asks too, and a session that is held back is asked about in every sweep. An implementation must change nothing.

    **Threads:** each plugin is called on a thread of its own, all plugins at the same time, concurrently with the plugin's
    other hooks. State that they share needs a lock. The answer must arrive within **1 second**. The reaper waits that long
    before it ends any session, so answer from what is known already and make no network request.

    **Guarantees:** no session is ended without an answer. A plugin that raises, returns anything other than a mapping of text
    to text, or misses the time limit has vetoed **all** candidates. This is logged with the plugin's name. A plugin that hangs
    is not called again until it returns, and until then it vetoes all candidates of every sweep. With bare pluggy the first
    plugin that raises ends the call for the rest, so a reaper calls :meth:`WorkspacePlugins.ask_vetoes`.

    The calling process is not always the host's: the reaper's command line loads the same plugins and asks them too. Decide
    from what every process can read, such as a file or the host's database, and not from the memory of the host's process.

    Args:
        candidates: The sessions that are about to be ended, at least one. All plugins receive the same objects.

    Returns:
        The sessions to hold back, each with the reason, which the reaper reports: ``{"session name": "reason"}``. A key is a
        candidate's ``session``. A name that exists on two sockets is held back on both. Names that are not candidates are
        ignored, so a plugin may return all sessions that it protects. An empty mapping, or None, is no veto. A veto holds
        for one sweep.
    """


@hookspec
def on_session_reaped(reap: Reaped) -> None:
    """React to the end of a tmux session: which session it was, why it was ended, and the state of its processes.

    **When a reaper fires it:** once for each session that it has ended, after the outcome is stored in its history.

    **Threads:** as for :func:`on_workspace_deleted`. :meth:`WorkspacePlugins.session_reaped` returns at once, and each plugin
    is called on its own thread, in the order of firing.

    **Guarantees:** the session was ended. The event may be lost (the process ended, a queue was full), and no tick makes up for
    it. The complete record is the reaper's history, under ``reap.id``.

    Args:
        reap: The reap. All plugins receive the same object.
    """


@hookspec
def on_reaper_alarm(alarm: ReaperAlarm) -> None:
    """React to the beginning or the end of an alarm: a condition that keeps a reaper from its work, or that needs attention.

    **When a reaper fires it:** once when an alarm begins and once when it ends (``alarm.ended_at``), in both cases after the
    change is stored in its history. The exception is an alarm about the history itself, if that cannot be written. An active
    alarm is not fired again, and a dry run fires none.

    **Threads:** as for :func:`on_workspace_deleted`. :meth:`WorkspacePlugins.reaper_alarm` returns at once, and each plugin is
    called on its own thread, in the order of firing.

    **Guarantees:** the beginning is fired before the end. Either may be lost (the process ended, a queue was full). The event
    is fired in the process that noticed the condition, which may be the reaper's command line. To learn whether an alarm is
    active now, ask the reaper; do not count events.

    Args:
        alarm: The alarm. All plugins receive the same object.
    """

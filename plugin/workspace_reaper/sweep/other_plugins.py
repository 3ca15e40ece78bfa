"""The other plugins of the host: asked for vetoes before a kill, notified after it, and notified of alarms.

Importing this module is light: the conversions and ``OtherPlugins`` import ``workspace_hookspecs`` when they are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from workspace_reaper.model.ports import Plugins
from workspace_reaper.model.reap import Outcome, Vetoes

if TYPE_CHECKING:
    from pluggy import PluginManager

    from workspace_hookspecs import Candidate, Reaped, ReaperAlarm, Veto, WorkspacePlugins
    from workspace_reaper.model.reap import Intent, ReapResult
    from workspace_reaper.model.state import Alarm
    from workspace_reaper.sweep.report import SessionReport


class NoPlugins(Plugins):
    """A host without other plugins."""

    def vetoes(self, candidates: Sequence[Candidate]) -> Vetoes:
        del candidates
        return Vetoes()

    def deleted(self, workspace_id: str) -> None:
        pass

    def reaped(self, reap: Reaped) -> None:
        pass

    def alarm(self, alarm: ReaperAlarm) -> None:
        pass


class OtherPlugins(Plugins):
    """The plugins of a host, from its ``WorkspacePlugins`` or, with bare pluggy, from its ``PluginManager``.

    Args:
        plugins: The plugins of the host.
        but: The plugin that is not called: the reaper itself.

    Raises:
        TypeError: ``plugins`` is neither of the two.
        ValueError: The manager does not know the hooks of ``workspace_hookspecs``.
    """

    def __init__(self, plugins: WorkspacePlugins | PluginManager, *, but: object | None = None) -> None:
        from pluggy import PluginManager

        from workspace_hookspecs import WorkspacePlugins

        if not isinstance(plugins, WorkspacePlugins | PluginManager):
            raise TypeError(f"join() takes WorkspacePlugins or a pluggy.PluginManager, not {type(plugins).__name__}")
        self._own = isinstance(plugins, PluginManager)
        # A manager is wrapped, because pluggy itself stops at the first plugin that raises, and waits for one that hangs.
        self._plugins = WorkspacePlugins(manager=plugins) if isinstance(plugins, PluginManager) else plugins
        self._but = but

    def vetoes(self, candidates: Sequence[Candidate]) -> Vetoes:
        return combine_vetoes(self._plugins.ask_vetoes(candidates, but=self._but), candidates)

    def deleted(self, workspace_id: str) -> None:
        self._plugins.workspace_deleted(workspace_id, but=self._but)

    def reaped(self, reap: Reaped) -> None:
        self._plugins.session_reaped(reap)

    def alarm(self, alarm: ReaperAlarm) -> None:
        self._plugins.reaper_alarm(alarm)

    def drain(self, timeout: float) -> bool:
        """With bare pluggy, wait until all notifications are delivered. A host drains its ``WorkspacePlugins`` itself."""
        return self._plugins.drain(timeout) if self._own else True

    def close(self, timeout: float) -> None:
        """With bare pluggy, end the threads that notify the plugins. A plugin that is asked afterwards counts as a veto."""
        if self._own:
            self._plugins.close(timeout)


def combine_vetoes(vetoes: Sequence[Veto], candidates: Sequence[Candidate]) -> Vetoes:
    """Return the vetoes of all plugins by session."""
    of_all = [_veto_text(veto) for veto in vetoes if veto.session is None]
    held = {}
    for each in candidates:
        own = [_veto_text(veto) for veto in vetoes if veto.session == each.session]
        if own:
            held[each.socket, each.session] = "; ".join([*own, *of_all])
    failures = [
        f"no usable answer from the plugin {veto.plugin}, which counts as a veto of every session: {veto.reason}"
        for veto in vetoes
        if veto.session is None
    ]
    return Vetoes(held, "; ".join(of_all) or None, tuple(failures))


def _veto_text(veto: Veto) -> str:
    reason = veto.reason.strip()
    return f"veto of {veto.plugin}: {reason}" if reason else f"veto of {veto.plugin}"


def notify_reaped(plugins: Plugins, intents: Sequence[Intent], results: Sequence[ReapResult], host: str | None = None) -> None:
    """Notify the plugins of each reaped session of a host. Its outcome is in the ledger already, so it is notified once."""
    known = {intent.reap_id: intent for intent in intents}
    for result in results:
        if result.outcome is Outcome.REAPED:
            plugins.reaped(as_reaped(known[result.reap_id], result, host))


def notify_alarms(plugins: Plugins, begun: Sequence[Alarm], ended: Sequence[Alarm], now: float) -> None:
    """Notify the plugins of alarms that have begun or ended. Both are in the ledger already, so each is notified once."""
    for alarm in begun:
        plugins.alarm(as_alarm(alarm, None))
    for alarm in ended:
        plugins.alarm(as_alarm(alarm, now))


def as_candidate(entry: SessionReport, deadline: float | None) -> Candidate:
    """Convert a selected session for the plugins. ``deadline`` (Unix seconds) None: it is reaped in this sweep."""
    from workspace_hookspecs import Candidate

    return Candidate(
        reap_id=entry.reap_id,
        socket=entry.socket,
        session=entry.session,
        session_id=entry.session_id or "",
        workspace_id=entry.workspace_id,
        reason=entry.reason or "",
        deadline=None if deadline is None else _moment(deadline),
        host=entry.host,
    )


def as_alarm(alarm: Alarm, ended_at: float | None) -> ReaperAlarm:
    """Convert an alarm for the plugins. ``ended_at`` is in Unix seconds, None if the alarm has begun."""
    from workspace_hookspecs import ReaperAlarm

    ended = None if ended_at is None else _moment(ended_at)
    return ReaperAlarm(alarm.name, _moment(alarm.since), alarm.detail, alarm.clears_when, ended)


def as_reaped(intent: Intent, result: ReapResult, host: str | None = None) -> Reaped:
    """Convert a reaped session for the plugins."""
    from workspace_hookspecs import Reaped

    return Reaped(
        id=intent.reap_id,
        at=_moment(intent.at),
        socket=intent.key.socket,
        session=intent.session,
        workspace_id=intent.workspace_id,
        reason=intent.reason,
        outcome=result.outcome.value,
        freed_bytes=result.cleanup.freed_bytes,
        survivors=tuple(asdict(survivor) for survivor in result.cleanup.survivors),
        ended=tuple(asdict(ended) for ended in result.cleanup.ended),
        restorable=result.snapshot is None,
        host=host,
    )


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, timezone.utc)

"""The other plugins of the host: asked before a kill, told after it, and told of alarms.

Importing this loads values and the standard library alone; the conversions and ``OtherPlugins`` load ``workspace_hookspecs``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from workspace_reaper.model.reap import Outcome, Vetoes

if TYPE_CHECKING:
    from pluggy import PluginManager

    from workspace_hookspecs import Candidate, Reaped, ReaperAlarm, Veto, WorkspacePlugins
    from workspace_reaper.model.ports import Plugins
    from workspace_reaper.model.reap import Intent, ReapResult
    from workspace_reaper.model.state import Alarm
    from workspace_reaper.sweep.report import SessionReport

__all__ = ["NoPlugins", "OtherPlugins", "alarm", "candidate", "gather", "reaped", "tell_alarms", "tell_plugins"]


class NoPlugins:
    """There is nobody to ask and nobody to tell. See ``ports.Plugins``."""

    def vetoes(self, candidates: Sequence[Candidate]) -> Vetoes:  # noqa: ARG002  the signature of the port
        """None."""
        return Vetoes()

    def reaped(self, reap: Reaped) -> None:
        """Nobody listens."""

    def alarm(self, alarm: ReaperAlarm) -> None:
        """Nobody listens."""


class OtherPlugins:
    """The plugins of a host, from its ``WorkspacePlugins`` or, with bare pluggy, from its ``PluginManager``. See
    ``ports.Plugins``. ``but`` is the plugin that asks, which is not asked itself.

    ``TypeError``: it is neither. ``ValueError``: the manager does not know the hooks of ``workspace_hookspecs``.
    """

    def __init__(self, plugins: WorkspacePlugins | PluginManager, *, but: object | None = None) -> None:
        from pluggy import PluginManager

        from workspace_hookspecs import WorkspacePlugins

        if not isinstance(plugins, WorkspacePlugins | PluginManager):
            raise TypeError(f"join() takes WorkspacePlugins or a pluggy.PluginManager, and not {type(plugins).__name__}")
        self._own = isinstance(plugins, PluginManager)
        # Around a manager, because pluggy itself stops at the first plugin that raises, and waits for one that hangs.
        self._plugins = WorkspacePlugins(manager=plugins) if isinstance(plugins, PluginManager) else plugins
        self._but = but

    def vetoes(self, candidates: Sequence[Candidate]) -> Vetoes:
        """Ask them all, for at most one second; who has not answered by then has vetoed."""
        return gather(self._plugins.ask_vetoes(candidates, but=self._but), candidates)

    def reaped(self, reap: Reaped) -> None:
        """Tell them all. Returns at once."""
        self._plugins.session_reaped(reap)

    def alarm(self, alarm: ReaperAlarm) -> None:
        """Tell them all. Returns at once."""
        self._plugins.reaper_alarm(alarm)

    def drain(self, timeout: float) -> bool:
        """With bare pluggy, wait until they were told; else that is what the host drains its ``WorkspacePlugins`` for."""
        return self._plugins.drain(timeout) if self._own else True

    def close(self, timeout: float) -> None:
        """With bare pluggy, end the threads that tell them. Asked afterwards, each of them has vetoed."""
        if self._own:
            self._plugins.close(timeout)


def gather(vetoes: Sequence[Veto], candidates: Sequence[Candidate]) -> Vetoes:
    """Put together what the plugins said of these candidates."""
    of_all = [_told(veto) for veto in vetoes if veto.session is None]
    held = {}
    for each in candidates:
        own = [_told(veto) for veto in vetoes if veto.session == each.session]
        if own:
            held[each.socket, each.session] = "; ".join([*own, *of_all])
    failures = [f"the plugin {veto.plugin} has vetoed every session: {veto.reason}" for veto in vetoes if veto.session is None]
    return Vetoes(held, "; ".join(of_all) or None, tuple(failures))


def _told(veto: Veto) -> str:
    reason = veto.reason.strip()
    return f"veto of {veto.plugin}: {reason}" if reason else f"veto of {veto.plugin}"


def candidate(entry: SessionReport, deadline: float | None) -> Candidate:
    """A condemned session for the plugins. ``deadline`` (Unix seconds) None: it goes at once."""
    from workspace_hookspecs import Candidate

    return Candidate(
        reap_id=entry.reap_id,
        socket=entry.socket,
        session=entry.session,
        session_id=entry.session_id or "",
        workspace_id=entry.workspace_id,
        reason=entry.reason or "",
        deadline=None if deadline is None else _moment(deadline),
    )


def tell_plugins(plugins: Plugins, intents: Sequence[Intent], outcomes: Sequence[ReapResult]) -> None:
    """Tell them of each that was reaped. Its outcome is in the ledger already, so that each is told once."""
    known = {intent.reap_id: intent for intent in intents}
    for outcome in outcomes:
        if outcome.outcome is Outcome.REAPED:
            plugins.reaped(reaped(known[outcome.reap_id], outcome))


def tell_alarms(plugins: Plugins, begun: Sequence[Alarm], ended: Sequence[Alarm], now: float) -> None:
    """Tell them of the alarms that have begun, and of those that are over ``now`` (Unix seconds). Both are in the ledger
    already, so that each is told once."""
    for one in begun:
        plugins.alarm(alarm(one, None))
    for one in ended:
        plugins.alarm(alarm(one, now))


def alarm(one: Alarm, ended_at: float | None) -> ReaperAlarm:
    """An alarm for the plugins, with the moment at which it ended (Unix seconds) if it has."""
    from workspace_hookspecs import ReaperAlarm

    ended = None if ended_at is None else _moment(ended_at)
    return ReaperAlarm(one.name, _moment(one.since), one.detail, one.clears_when, ended)


def reaped(intent: Intent, outcome: ReapResult) -> Reaped:
    """A reaped session for the plugins."""
    from workspace_hookspecs import Reaped

    return Reaped(
        id=intent.reap_id,
        at=_moment(intent.at),
        socket=intent.key.socket,
        session=intent.session,
        workspace_id=intent.workspace_id,
        reason=intent.reason,
        outcome=outcome.outcome.value,
        freed_bytes=outcome.aftermath.freed_bytes,
        survivors=tuple(asdict(survivor) for survivor in outcome.aftermath.survivors),
        ended=tuple(asdict(ended) for ended in outcome.aftermath.ended),
        restorable=outcome.snapshot is None,
    )


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, timezone.utc)

"""The plugin: hook implementations that only wake the worker, and the public face that hosts and the command line use.

Importing this is light. SQLModel, libtmux and psutil load at the first wake-up, in the worker's thread.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from workspace_hookspecs import hookimpl
from workspace_reaper.model.errors import ConfigurationError, LedgerError, SweepLocked, UnsupportedTmux
from workspace_reaper.model.events import WorkspaceEvent
from workspace_reaper.sweep.log import SweepLog, tell
from workspace_reaper.worker import Worker

if TYPE_CHECKING:
    from pluggy import PluginManager

    from workspace_hookspecs import WorkspacePlugins
    from workspace_reaper.model.session import SessionKey
    from workspace_reaper.model.state import Alarm
    from workspace_reaper.operations.wiring import Reaper
    from workspace_reaper.sweep.other_plugins import OtherPlugins
    from workspace_reaper.sweep.report import SweepReport

__all__ = ["ReaperPlugin"]

_LAST_WORDS = 2.0
"""Seconds that the other plugins have at the end to work off what they were told."""


class ReaperPlugin:
    """Implements the contract of ``workspace_hookspecs``. One instance serves one process, and each process forked from it.

    The other plugins of the host are asked before a kill and told afterwards, once :meth:`join` gave them to it:
    ``WorkspacePlugins`` does that by itself, a host with bare pluggy calls ``manager.get_plugin("reaper").join(manager)``.

    It reads its configuration at the first wake-up. Without any it does nothing, and says so once. A wrong one is an error in
    the log of a host, never an exception; the methods that are called directly raise ``ConfigurationError``.
    """

    def __init__(self) -> None:
        self._config: Path | None = None
        self._worker = Worker(self)
        self._said: set[str] = set()
        self._sweep_log = SweepLog()
        self._joined: OtherPlugins | None = None
        self._ticked_at: float | None = None
        self._reset()
        reference = weakref.WeakMethod(self._reset)
        os.register_at_fork(after_in_child=lambda: (reset := reference()) and reset())
        closing = weakref.WeakMethod(self.close)
        atexit.register(lambda: (close := closing()) and close())

    def _reset(self) -> None:
        self._building = threading.Lock()
        self._reaper: Reaper | None = None
        self._unusable: Alarm | None = None

    # The contract

    @hookimpl
    def on_workspace_deleted(self, workspace_id: str) -> None:
        """Look at this workspace now. Returns at once."""
        self._worker.suspect(str(workspace_id), WorkspaceEvent.DELETED)

    @hookimpl
    def on_workspace_archived(self, workspace_id: str) -> None:
        """Look at this workspace now. Returns at once."""
        self._worker.suspect(str(workspace_id), WorkspaceEvent.ARCHIVED)

    @hookimpl
    def on_tick(self, now: datetime) -> None:  # noqa: ARG002  ages are judged by the clock that tmux uses too
        """Sweep. Returns at once."""
        self._ticked_at = time.monotonic()
        self._worker.wake()

    # The public face

    def join(self, plugins: WorkspacePlugins | PluginManager) -> None:
        """Ask these plugins before a kill (``reaper_veto``), tell them after it (``on_session_reaped``), and tell them of
        alarms (``on_reaper_alarm``). The last call counts; before the first one there is nobody to ask.

        ``TypeError``: it is neither of the two. ``ValueError``: the manager does not know the hooks of ``workspace_hookspecs``.
        """
        from workspace_reaper.sweep.other_plugins import OtherPlugins

        joined = OtherPlugins(plugins, but=self)
        with self._building:
            self._joined = joined
            if self._reaper is not None:
                self._reaper.join(joined)

    def configure(self, config: Path | None) -> None:
        """Read this configuration file instead of the user's own. Before the first wake-up."""
        self._config = config

    def use(self, reaper: Reaper) -> None:
        """Sweep with this one from now on. One that is on stops before its next kill; the reaper before is closed when it has
        ended. No wake-up is lost, unless this one asks another registry: what hooks said is not said of that."""
        with self._building:
            before = self._reaper
            if before is not None and not before.asks_same_registry(reaper):
                self._worker.forget()  # first: whoever gets the new reaper must know what is forgotten
            self._reaper = reaper
            if self._joined is not None:
                reaper.join(self._joined)
            if before is not None:
                reaper.go_on_from(before)
            self._mended(reaper)
        self._said.clear()
        self._sweep_log = SweepLog()
        if before is not None:
            before.close()

    @property
    def ticked_at(self) -> float | None:
        """When the last tick came: seconds of ``time.monotonic``. None before the first."""
        return self._ticked_at

    @property
    def busy_since(self) -> float | None:
        """When its thread began with what it works on, or was woken and has not begun: seconds of ``time.monotonic``. None: it
        rests."""
        return self._worker.busy_since

    def sweep(
        self, *, dry_run: bool = False, approve: Iterable[SessionKey] | None = None, shown: SweepReport | None = None
    ) -> SweepReport:
        """One full sweep, in the caller's thread: what ``on_tick`` runs in its own.

        ``dry_run`` decides everything and does nothing. ``approve`` lets exactly these sessions pass the breaker; with
        ``shown``, the report that showed them, only while the registry is still the one that it names. Raises
        ``ConfigurationError``; what could not be seen or done is in the report.
        """
        from workspace_reaper.sweep.context import SweepRequest

        reaper, registry = self.reaper(), shown.registry if shown else None
        approved = frozenset(approve or ())
        report = reaper.sweep(
            SweepRequest(dry_run=dry_run, approve=approved, shown=registry, stopping=lambda: self._stops(reaper))
        )
        self._sweep_log.tell(report)
        return report

    def drain(self, timeout: float) -> bool:
        """Wait until every wake-up so far, its later looks included, is worked off; False after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        well = self._worker.drain(timeout)
        return (self._joined is None or self._joined.drain(max(0.0, deadline - time.monotonic()))) and well

    def close(self, timeout: float = 15.0) -> None:
        """End the thread: it finishes the step it is in, or stops before the kill. Nothing that was asked for is lost: the
        next sweep of any process finds it, also what a step leaves that takes longer than ``timeout`` seconds."""
        self._worker.close(timeout)
        reaper = self._reaper
        if reaper is not None:
            reaper.close()
        if self._joined is not None:
            self._joined.close(_LAST_WORDS)

    def reaper(self) -> Reaper:
        """The reaper that this plugin drives, built at the first call. Raises ``ConfigurationError``."""
        with self._building:
            if self._reaper is None:
                from workspace_reaper.operations.wiring import Reaper
                from workspace_reaper.settings import load_settings

                self._reaper = Reaper(load_settings(self._config))
                if self._joined is not None:
                    self._reaper.join(self._joined)
                self._mended(self._reaper)
            return self._reaper

    # What the worker's thread does

    def sweep_all(self) -> None:
        """See ``worker.Work``."""
        if self._usable() is not None:
            self.sweep()

    def look_at(self, suspects: Mapping[str, WorkspaceEvent], final: Collection[str]) -> Collection[str]:
        """See ``worker.Work``."""
        reaper = self._usable()
        if reaper is None or self._worker.forgotten:
            return ()
        from workspace_reaper.sweep.context import SweepRequest

        named = {workspace_id: reaper.registry.canonical(workspace_id) for workspace_id in suspects}
        for workspace_id, canonical in named.items():
            if canonical is None:
                text = f"a hook named {workspace_id!r}, which is no workspace id of the registry {reaper.registry.name}"
                tell(logging.WARNING, text, workspace=workspace_id)
        canonicals: dict[str, WorkspaceEvent] = {}
        for workspace_id, canonical in named.items():
            # Two spellings of one id: a deletion outweighs the rest.
            if canonical is not None and canonicals.get(canonical) is not WorkspaceEvent.DELETED:
                canonicals[canonical] = suspects[workspace_id]
        if not canonicals:
            return ()
        try:
            reaper.record_events(canonicals)
        except (LedgerError, SweepLocked) as error:
            tell(logging.WARNING, str(error))
        report = reaper.sweep(SweepRequest(suspects=canonicals, stopping=lambda: self._stops(reaper)))
        self._sweep_log.tell(report)
        is_replaced = self._reaper is not reaper
        if report.abstained is not None and not is_replaced:
            return ()
        unsettled = report.contradicted if report.complete and not is_replaced else frozenset(canonicals)
        given_up = frozenset(c for w, c in named.items() if w in final and c in report.contradicted)
        for workspace_id in sorted(given_up):
            text = f"a hook called {workspace_id} {canonicals[workspace_id].value}, its row does not: left to the tick"
            tell(logging.WARNING, text, workspace=workspace_id)
        try:
            reaper.settle(given_up)
        except (LedgerError, SweepLocked) as error:
            tell(logging.WARNING, str(error))
        return [workspace_id for workspace_id, canonical in named.items() if canonical in unsettled]

    def _stops(self, reaper: Reaper) -> bool:
        """Whether a sweep of this reaper is to start no kill any more."""
        return self._worker.stopping or self._reaper is not reaper

    def _usable(self) -> Reaper | None:
        """The reaper, or None where there is nothing to do, which is said once."""
        try:
            reaper = self.reaper()
            if reaper.settings.configured and reaper.settings.enabled:
                reaper.require_tmux()
        except ConfigurationError as error:
            what = "tmux" if isinstance(error, UnsupportedTmux) else "the configuration"
            self._once(logging.ERROR, f"{what} can't be used, so nothing is reaped: {error}")
            self._raise_alarm(error)
            return None
        self._mended(reaper)
        if not reaper.settings.configured:
            from workspace_reaper.operations.wiring import how_to_configure

            self._once(logging.WARNING, f"not configured, so nothing is reaped: {how_to_configure(self._config)}")
            return None
        return reaper

    def _raise_alarm(self, error: ConfigurationError) -> None:
        """Once for as long as the configuration can't be used. The first sweep under another one records it, and ends it."""
        from workspace_reaper.sweep.alarms import misconfigured
        from workspace_reaper.sweep.other_plugins import tell_alarms

        if self._unusable is None:
            now = time.time()
            self._unusable = misconfigured(str(error), now)
            if self._joined is not None:
                tell_alarms(self._joined, [self._unusable], (), now)

    def _mended(self, reaper: Reaper) -> None:
        if self._unusable is not None:
            reaper.parts.watch.told(self._unusable)
            self._unusable = None

    def _once(self, level: int, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            tell(level, text)

"""The plugin: hook implementations that only wake the worker, and the public face for hosts and the command line.

Importing this module is light. SQLModel, libtmux and psutil are imported at the first wake-up, in the worker's thread.
"""

from __future__ import annotations

import atexit
import time
import weakref
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from workspace_hookspecs import hookimpl
from workspace_reaper.model.events import WorkspaceEvent, key_of
from workspace_reaper.operations.runner import ReaperRunner
from workspace_reaper.worker import Worker

if TYPE_CHECKING:
    from pluggy import PluginManager

    from workspace_hookspecs import WorkspacePlugins
    from workspace_reaper.model.session import SessionKey
    from workspace_reaper.operations.reaper import Reaper
    from workspace_reaper.operations.reapers import Reapers
    from workspace_reaper.sweep.report import SweepReport

__all__ = ["ReaperPlugin"]


class ReaperPlugin:
    """Implements the contract of ``workspace_hookspecs``. One instance serves one process, and each process forked from it.

    After :meth:`join`, the other plugins of the host are asked before a kill and notified afterwards. ``WorkspacePlugins``
    calls it by itself; a host with bare pluggy calls ``manager.get_plugin("reaper").join(manager)``.

    The configuration is read at the first wake-up. Without one the plugin does nothing, and logs that once. An invalid one is
    an error in the log of the host and an alarm, never an exception of a hook. The other methods raise ``ConfigurationError``.
    """

    def __init__(self) -> None:
        self._runner = ReaperRunner()
        self._worker = Worker(self._runner.sweep_all, self._runner.look_at)
        worker = self._worker
        self._runner.bind(stopping=worker.is_stopping, is_stale=worker.has_forgotten, doubted=worker.doubted)
        self._ticked_at: float | None = None
        closing = weakref.WeakMethod(self.close)
        atexit.register(lambda: (close := closing()) and close())

    # The contract

    @hookimpl
    def on_workspace_deleted(self, workspace_id: str) -> None:
        """Look at this workspace now. Returns at once."""
        self._worker.suspect(str(workspace_id), WorkspaceEvent.DELETED)

    @hookimpl
    def on_workspace_archived(self, workspace_id: str) -> None:
        """Look at this workspace now. Returns at once."""
        self._worker.suspect(str(workspace_id), WorkspaceEvent.ARCHIVED)

    def on_row_gone(self, workspace_id: str, event: WorkspaceEvent, host: str | None = None) -> None:
        """Look at a workspace whose row the daemon saw go, which is no event of the host. Returns at once.

        Args:
            workspace_id: The workspace.
            event: One of ``DERIVED_EVENTS``; of one host of several also ``ARCHIVED``.
            host: The host whose workspace it is, if there are several.
        """
        self._worker.suspect(key_of(host, workspace_id), event)

    @hookimpl
    def on_tick(self, now: datetime) -> None:
        """Start a full sweep. Returns at once."""
        del now  # ages are measured with the clock that tmux uses
        self._ticked_at = time.monotonic()
        self._worker.wake()

    # The public face

    def join(self, plugins: WorkspacePlugins | PluginManager) -> None:
        """Ask these plugins before a kill (``reaper_veto``), and notify them of kills (``on_session_reaped``) and alarms
        (``on_reaper_alarm``). The last call counts.

        Raises:
            TypeError: ``plugins`` is neither of the two types.
            ValueError: The manager does not know the hooks of ``workspace_hookspecs``.
        """
        from workspace_reaper.sweep.other_plugins import OtherPlugins

        self._runner.join(OtherPlugins(plugins, but=self))

    def configure(self, config: Path | None) -> None:
        """Read this configuration file instead of the user's own. Call it before the first wake-up."""
        self._runner.config = config

    def use(self, reaper: Reaper | Reapers) -> None:
        """Sweep with this reaper, or with those of several hosts, from now on.

        A running sweep stops before its next kill, then its ledger is closed. No wake-up is lost, unless the new reaper asks
        another registry: then what hooks reported so far is dropped.
        """
        from workspace_reaper.operations.reapers import Reapers

        self._runner.replace(reaper if isinstance(reaper, Reapers) else Reapers([reaper]), self._worker.forget)

    def reload_refused(self, why: str) -> None:
        """Sweep on with the reaper in use, now and with the alarm ``configuration`` until :meth:`use` is called."""
        self.reapers().first.state.refused_reload = why
        self._worker.wake()

    @property
    def ticked_at(self) -> float | None:
        """When the last tick came (seconds of ``time.monotonic``), None before the first."""
        return self._ticked_at

    @property
    def busy_since(self) -> float | None:
        """Since when the thread has had work (seconds of ``time.monotonic``), None while it is idle."""
        return self._worker.busy_since

    def sweep(
        self, *, dry_run: bool = False, approve: Iterable[SessionKey] | None = None, shown: SweepReport | None = None
    ) -> SweepReport:
        """Run one full sweep in the caller's thread, the same that ``on_tick`` runs in the worker's.

        Args:
            dry_run: Decide everything and change nothing.
            approve: Exactly these sessions may pass the breaker.
            shown: The report that showed these sessions. They pass only while the registry is still the one that it names.

        Returns:
            The report. It also says what could not be read or done.

        Raises:
            ConfigurationError: The configuration cannot be used.
        """
        return self._runner.sweep(dry_run=dry_run, approve=frozenset(approve or ()), shown=shown)

    def drain(self, timeout: float) -> bool:
        """Wait until the work of every wake-up so far is done, later looks included. Returns False after ``timeout``
        seconds."""
        deadline = time.monotonic() + timeout
        is_done = self._worker.drain(timeout)
        return self._runner.drain_plugins(max(0.0, deadline - time.monotonic())) and is_done

    def close(self, timeout: float = 15.0) -> None:
        """End the thread: it finishes its current step, or stops before the kill.

        Returns after ``timeout`` seconds at the latest. Nothing that was asked for is lost: the next sweep of any process finds
        it, including what an unfinished step leaves.
        """
        self._worker.close(timeout)
        self._runner.close()

    def reaper(self) -> Reaper:
        """Return the reaper of the only host; the first call builds it. Raises ``ConfigurationError``, also for several."""
        return self.reapers().host(None)

    def reapers(self) -> Reapers:
        """Return the reapers that this plugin drives, one for each host. Raises ``ConfigurationError``."""
        return self._runner.reapers()

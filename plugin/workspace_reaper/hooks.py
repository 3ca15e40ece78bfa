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
from workspace_reaper.errors import ConfigurationError, LedgerError, SweepLocked
from workspace_reaper.testimony import Testimony
from workspace_reaper.worker import Worker

if TYPE_CHECKING:
    from pluggy import PluginManager

    from workspace_hookspecs import WorkspacePlugins
    from workspace_reaper.model import SessionKey
    from workspace_reaper.report import SweepReport
    from workspace_reaper.vetoes import JoinedPlugins
    from workspace_reaper.wiring import Reaper

__all__ = ["ReaperPlugin"]

_log = logging.getLogger("workspace_reaper")

_LOUD = frozenset({"alarm", "breaker latched", "registry changed"})
"""Events that an operator should see without asking."""

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
        self._joined: JoinedPlugins | None = None
        self._reset()
        reference = weakref.WeakMethod(self._reset)
        os.register_at_fork(after_in_child=lambda: (reset := reference()) and reset())
        closing = weakref.WeakMethod(self.close)
        atexit.register(lambda: (close := closing()) and close())

    def _reset(self) -> None:
        self._building = threading.Lock()
        self._reaper: Reaper | None = None

    # The contract

    @hookimpl
    def on_workspace_deleted(self, workspace_id: str) -> None:
        """Look at this workspace now. Returns at once."""
        self._worker.suspect(str(workspace_id), Testimony.DELETED)

    @hookimpl
    def on_workspace_archived(self, workspace_id: str) -> None:
        """Look at this workspace now. Returns at once."""
        self._worker.suspect(str(workspace_id), Testimony.ARCHIVED)

    @hookimpl
    def on_tick(self, now: datetime) -> None:  # noqa: ARG002  ages are judged by the clock that tmux uses too
        """Sweep. Returns at once."""
        self._worker.wake()

    # The public face

    def join(self, plugins: WorkspacePlugins | PluginManager) -> None:
        """Ask these plugins before a kill (``reaper_veto``), and tell them after it (``on_session_reaped``). The last call
        counts; before the first one there is nobody to ask.

        ``TypeError``: it is neither of the two. ``ValueError``: the manager does not know the hooks of ``workspace_hookspecs``.
        """
        from workspace_reaper.vetoes import JoinedPlugins  # noqa: PLC0415  late: the plugin stays light

        joined = JoinedPlugins(plugins, but=self)
        with self._building:
            self._joined = joined
            if self._reaper is not None:
                self._reaper.join(joined)

    def configure(self, config: Path | None) -> None:
        """Read this configuration file instead of the user's own. Before the first wake-up."""
        self._config = config

    def sweep(self, *, dry_run: bool = False, approve: Iterable[SessionKey] | None = None) -> SweepReport:
        """One full sweep, in the caller's thread: what ``on_tick`` runs in its own.

        ``dry_run`` decides everything and does nothing. ``approve`` lets exactly these sessions pass the breaker. Raises
        ``ConfigurationError``; what could not be seen or done is in the report.
        """
        from workspace_reaper.parts import Request  # noqa: PLC0415  late: the plugin stays light

        approved = frozenset(approve or ())
        report = self.reaper().sweep(Request(dry_run=dry_run, approve=approved, stopping=lambda: self._worker.stopping))
        self._tell(report)
        return report

    def drain(self, timeout: float) -> bool:
        """Wait until every wake-up so far, its later looks included, is worked off; False after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        well = self._worker.drain(timeout)
        return (self._joined is None or self._joined.drain(max(0.0, deadline - time.monotonic()))) and well

    def close(self) -> None:
        """End the thread: it finishes the step it is in, or stops before the kill. Nothing that was asked for is lost: the
        next sweep of any process finds it."""
        self._worker.close()
        reaper = self._reaper
        if reaper is not None:
            reaper.close()
        if self._joined is not None:
            self._joined.close(_LAST_WORDS)

    def reaper(self) -> Reaper:
        """The reaper that this plugin drives, built at the first call. Raises ``ConfigurationError``."""
        with self._building:
            if self._reaper is None:
                from workspace_reaper.settings import load_settings  # noqa: PLC0415  late: the plugin stays light
                from workspace_reaper.wiring import Reaper  # noqa: PLC0415

                self._reaper = Reaper(load_settings(self._config))
                if self._joined is not None:
                    self._reaper.join(self._joined)
            return self._reaper

    # What the worker's thread does

    def sweep_all(self) -> None:
        """See ``worker.Work``."""
        if self._usable() is not None:
            self.sweep()

    def look_at(self, suspects: Mapping[str, Testimony], final: Collection[str]) -> Collection[str]:
        """See ``worker.Work``."""
        reaper = self._usable()
        if reaper is None:
            return ()
        from workspace_reaper.parts import Request  # noqa: PLC0415  late: the plugin stays light

        named = {workspace_id: reaper.registry.canonical(workspace_id) for workspace_id in suspects}
        for workspace_id, canonical in named.items():
            if canonical is None:
                _log.warning("a hook named %r, which is no workspace id of the registry %s", workspace_id, reaper.registry.name)
        canonicals: dict[str, Testimony] = {}
        for workspace_id, canonical in named.items():
            # Two spellings of one id: a deletion outweighs the rest.
            if canonical is not None and canonicals.get(canonical) is not Testimony.DELETED:
                canonicals[canonical] = suspects[workspace_id]
        if not canonicals:
            return ()
        try:
            reaper.testify(canonicals)
        except (LedgerError, SweepLocked) as error:
            _log.warning("%s", error)
        report = reaper.sweep(Request(suspects=canonicals, stopping=lambda: self._worker.stopping))
        self._tell(report)
        if report.abstained is not None:
            return ()
        unsettled = report.contradicted if report.complete else frozenset(canonicals)
        given_up = frozenset(c for w, c in named.items() if w in final and c in report.contradicted)
        for workspace_id in sorted(given_up):
            _log.warning(
                "a hook called %s %s, its row does not: left to the tick", workspace_id, canonicals[workspace_id].value
            )
        try:
            reaper.settle(given_up)
        except (LedgerError, SweepLocked) as error:
            _log.warning("%s", error)
        return [workspace_id for workspace_id, canonical in named.items() if canonical in unsettled]

    def _usable(self) -> Reaper | None:
        """The reaper, or None where there is nothing to do, which is said once."""
        try:
            reaper = self.reaper()
        except ConfigurationError as error:
            self._once(logging.ERROR, f"the configuration can't be used, so nothing is reaped: {error}")
            return None
        if not reaper.settings.configured:
            self._once(
                logging.WARNING,
                "not configured, so nothing is reaped: set database_url or registry in the configuration file, or "
                "WORKSPACE_REAPER_DATABASE_URL in the environment",
            )
            return None
        return reaper

    def _once(self, level: int, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            _log.log(level, "%s", text)

    def _tell(self, report: SweepReport) -> None:
        """The log lines of one sweep: what was done, and what could not be seen."""
        from workspace_reaper.report import printable  # noqa: PLC0415  late: the plugin stays light

        levels = {"reaped": logging.INFO, "spared": logging.INFO, "failed": logging.ERROR}
        for entry in report.sessions:
            if entry.outcome in levels:
                what = (entry.outcome, entry.socket, printable(entry.session), entry.workspace_id, entry.reason)
                text = "%s socket=%s session=%s workspace=%s reason=%s reap=%s by=%s"
                _log.log(levels[entry.outcome], text, *what, entry.reap_id, entry.protected_by)
        for event in report.events:
            _log.log(logging.WARNING if event.kind in _LOUD else logging.INFO, "%s: %s", event.kind, printable(event.detail))
        for text in report.vetoes:
            _log.warning("%s", printable(text))
        for unknown in report.unknown:
            _log.warning("unknown %s, so nothing of it is reaped: %s", unknown.source.value, printable(unknown.reason))

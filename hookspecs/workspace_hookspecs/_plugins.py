"""The plugins of one host: loaded, called and closed so that none of them can hurt the host or another one."""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from reprlib import repr as short
from traceback import format_exception_only
from types import TracebackType
from typing import TYPE_CHECKING, Final

from pluggy import PluginManager, PluginValidationError

from workspace_hookspecs._arguments import is_id, utc
from workspace_hookspecs._checks import check, new_manager, unspecified
from workspace_hookspecs._dispatch import Dispatcher
from workspace_hookspecs._entry_points import find
from workspace_hookspecs._fan_out import call_each
from workspace_hookspecs._inquiry import HOOK as VETO
from workspace_hookspecs._inquiry import Inquiry
from workspace_hookspecs._joining import join
from workspace_hookspecs._markers import PROJECT
from workspace_hookspecs._reporting import report
from workspace_hookspecs._ticking import Ticking
from workspace_hookspecs._values import Candidate, Reaped, ReaperAlarm, Veto

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_NO_ID: Final = "%s() takes the workspace's id, text that is not blank, and not %s: nothing is fired"
_NO_MOMENT: Final = "tick() takes an aware datetime, and not %s: the tick is fired with this moment instead"
_NO_REAP: Final = "session_reaped() takes a Reaped, and not %s: nothing is fired"
_NO_ALARM: Final = "reaper_alarm() takes a ReaperAlarm, and not %s: nothing is fired"
_NO_HOOK: Final = (
    "plugin %r implements no hook and is never called: are its functions marked with workspace_hookspecs.hookimpl?"
)

BLOCK_LIST: Final = "WORKSPACE_PLUGINS_BLOCK"
GRACE: Final = 0.5
"""Seconds that a plugin has to answer after it was told to be ready at once."""


class WorkspacePlugins:
    """All plugins of a host. Make one for each process with :meth:`load`, fire events, and :meth:`close` it at the end.

    Firing (:meth:`workspace_deleted`, :meth:`workspace_archived`, :meth:`tick`, :meth:`session_reaped`, :meth:`reaper_alarm`)
    is possible from any thread, returns at once, waits for no plugin and never raises. Each plugin is called on a daemon
    thread of its own, which starts at its first event, through a queue of ``queue_limit`` events. What a plugin raises is
    logged, under ``workspace_hookspecs``. Logging is never configured here and no signal handler is installed.

    A forked child has the same plugins and begins with empty queues. At the interpreter's exit nothing is waited for and
    an event that still waits is lost: a host that ends right after an event calls :meth:`drain` first.

    A plugin that has a method ``join(plugins)`` gets this object once all are loaded: with it the reaper asks the others
    before a kill (:meth:`ask_vetoes`) and tells them afterwards (:meth:`session_reaped`), and of what it can't do
    (:meth:`reaper_alarm`).

    As a context manager it closes itself.
    """

    def __init__(self, *, queue_limit: int = 1000, manager: PluginManager | None = None) -> None:
        """No plugin is loaded. Names in the environment variable ``WORKSPACE_PLUGINS_BLOCK`` (comma-separated) are blocked.

        With a ``manager``, of a host that uses bare pluggy, it is that manager's plugins that are fired and asked here. The
        manager remains the host's: nothing is blocked in it, and a plugin's own ``drain()`` and ``close()`` are not called.

        ``ValueError``: ``queue_limit`` is less than 1, or the manager does not know our hooks.
        """
        if queue_limit < 1:
            raise ValueError(f"queue_limit must be at least 1, not {queue_limit!r}")
        if manager is not None and (missing := unspecified(manager)):
            raise ValueError(f"the manager has no {', '.join(missing)}: call its add_hookspecs(workspace_hookspecs) first")
        self._owner = manager is None
        self._manager = new_manager() if manager is None else manager
        listed = os.environ.get(BLOCK_LIST, "").split(",") if self._owner else []
        self._blocked = {name.strip() for name in listed} - {""}
        for name in self._blocked:
            self._manager.set_blocked(name)
        self._problems: dict[str, str] = {}
        self._joined: set[str] = set()
        self._inquiry = Inquiry()
        self._clocks: weakref.WeakSet[Ticking] = weakref.WeakSet()
        self._dispatcher = Dispatcher(queue_limit)
        # The threads of a host that forgets it without close() end too; at the interpreter's exit there is nothing to do.
        weakref.finalize(self, self._dispatcher.end).atexit = False

    @classmethod
    def load(cls, group: str = PROJECT, *, name: str | None = None, queue_limit: int = 1000) -> WorkspacePlugins:
        """Load the plugins that are installed under the entry-point group, or only the one with that ``name``.

        One that can't be imported, raises, is malformed or implements a hook that does not exist is logged as an error with
        its name, kept in :attr:`problems` and skipped; the others are loaded. A blocked one is not even imported.
        """
        plugins = cls(queue_limit=queue_limit)
        seen = set()
        for entry in find(group):
            seen.add(entry.name)
            if name is None or entry.name == name:
                plugins._admit(entry)
        for unused in sorted(plugins._blocked - seen):
            message = "%s names %r, but the group %s has no such plugin; it has: %s"
            report(logging.WARNING, message, BLOCK_LIST, unused, group, ", ".join(sorted(seen)) or "none")
        for admitted, plugin in plugins._plugins():
            plugins._join(admitted, plugin)
        return plugins

    @property
    def manager(self) -> PluginManager:
        """The pluggy manager: to look at the plugins, to block or to unregister some, to add specifications of the host's own.

        Events go to the plugins that it has at that moment. Its ``hook`` is bare pluggy: it calls all on the calling thread.
        """
        return self._manager

    @property
    def problems(self) -> Mapping[str, str]:
        """Why :meth:`load` skipped plugins, by name."""
        return dict(self._problems)

    def register(self, plugin: object, name: str | None = None) -> str | None:
        """Add a plugin, an instance or a module, in process. Returns its name, or None if that is blocked.

        Unlike :meth:`load` it raises: ``pluggy.PluginValidationError`` names the plugin, the hook and what is wrong;
        ``ValueError``: it is there already, or the name is taken. Its ``join(plugins)``, if it has one, is called at once.
        """
        registered = self._add(plugin, name or self._manager.get_canonical_name(plugin))
        if registered is not None:
            self._join(registered, plugin)
        return registered

    def workspace_deleted(self, workspace_id: str) -> None:
        """Tell the plugins that a workspace is deleted; after the commit. Returns at once and never raises.

        An id that is no text, or blank, is an error in the log with the caller's stack, and nothing is fired.
        """
        if is_id(workspace_id):
            self._fire("on_workspace_deleted", {"workspace_id": workspace_id})
        else:
            report(logging.ERROR, _NO_ID, "workspace_deleted", short(workspace_id), mistake=True)

    def workspace_archived(self, workspace_id: str) -> None:
        """Tell the plugins that a workspace is archived; after the commit. Returns at once and never raises.

        An id that is no text, or blank, is an error in the log with the caller's stack, and nothing is fired.
        """
        if is_id(workspace_id):
            self._fire("on_workspace_archived", {"workspace_id": workspace_id})
        else:
            report(logging.ERROR, _NO_ID, "workspace_archived", short(workspace_id), mistake=True)

    def tick(self, now: datetime | None = None) -> None:
        """Tell the plugins that time has passed; from the host's own scheduler. Returns at once and never raises.

        ``now`` is an aware datetime, of any time zone; None is this moment. Anything else is an error in the log with the
        caller's stack, and the tick is fired with this moment: without ticks, lost events would stay lost.
        """
        moment = datetime.now(timezone.utc) if now is None else utc(now)
        if moment is None:
            report(logging.ERROR, _NO_MOMENT, short(now), mistake=True)
            moment = datetime.now(timezone.utc)
        self._fire("on_tick", {"now": moment}, coalesce=True)

    def ask_vetoes(self, candidates: Sequence[Candidate], *, timeout: float = 1.0, but: object | None = None) -> list[Veto]:
        """Ask the plugins which of these tmux sessions must stay (``reaper_veto``), for one that is about to end them.

        Each plugin is asked on a daemon thread of its own, all at the same time; it returns after ``timeout`` seconds at the
        latest. One that raises, answers with something else than a mapping of text to text, or gives no answer in time is
        logged, and has vetoed all: a ``Veto`` whose ``session`` is None. One that has not come back from an earlier question
        is not asked and has vetoed all, and so has every one after :meth:`close`. Nobody is asked where there is no candidate.
        ``but`` is a plugin that is not asked: the one that asks.
        """
        impls = getattr(self._manager.hook, VETO).get_hookimpls()
        plugins = {impl.plugin_name: impl.plugin for impl in impls if impl.plugin is not but}
        if not candidates:
            return []
        if self._dispatcher.ended:
            return [Veto(name, None, "its WorkspacePlugins are closed") for name in plugins]
        return self._inquiry.ask(plugins, candidates, timeout)

    def session_reaped(self, reap: Reaped) -> None:
        """Tell the plugins that a tmux session was ended; after that is in the history. Returns at once and never raises.

        Anything but a ``Reaped`` is an error in the log with the caller's stack, and nothing is fired.
        """
        if isinstance(reap, Reaped):
            self._fire("on_session_reaped", {"reap": reap})
        else:
            report(logging.ERROR, _NO_REAP, short(reap), mistake=True)

    def reaper_alarm(self, alarm: ReaperAlarm) -> None:
        """Tell the plugins that an alarm of the reaper has begun, or is over. Returns at once and never raises.

        Anything but a ``ReaperAlarm`` is an error in the log with the caller's stack, and nothing is fired.
        """
        if isinstance(alarm, ReaperAlarm):
            self._fire("on_reaper_alarm", {"alarm": alarm})
        else:
            report(logging.ERROR, _NO_ALARM, short(alarm), mistake=True)

    def ticking(self, every: float = 60) -> Ticking:
        """``with`` (or ``async with``) ``plugins.ticking(every=60):`` fires a tick now and then every ``every`` seconds.

        ``ValueError``: ``every`` is not a positive number. ``RuntimeError``: closed.
        """
        clock = Ticking(self.tick, every)
        self._clocks.add(clock)  # first: close() either finds it there, or has ended the dispatcher before
        if self._dispatcher.ended:
            raise RuntimeError("these WorkspacePlugins are closed")
        return clock

    def drain(self, timeout: float) -> bool:
        """Wait until every event fired so far is worked off, then for each plugin that has a ``drain(timeout) -> bool``.

        Whether all that was done within ``timeout`` seconds; a plugin that raised or answered False was not. Those that joined
        come first, so that what they fire meanwhile reaches the others. It returns at most half a second late, one second
        where a plugin joined. It blocks: call it neither from a hook nor on an event loop (there ``asyncio.to_thread``).
        """
        deadline = time.monotonic() + max(0.0, timeout)
        calls = {name: partial(self._drain_one, plugin, deadline) for name, plugin in self._plugins()}
        first = {name: calls.pop(name) for name in list(calls) if name in self._joined}
        firsts_well = call_each("drain", first, max(0.0, timeout) + GRACE)
        return call_each("drain", calls, max(0.0, deadline - time.monotonic()) + GRACE) and firsts_well

    def close(self, timeout: float = 5.0) -> None:
        """End the clocks and the threads, then call ``close()`` of each plugin that has one; within ``timeout`` seconds.

        Events that wait are still worked off, for half of that time; the rest is dropped, and that is logged. A plugin that
        does not come back is left behind on its daemon thread. A second call does nothing; an event fired afterwards is a
        warning in the log.
        """
        self._stop_clocks()
        if not self._dispatcher.end():
            return
        self._stop_clocks()  # those that were made in between
        deadline = time.monotonic() + timeout / 2
        calls = {name: partial(self._close_one, name, plugin, deadline) for name, plugin in self._plugins()}
        call_each("close", calls, timeout)

    def __enter__(self) -> WorkspacePlugins:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _add(self, plugin: object, name: str) -> str | None:
        if self._manager.is_blocked(name):
            report(logging.INFO, "plugin %r is blocked", name)
            return None
        if plugin is None:
            raise PluginValidationError(plugin, f"plugin {name!r} is None")
        if not check(plugin, name, self._manager):
            report(logging.WARNING, _NO_HOOK, name)
        try:
            return self._manager.register(plugin, name)
        except PluginValidationError:  # by a specification that the host added; pluggy 1.5 then keeps half of the plugin
            self._manager.unregister(name=name)
            raise

    def _admit(self, entry: EntryPoint) -> None:
        if self._manager.is_blocked(entry.name):
            report(logging.INFO, "plugin %r (%s) is blocked by %s", entry.name, entry.value, BLOCK_LIST)
            return
        try:
            self._add(entry.load(), entry.name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  (boundary: one entry point; importing it may do anything, also sys.exit())
            self._problems[entry.name] = "".join(format_exception_only(type(error), error)).strip()
            report(logging.ERROR, "plugin %r (%s) can't be loaded: skipped", entry.name, entry.value, error=error)
        else:
            report(logging.DEBUG, "plugin %r (%s) is loaded", entry.name, entry.value)

    def _join(self, name: str, plugin: object) -> None:
        if join(name, plugin, self):
            self._joined.add(name)

    def _fire(self, hook: str, kwargs: Mapping[str, object], *, coalesce: bool = False) -> None:
        try:
            impls = getattr(self._manager.hook, hook).get_hookimpls()
            self._dispatcher.fire(hook, impls, kwargs, coalesce=coalesce)
        except Exception as error:  # noqa: BLE001  (boundary: the host's call must not fail)
            report(logging.ERROR, "%s could not be fired", hook, error=error)

    def _stop_clocks(self) -> None:
        for clock in list(self._clocks):
            clock.stop()

    def _plugins(self) -> list[tuple[str, object]]:
        return [(name, plugin) for name, plugin in self._manager.list_name_plugin() if plugin is not None]

    def _drain_one(self, plugin: object, deadline: float) -> object:
        if not self._dispatcher.drain(plugin, deadline - time.monotonic()):
            return False
        drain = getattr(plugin, "drain", None) if self._owner else None
        return drain(max(0.0, deadline - time.monotonic())) if callable(drain) else True

    def _close_one(self, name: str, plugin: object, deadline: float) -> None:
        self._dispatcher.drain(plugin, deadline - time.monotonic())
        lost = self._dispatcher.abandon(plugin)
        if lost:
            report(logging.WARNING, "plugin %r is closed, and %d events never reached it", name, lost)
        close = getattr(plugin, "close", None) if self._owner else None
        if callable(close):
            close()

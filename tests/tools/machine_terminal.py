"""The tmux of the state machine as the product sees it: real, in the machine's time, and stopped where a life says so."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.tools.machine_freeze import Freeze
from tests.tools.machine_time import Carried
from workspace_reaper.model.session import Listing, Session, SessionKey
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Expiry, Guard, KillResults
from workspace_reaper.tmux.terminal import TmuxTerminal

__all__ = ["TimedTerminal"]


class TimedTerminal:
    """The port ``Terminal`` on a real tmux, in the machine's time. Only the times are not those that tmux has."""

    def __init__(self, real: TmuxTerminal, carried: Carried, freeze: Freeze) -> None:
        self._real = real
        self._freeze = freeze
        self._moments = carried
        self._seen: dict[SessionKey, tuple[Session, Session]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def observe(
        self, owner_id: str, *, panes: bool = True, only: Collection[str] = (), others: Collection[str] = ()
    ) -> Listing | Unknown:
        """The real listing, with each time carried over."""
        listing = self._real.observe(owner_id, panes=panes, only=only, others=others)
        if isinstance(listing, Unknown):
            return listing
        self._freeze.listed(only)
        return replace(listing, sessions=tuple(map(self._carried, listing.sessions)))

    def kill(self, guards: Sequence[Guard], expiry: Expiry) -> KillResults:
        """The real kill, with guards in tmux's own time."""
        real = [self._in_its_time(guard) for guard in guards]
        return self._freeze.send(expiry, lambda carried: self._real.kill(real, carried))

    def mark(self, workspaces: Mapping[SessionKey, str], owner_id: str) -> tuple[float, float | None]:
        """See ``Terminal``."""
        return self._real.mark({self._real_key(key): mark for key, mark in workspaces.items()}, owner_id)

    def own_options(self, keys: Collection[SessionKey]) -> Mapping[SessionKey, Mapping[str, str]]:
        """See ``Terminal``."""
        carried = {self._real_key(key): key for key in keys}
        return {carried[key]: options for key, options in self._real.own_options(carried).items()}

    def announce(self, made: Mapping[SessionKey, float], withdrawn: Sequence[SessionKey]) -> None:
        """See ``Terminal``."""
        real = {self._real_key(key): at for key, at in made.items()}
        self._real.announce(real, [self._real_key(key) for key in withdrawn])

    def keep(self, key: SessionKey, *, on: bool) -> bool:
        """See ``Terminal``."""
        return self._real.keep(self._real_key(key), on=on)

    def _real_key(self, key: SessionKey) -> SessionKey:
        return self._seen[key][0].key

    def _carried(self, session: Session) -> Session:
        socket, pid, start, session_id, created = session.key
        server, moment = (pid, start), self._moments.moment
        who = (*server, session_id)
        came = session.last_attached
        key = SessionKey(socket, pid, start, session_id, moment((*who, "created"), created).wall)
        carried = replace(
            session,
            key=key,
            activity=moment((*who, "activity"), session.activity).wall,
            last_attached=None if came is None else moment((*who, "came"), came).wall,
            windows=tuple(
                replace(window, activity=moment((*server, window.window_id), window.activity).wall)
                for window in session.windows
            ),
            panes=tuple(
                pane
                if pane.dead_at is None
                else replace(pane, dead_at=moment((*server, pane.window_id, "died"), pane.dead_at).wall)
                for pane in session.panes
            ),
        )
        self._seen[key] = (session, carried)
        return carried

    def _in_its_time(self, guard: Guard) -> Guard:
        real, carried = self._seen[guard.key]
        activity, quiet = guard.activity, guard.quiet_since
        if activity is not None:
            activity = real.activity if activity == carried.activity else 0
        if quiet is not None:
            pairs = zip(real.windows, carried.windows, strict=True)
            quiet = max((told.activity for told, window in pairs if window.activity <= quiet), default=0)
        return replace(guard, key=real.key, activity=activity, quiet_since=quiet)

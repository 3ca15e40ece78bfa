"""Time for a machine in small that lives through days within a second: its clocks can be moved on, tmux's own can't.

So each time that tmux tells is carried over into the machine's time when it is first seen: what happens after the clock was
moved on is dated as much later as the clock was moved. The product sees a real tmux through `TimedTerminal`, and whoever looks
on carries what tmux prints by the same `Carried`: both have the same numbers.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from workspace_reaper.model.session import Listing, Session, SessionKey
from workspace_reaper.model.state import ClockReading
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.model.verdict import Expiry, Guard, KillResults
from workspace_reaper.tmux.terminal import TmuxTerminal

__all__ = ["Carried", "MachineClock", "Moment", "TimedTerminal"]

STEP = 2
"""Seconds that go by from step to step at least."""


class Moment(NamedTuple):
    """``wall`` is what the machine's wall clock says; ``lived`` counts only the time that the machine was awake, however its
    wall clock was set. Unix seconds, for both, if nothing but real time has passed."""

    wall: int
    lived: int


class Carried:
    """``wall`` and ``lived`` are how many seconds the machine is ahead of tmux now."""

    def __init__(self) -> None:
        self.wall = 0
        self.lived = 0
        self._moments: dict[Hashable, tuple[int, Moment]] = {}

    def moment(self, what: Hashable, told: int) -> Moment:
        """When that was, which tmux dates so (Unix seconds). What did not move since the last look was when it was."""
        known = self._moments.get(what)
        if known is None or known[0] != told:
            known = self._moments[what] = (told, Moment(told + self.wall, told + self.lived))
        return known[1]

    def wait_for_another(self, *moving: Hashable) -> None:
        """tmux dates to the second: wait until what moves these now can be told from what moved them before the clock was
        moved on. No wait at all where it can."""
        for told, moment in filter(None, map(self._moments.get, moving)):
            if moment.wall != told + self.wall:
                time.sleep(max(0.0, told + 1.001 - time.time()))


class MachineClock:
    """The port ``Clock``. It stands still during a step, so that all who look at it in one step see the same."""

    def __init__(self, carried: Carried) -> None:
        self._carried = carried
        self._slept = 0
        self.go_on()

    def go_on(self, seconds: int = 0, *, asleep: int = 0, set_ahead: int = 0) -> None:
        """Let the real time pass, and so many seconds more; then so many asleep; then the wall clock is set.

        No two steps are in the same second: what happens does not depend on when tmux's clock ticks.
        """
        seconds += STEP
        self._slept += asleep
        self._carried.lived += seconds
        self._carried.wall += seconds + asleep + set_ahead
        now, awake = time.time(), time.monotonic() + self._carried.lived
        self.lived = now + self._carried.lived
        self._reading = ClockReading(now + self._carried.wall, awake + self._slept, awake)

    def now(self) -> float:
        """See ``Clock``."""
        return self._reading.wall

    def read(self) -> ClockReading:
        """See ``Clock``."""
        return self._reading


class TimedTerminal:
    """The port ``Terminal`` on a real tmux, in the machine's time. Only the times are not those that tmux has."""

    def __init__(self, real: TmuxTerminal, carried: Carried) -> None:
        self._real = real
        self._moments = carried
        self._seen: dict[SessionKey, tuple[Session, Session]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def observe(self, owner_id: str, *, panes: bool = True, only: Collection[str] = ()) -> Listing | Unknown:
        """The real listing, with each time carried over."""
        listing = self._real.observe(owner_id, panes=panes, only=only)
        if isinstance(listing, Unknown):
            return listing
        return replace(listing, sessions=tuple(map(self._carried, listing.sessions)))

    def kill(self, guards: Sequence[Guard], expiry: Expiry) -> KillResults:
        """The real kill, with guards in tmux's own time."""
        return self._real.kill([self._in_its_time(guard) for guard in guards], expiry)

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

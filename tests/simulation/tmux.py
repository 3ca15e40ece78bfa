"""A tmux server in memory, and the port ``Terminal`` over it. ``tests/contract/test_terminal.py`` holds it to the real one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from tests.tools.clocks import VirtualClock
from workspace_reaper.model.session import Listing, Owner, Pane, Server, Session, SessionKey, Window
from workspace_reaper.model.snapshot import CapturedPane, CapturedSession, CaptureFailure
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.model.verdict import Expiry, Guard, KillResult, KillResults

__all__ = ["MemoryTerminal", "MemoryTmux", "SimulatedSession"]

_MARKS = ("@workspace_owner", "@reaper_workspace", "@reaper_self")


@dataclass(slots=True)
class _SimulatedPane:
    pane_id: str
    pid: int
    dead_at: int | None = None


@dataclass(slots=True, eq=False)
class SimulatedSession:
    """A session with one window and one pane. ``clients`` says of each client whether it is suspended."""

    session_id: str
    name: str
    created: int
    window_id: str
    pane: _SimulatedPane
    group: int
    activity: int
    output: int
    last_attached: int | None = None
    clients: dict[int, bool] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)


class MemoryTmux:
    """The server of one socket, as its users see it. Its clock is in whole seconds."""

    def __init__(self, clock: VirtualClock, path: str = "/simulated/tmux") -> None:
        self.path = path
        self.sessions: dict[str, SimulatedSession] = {}
        self.options: dict[str, str] = {}
        self.fault: str | None = None
        self._clock = clock
        self._pid = 1000
        self._numbers = 0
        self._start: int | None = None

    @property
    def now(self) -> int:
        """The clock of the server in Unix seconds."""
        return int(self._clock.now())

    @property
    def server(self) -> Server | None:
        """The server, if it runs."""
        return None if self._start is None else Server(self._pid, self._start, "3.5a")

    def new_session(self, name: str, *, group: str | None = None) -> str:
        """Make a session, in the group of another one if that is named, and return its id."""
        if self._start is None:
            # A new server counts from zero again.
            self._pid, self._start, self._numbers = self._pid + 1, self.now, 0
        number, now = self._numbers, self.now
        self._numbers += 1
        peer = self.sessions[group] if group is not None else None
        window, pane = (peer.window_id, peer.pane) if peer else (f"@{number}", _SimulatedPane(f"%{number}", self._next_pid()))
        output = peer.output if peer else now
        made = SimulatedSession(f"${number}", name, now, window, pane, peer.group if peer else number, now, output)
        self.sessions[made.session_id] = made
        return made.session_id

    def kill_session(self, session_id: str) -> None:
        """End a session. The server ends with its last one."""
        self.sessions.pop(session_id, None)
        if not self.sessions:
            self._start = None

    def kill_server(self) -> None:
        """End all sessions."""
        for session_id in list(self.sessions):
            self.kill_session(session_id)

    def rename(self, session_id: str, name: str) -> None:
        self.sessions[session_id].name = name

    def set_option(self, session_id: str, name: str, value: str) -> None:
        self.sessions[session_id].options[name] = value

    def set_global_option(self, name: str, value: str) -> None:
        self.options[name] = value

    def write(self, session_id: str) -> None:
        """Its program prints something."""
        for peer in self._peers(self.sessions[session_id]):
            peer.output = self.now

    def exit(self, session_id: str) -> None:
        """Its program ends, and its pane stays (``remain-on-exit``)."""
        self.sessions[session_id].pane.dead_at = self.now

    def respawn(self, session_id: str) -> None:
        """A new program is started in its pane."""
        pane = self.sessions[session_id].pane
        pane.pid, pane.dead_at = self._next_pid(), None
        self.write(session_id)

    def attach(self, session_id: str) -> int:
        """A client attaches. Returns its number."""
        one = self.sessions[session_id]
        client = self._next_pid()
        one.clients[client] = False
        one.activity = one.last_attached = self.now
        return client

    def suspend(self, session_id: str, client: int) -> None:
        self.sessions[session_id].clients[client] = True

    def detach(self, session_id: str, client: int) -> None:
        self.sessions[session_id].clients.pop(client)

    def _peers(self, one: SimulatedSession) -> list[SimulatedSession]:
        return [peer for peer in self.sessions.values() if peer.group == one.group]

    def _next_pid(self) -> int:
        self._pids = getattr(self, "_pids", 5000) + 1
        return self._pids

    # What formats see

    def key_of(self, one: SimulatedSession) -> SessionKey:
        """The identity of a session of the running server."""
        assert self._start is not None
        return SessionKey(self.path, self._pid, self._start, one.session_id, one.created)

    def option(self, one: SimulatedSession, name: str) -> str:
        """The value of an option as a format sees it: that of the session, or the global one."""
        return one.options.get(name, self.options.get(name, ""))

    def find(self, key: SessionKey) -> SimulatedSession | None:
        """The session with exactly that identity."""
        one = self.sessions.get(key.session_id)
        return one if one is not None and self.key_of(one) == key else None

    def seen(self, one: SimulatedSession, owner_id: str, *, panes: bool) -> Session:
        """The row of a listing."""
        peers = self._peers(one)
        owner, pane = self.option(one, "@workspace_owner"), one.pane
        is_dead = pane.dead_at is not None
        shown = (Pane(pane.pane_id, one.window_id, pane.pid, is_dead, pane.dead_at),)
        return Session(
            key=self.key_of(one),
            name=one.name,
            activity=one.activity,
            last_attached=one.last_attached,
            attached=sum(not suspended for suspended in one.clients.values()),
            has_client=bool(one.clients),
            group_has_client=any(peer.clients for peer in peers) and len(peers) > 1,
            grouped=len(peers) > 1,
            kept=self.option(one, "@reaper_keep") != "",
            all_panes_dead=is_dead,
            owner=Owner.NONE if not owner else Owner.OURS if owner == owner_id else Owner.FOREIGN,
            version="3.5a",
            windows=(Window(one.window_id, one.output, len(peers) > 1),),
            panes=shown if panes else (),
            owner_id=_readable(owner),
            workspace_mark=_readable(self.option(one, "@reaper_workspace")),
            is_self_marked=self.option(one, "@reaper_self") == self.identity(one),
        )

    def identity(self, one: SimulatedSession) -> str:
        """What ``@reaper_self`` is for the session itself."""
        return f"{one.session_id}/{one.created}/{self._pid}"


class MemoryTerminal:
    """The port ``Terminal`` over a `MemoryTmux`."""

    def __init__(self, tmux: MemoryTmux) -> None:
        self._tmux = tmux

    @property
    def socket(self) -> str:
        return self._tmux.path

    def observe(self, owner_id: str, *, panes: bool = True, only: Collection[str] = ()) -> Listing | Unknown:
        tmux = self._tmux
        if tmux.fault is not None:
            return Unknown(Source.SOCKET, tmux.fault, tmux.path)
        if tmux.server is None:
            return Listing(tmux.path, (), answered=False)
        ones = [one for one in tmux.sessions.values() if not only or one.session_id in only]
        sessions = tuple(tmux.seen(one, owner_id, panes=panes) for one in ones)
        return Listing(tmux.path, sessions, server=tmux.server if sessions else None, server_time=tmux.now)

    def kill(self, guards: Sequence[Guard], expiry: Expiry) -> KillResults:
        answers = {guard.key.session_id: self._kill(guard, expiry) for guard in guards}
        return KillResults(answers, 0.0, self._tmux.fault)

    def _kill(self, guard: Guard, expiry: Expiry) -> KillResult:
        tmux = self._tmux
        if tmux.fault is not None or tmux.server is None or guard.key.socket != tmux.path:
            return KillResult.NONE
        one = tmux.sessions.get(guard.key.session_id)
        if one is None:
            return KillResult.GONE
        if tmux.find(guard.key) is not None and expiry.admits(tmux.now) and self._holds(guard, one):
            tmux.kill_session(one.session_id)
            return KillResult.KILLED
        return KillResult.SPARED if expiry.admits(tmux.now) else KillResult.STALE

    def _holds(self, guard: Guard, one: SimulatedSession) -> bool:
        seen = self._tmux.seen(one, "0", panes=True)
        return (
            not seen.kept
            and guard.activity in (None, seen.activity)
            and not (guard.unattached and seen.is_attached)
            and not (guard.quiet_since is not None and one.output > guard.quiet_since)
            and not (guard.all_panes_dead and not seen.all_panes_dead)
            and not (guard.ungrouped and seen.grouped)
            and guard.owner in (None, self._tmux.option(one, "@workspace_owner"))
            and guard.workspace in (None, self._tmux.option(one, "@reaper_workspace"))
        )

    def capture(
        self, keys: Sequence[SessionKey], *, lines: int, spool: BinaryIO
    ) -> Iterator[CapturedPane | CapturedSession | CaptureFailure]:
        yield from (CaptureFailure(key, "the simulation has no panes to capture") for key in keys)

    def mark(self, workspaces: Mapping[SessionKey, str], owner_id: str) -> tuple[float, float | None]:
        for key, mark in workspaces.items():
            one = self._tmux.find(key)
            if one is not None and self._tmux.option(one, "@workspace_owner") in ("", owner_id):
                self._set_marks(one, mark, owner_id)
        return 0.0, None

    def own_options(self, keys: Collection[SessionKey]) -> Mapping[SessionKey, Mapping[str, str]]:
        found = {key: one for key in keys if (one := self._tmux.find(key)) is not None and self._tmux.fault is None}
        return {key: self._own(one) for key, one in found.items()}

    def _own(self, one: SimulatedSession) -> dict[str, str]:
        is_self = one.options.get("@reaper_self") == self._tmux.identity(one)
        return {name: value for name, value in one.options.items() if name != "@reaper_self" or is_self}

    def announce(self, made: Mapping[SessionKey, float], withdrawn: Sequence[SessionKey]) -> None:
        for key in [*made, *withdrawn]:
            one = self._tmux.find(key)
            if one is not None:
                one.options.pop("@reaper_deadline", None)
                if key in made:
                    one.options["@reaper_deadline"] = str(int(made[key]))

    def adopt(self, workspaces: Mapping[SessionKey, str], seen: str, owner_id: str) -> frozenset[SessionKey]:
        taken = self._owned(workspaces, seen)
        for key, one in taken.items():
            self._set_marks(one, workspaces[key], owner_id)
        return frozenset(taken)

    def release(self, keys: Collection[SessionKey], seen: str) -> frozenset[SessionKey]:
        taken = self._owned(keys, seen)
        for one in taken.values():
            for name in _MARKS:
                one.options.pop(name, None)
        return frozenset(key for key, one in taken.items() if not self._tmux.option(one, "@workspace_owner"))

    def keep(self, key: SessionKey, *, on: bool) -> bool:
        one = self._tmux.find(key)
        if one is None:
            return False
        one.options.pop("@reaper_keep", None)
        if on:
            one.options["@reaper_keep"] = "1"
        return (self._tmux.option(one, "@reaper_keep") != "") is on

    def _owned(self, keys: Collection[SessionKey], owner: str) -> dict[SessionKey, SimulatedSession]:
        found = {key: one for key in keys if (one := self._tmux.find(key)) is not None}
        return {key: one for key, one in found.items() if self._tmux.option(one, "@workspace_owner") == owner}

    def _set_marks(self, one: SimulatedSession, mark: str, owner_id: str) -> None:
        values = (owner_id, mark, self._tmux.identity(one))
        one.options.update(zip(_MARKS, values, strict=True))


def _readable(value: str) -> str:
    return re.sub("[^0-9a-f]", ".", value)

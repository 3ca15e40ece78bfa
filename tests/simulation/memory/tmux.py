"""A tmux server in memory, whose panes run processes of a simulated machine. See `MemoryTerminal` for the port over it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tests.simulation.memory.machine import MemoryMachine
from tests.simulation.memory.process import SimulatedProcess
from tests.simulation.memory.sessions import SimulatedPane, SimulatedSession, SimulatedWindow
from workspace_reaper.model.session import Server, SessionKey

__all__ = ["MemoryTmux", "SimulatedSession"]


class MemoryTmux:
    """The server of one socket, as its users see it. Its clock is in whole seconds.

    A session starts with one window and one pane. The server starts with the first session, ends with the last, and then counts
    from zero again. ``fault`` is why it does not answer; ``answers_kept`` is how many answers of the next batch arrive before
    the rest is cut off (None: all). ``is_unlinked``: it runs, and its socket was removed.
    """

    def __init__(self, machine: MemoryMachine, path: str = "/simulated/tmux") -> None:
        self.path = path
        self.machine = machine
        self.sessions: dict[str, SimulatedSession] = {}
        self.options: dict[str, str] = {}
        self.fault: str | None = None
        self.is_unlinked = False
        self.answers_kept: int | None = None
        self.remain_on_exit = True
        self._process: SimulatedProcess | None = None
        self._start = 0
        self._numbers = 0
        self._windows = 0
        self._panes = 0
        self._clients = 0

    @property
    def now(self) -> int:
        """The clock of the server in Unix seconds."""
        return int(self.machine.clock.now())

    @property
    def is_reachable(self) -> bool:
        """Whether a client that connects gets an answer."""
        return self.fault is None and not self.is_unlinked and self.server is not None

    @property
    def server(self) -> Server | None:
        """The server, if it runs."""
        self.machine.settle()
        return None if self._process is None else Server(self._process.pid, self._start, "3.5a")

    # Sessions

    def new_session(
        self,
        name: str,
        *,
        group: str | None = None,
        argv: Sequence[str] = ("sh",),
        cwd: str | None = None,
        ignores: Collection[int] = (),
        owner: str = "",
    ) -> str:
        """Make a session, in the group of another one if that is named, and return its id."""
        if self._process is None:
            pid = self.machine.spawn(["tmux: server"], environ={}, cwd="/")
            self._process = self.machine.processes[pid]
            self._process.on_exit = self._server_ended
            self.is_unlinked = False
            self._start, self._numbers, self._windows, self._panes = self.now, 0, 0, 0
        number, now = self._numbers, self.now
        self._numbers += 1
        peer = self.sessions[group] if group is not None else None
        windows = peer.windows if peer else []
        key = SessionKey(self.path, self._process.pid, self._start, f"${number}", now)
        made = SimulatedSession(key, name, windows, peer.group if peer else number, now)
        self.sessions[made.session_id] = made
        if peer is None:
            self.new_window(made.session_id, argv=argv, cwd=cwd, ignores=ignores, owner=owner)
        for window in windows:
            window.sessions.add(made.session_id)
        return made.session_id

    def kill_session(self, session_id: str) -> None:
        """End a session. Windows that no other session shows end with it. The server ends with its last session."""
        one = self.sessions.pop(session_id, None)
        if one is None:
            return
        for window in one.windows:
            window.sessions.discard(session_id)
        for pane in [pane for window in one.windows if not window.sessions for pane in window.panes]:
            self._close(pane)
        if not self.sessions and self._process is not None:
            self.machine.exit(self._process.pid)

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

    # Windows and panes

    def new_window(
        self,
        session_id: str,
        *,
        argv: Sequence[str] = ("sh",),
        cwd: str | None = None,
        ignores: Collection[int] = (),
        owner: str = "",
    ) -> str:
        """Make a window in the session, and in those of its group, and return its id."""
        one = self.sessions[session_id]
        window = SimulatedWindow(f"@{self._windows}", [], self.now, {peer.session_id for peer in self.peers(one)})
        self._windows += 1
        one.windows.append(window)
        window.panes.append(self._new_pane(one, argv, cwd, ignores, owner))
        return window.window_id

    def split(self, session_id: str, *, argv: Sequence[str] = ("sh",), cwd: str | None = None, owner: str = "") -> str:
        """Make another pane in the first window of the session, and return its id."""
        one = self.sessions[session_id]
        pane = self._new_pane(one, argv, cwd, (), owner)
        one.windows[0].panes.append(pane)
        return pane.pane_id

    def link(self, session_id: str, other: str) -> None:
        """Show the first window of a session in another session too."""
        window = self.sessions[session_id].windows[0]
        self.sessions[other].windows.append(window)
        window.sessions.update(peer.session_id for peer in self.peers(self.sessions[other]))

    def process(self, session_id: str) -> SimulatedProcess:
        """The process of its first pane."""
        return self.sessions[session_id].windows[0].panes[0].process

    def write(self, session_id: str) -> None:
        """The program in its first window prints something."""
        self.sessions[session_id].windows[0].output = self.now

    def exit(self, session_id: str) -> None:
        """The program in its first pane ends. The pane stays if ``remain_on_exit``."""
        self.machine.exit(self.process(session_id).pid)

    def respawn(self, session_id: str) -> None:
        """A new program is started in its first pane."""
        one = self.sessions[session_id]
        pane, old = one.windows[0].panes[0], self.process(session_id)
        pane.dead_at = None
        place = old.directory.path()
        cwd = place if self.machine.tree.at(place) is not None else "/"
        pane.process = self._start_program(one, pane.pane_id, old.argv, cwd, (), old.owner)
        self.write(session_id)

    def attach(self, session_id: str) -> int:
        """A client attaches. Returns its number."""
        one = self.sessions[session_id]
        self._clients += 1
        one.clients[self._clients] = False
        one.activity = one.last_attached = self.now
        return self._clients

    def press_key(self, session_id: str) -> None:
        """A client sends a key."""
        self.sessions[session_id].activity = self.now

    def suspend(self, session_id: str, client: int) -> None:
        self.sessions[session_id].clients[client] = True

    def detach(self, session_id: str, client: int) -> None:
        self.sessions[session_id].clients.pop(client)

    def _new_pane(
        self, one: SimulatedSession, argv: Sequence[str], cwd: str | None, ignores: Collection[int], owner: str
    ) -> SimulatedPane:
        pane_id = f"%{self._panes}"
        self._panes += 1
        return SimulatedPane(pane_id, self._start_program(one, pane_id, argv, cwd, ignores, owner))

    def _start_program(
        self, one: SimulatedSession, pane_id: str, argv: Sequence[str], cwd: str | None, ignores: Collection[int], owner: str
    ) -> SimulatedProcess:
        assert self._process is not None
        environ = {"TMUX": f"{self.path},{self._process.pid},{one.session_id[1:]}", "TMUX_PANE": pane_id}
        pid = self.machine.spawn(
            argv, parent=self._process.pid, environ=environ, cwd=cwd, ignores=ignores, has_terminal=True, owner=owner
        )
        process = self.machine.processes[pid]
        process.on_exit = self._program_ended
        return process

    def _close(self, pane: SimulatedPane) -> None:
        """A pane goes, and with it the terminal of its processes."""
        pane.process.on_exit = None
        if pane.process.terminal is not None:
            self.machine.hang_up(pane.process.terminal)

    def _program_ended(self, process: SimulatedProcess) -> None:
        for one in list(self.sessions.values()):
            for window in list(one.windows):
                for pane in [pane for pane in window.panes if pane.process is process]:
                    pane.dead_at = self.now
                    if not self.remain_on_exit:
                        self._remove(window, pane)

    def _remove(self, window: SimulatedWindow, pane: SimulatedPane) -> None:
        window.panes.remove(pane)
        if not window.panes:
            for session_id in sorted(window.sessions):
                one = self.sessions.get(session_id)
                if one is not None and window in one.windows:
                    one.windows.remove(window)
                if one is not None and not one.windows:
                    self.kill_session(session_id)

    def _server_ended(self, _process: SimulatedProcess) -> None:
        """It has exited or crashed: all its panes go."""
        lost = {pane.pane_id: pane for one in self.sessions.values() for pane in one.panes}
        self.sessions.clear()
        self._process = None
        for pane in lost.values():
            self._close(pane)

    # What formats see

    def peers(self, one: SimulatedSession) -> list[SimulatedSession]:
        """The sessions of its group."""
        return [peer for peer in self.sessions.values() if peer.group == one.group]

    def key_of(self, one: SimulatedSession) -> SessionKey:
        """The identity of a session of the running server."""
        return one.key

    def option(self, one: SimulatedSession, name: str) -> str:
        """The value of an option as a format sees it: that of the session, or the global one."""
        return one.options.get(name, self.options.get(name, ""))

    def find(self, key: SessionKey) -> SimulatedSession | None:
        """The session with exactly that identity."""
        one = self.sessions.get(key.session_id)
        return one if one is not None and one.key == key else None

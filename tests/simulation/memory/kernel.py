"""What the kernel of a simulated machine does: it ends processes, delivers signals, and shows its table.

Nothing happens by itself. Only a process that takes time to end (``delay``) ends as the clock goes on, when somebody looks.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Mapping

from tests.simulation.memory.files import MemoryTree
from tests.simulation.memory.process import Delivery, SimulatedProcess, Terminal
from tests.tools.clocks import VirtualClock
from workspace_reaper.model.process import Process

__all__ = ["INIT", "TICKS", "Kernel"]

INIT = 1
TICKS = 100
_ENDS = frozenset({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2})


class Kernel:
    """The processes of a machine of one user, and its directories.

    ``is_root``: this user may read and end the processes of others, whose user is ``other_uid``. ``fault`` is why the table of
    processes cannot be read. ``delivered`` are the signals that reached a process, in order.
    """

    def __init__(
        self,
        clock: VirtualClock,
        tree: MemoryTree | None = None,
        *,
        is_root: bool = False,
        homes: Collection[str] = ("/home/me",),
        boot: str = "boot-1",
    ) -> None:
        self.clock = clock
        self.tree = tree or MemoryTree()
        # The sweep compares the users of processes with the one that it runs as itself.
        self.uid = os.geteuid()
        self.other_uid = self.uid + 1
        self.is_root = is_root
        self.homes = frozenset(homes)
        self.boot = boot
        self.fault: str | None = None
        self.delivered: list[Delivery] = []
        self.processes: dict[int, SimulatedProcess] = {}
        self._ending: list[tuple[float, SimulatedProcess]] = []
        self._rows: dict[int, Process] | None = None

    def exit(self, pid: int, *, collected: bool | None = None) -> None:
        """It ends. Its children go to init, and its terminal is hung up if it led the session.

        ``collected``: whether the parent waits for it; otherwise it stays as a zombie. The default is its ``is_collected``.
        """
        one = self.processes[pid]
        if one.is_zombie:
            return
        one.is_zombie, one.ended_at = True, self.clock.now()
        self.changed(one)
        for child in [child for child in self.processes.values() if child.parent == pid]:
            child.parent = INIT
            self.changed(child)
            if child.is_zombie:
                self.collect(child.pid)
        if one.parent <= INIT or (one.is_collected if collected is None else collected):
            self.collect(pid)
        if one.leader == pid and one.terminal is not None:
            self._take(one.terminal, one)
        if one.hung_up is not None:
            self._hang_up_group(one.leader, one.hung_up)
        if one.on_exit is not None:
            one.on_exit(one)

    def collect(self, pid: int) -> None:
        """The parent of a zombie waits for it, and gets its CPU time."""
        one = self.processes.pop(pid)
        parent = self.processes.get(one.parent)
        if parent is not None:
            parent.cpu += one.cpu
            self.changed(parent)
        self._rows = None

    # Signals

    def send(self, one: SimulatedProcess, number: int, by: str) -> None:
        """Deliver a signal, and record the truth about the process at that moment."""
        if number and not one.is_zombie:
            self.delivered.append(one.delivery(number, by, self.clock.now(), self.living_clients(one)))
            self._receive(one, number)

    def _receive(self, one: SimulatedProcess, number: int) -> None:
        if number == signal.SIGKILL:
            self.exit(one.pid)
        elif number == signal.SIGSTOP:
            one.is_stopped = True
        elif number == signal.SIGCONT:
            one.is_stopped = False
            waiting, one.pending = one.pending, []
            for each in waiting:
                self._receive(one, each)
        elif number in _ENDS and number not in one.ignores and not one.is_zombie:
            if one.is_stopped:
                one.pending.append(number)
            elif one.delay:
                self._ending.append((self.clock.monotonic() + one.delay, one))
            else:
                self.exit(one.pid)

    def hang_up(self, terminal: Terminal) -> None:
        """The terminal goes, as when a pane is closed. Its leader gets SIGHUP, and the foreground when the leader ends."""
        leader = next((one for one in self.processes.values() if one.terminal is terminal and one.leader == one.pid), None)
        self._take(terminal, leader)
        if leader is not None:
            for number in (signal.SIGHUP, signal.SIGCONT):
                self.send(leader, number, "hangup")

    def _take(self, terminal: Terminal, leader: SimulatedProcess | None) -> None:
        """Take the terminal from all processes that have it. The leader remembers the foreground."""
        if leader is not None:
            leader.hung_up = terminal.foreground
        for one in self.processes.values():
            if one.terminal is terminal:
                one.terminal = None
                self.changed(one)

    def _hang_up_group(self, leader: int, group: int) -> None:
        members = [one for one in self.processes.values() if one.leader == leader and one.group == group]
        for number in (signal.SIGHUP, signal.SIGCONT):
            for one in members:
                self.send(one, number, "hangup")

    # What ports see

    def settle(self) -> None:
        """End what was to end by now."""
        if self._ending:
            now = self.clock.monotonic()
            due = [one for at, one in self._ending if at <= now]
            self._ending = [(at, one) for at, one in self._ending if at > now]
            for one in due:
                if self.processes.get(one.pid) is one:
                    self.exit(one.pid)

    def find(self, pid: int) -> SimulatedProcess | None:
        """The process that has this pid and has not ended."""
        self.settle()
        one = self.processes.get(pid)
        return None if one is None or one.is_zombie else one

    def may_read(self, one: SimulatedProcess) -> bool:
        """Whether this user may read its files in ``/proc`` and send it a signal."""
        return self.is_root or one.uids == {self.uid}

    def rows(self) -> Mapping[int, Process]:
        """The table of processes. It is never changed afterwards."""
        self.settle()
        if self._rows is None:
            self._rows = {pid: one.row or self._row(one) for pid, one in self.processes.items() if not one.is_hidden}
        return self._rows

    def _row(self, one: SimulatedProcess) -> Process:
        origin = one.origin if self.may_read(one) and not one.is_zombie else None
        foreground = -1 if one.terminal is None else one.terminal.foreground
        seconds = int(one.cpu * TICKS) / TICKS
        one.row = Process(one.key, one.parent, one.name, one.is_zombie, one.group, foreground, seconds, origin)
        return one.row

    def changed(self, one: SimulatedProcess) -> None:
        """Forget what was kept of it for the table."""
        one.row = self._rows = None

    def living_clients(self, one: SimulatedProcess) -> list[SimulatedProcess]:
        """Those that are connected to it, by pid."""
        return sorted((each for each in one.clients if not each.is_zombie), key=lambda each: each.pid)

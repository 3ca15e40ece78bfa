"""A simulated machine, and what its users and their programs do: a world calls these methods."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tests.simulation.memory.files import MemoryTree
from tests.simulation.memory.kernel import INIT, TICKS, Kernel
from tests.simulation.memory.process import SimulatedProcess, Terminal
from tests.tools.clocks import VirtualClock
from workspace_reaper.model.process import Origin, Port
from workspace_reaper.processes.origin import PANE, TMUX, read_origin

__all__ = ["INIT", "MemoryMachine"]


class MemoryMachine(Kernel):
    """A machine of one user, whose processes these are unless they have other ``uids``."""

    def __init__(self, clock: VirtualClock, tree: MemoryTree | None = None, **options: Any) -> None:
        super().__init__(clock, tree, **options)
        self._starts: dict[int, int] = {}
        self._last_pid = 0
        self.spawn(["init"], parent=0, environ={}, cwd="/", uids=[self.other_uid])

    # What programs do

    def spawn(
        self,
        argv: Sequence[str] = ("sleep",),
        *,
        parent: int = INIT,
        environ: Mapping[str, str] | None = None,
        cwd: str | None = None,
        pid: int | None = None,
        uids: Collection[int] | None = None,
        ignores: Collection[int] = (),
        ports: Collection[Port] = (),
        memory: int = 0,
        delay: float = 0.0,
        has_terminal: bool = False,
        owner: str = "",
    ) -> int:
        """Start a program and return its pid. Environment, directory and session are those of the parent unless given.

        Args:
            argv: Its command line.
            parent: The pid of its parent.
            environ: Its environment. Only what names a pane is kept.
            cwd: Its working directory.
            pid: Its pid, which must be free. The default has not been used before.
            uids: Its users.
            ignores: The signals that it ignores.
            ports: Those on which it listens.
            memory: In bytes.
            delay: For how many seconds it works on after a signal that ends it.
            has_terminal: Whether it leads a new session with a terminal of its own, as the program of a pane does.
            owner: Whose it really is. No port shows it.
        """
        above = self.processes.get(parent)
        self._last_pid += pid is None
        number = self._last_pid if pid is None else pid
        assert number not in self.processes
        one = SimulatedProcess(
            pid=number,
            ticks=max(int(self.clock.read().elapsed * TICKS), self._starts.get(number, -1) + 1),
            parent=parent,
            name=_name(argv),
            argv=tuple(argv),
            uids=frozenset([self.uid] if uids is None else uids),
            directory=above.directory if cwd is None and above else self.tree.resolve(cwd or "/"),
            origin=above.origin if environ is None and above else _origin(environ or {}),
            group=number if has_terminal or above is None else above.group,
            leader=number if has_terminal or above is None else above.leader,
            terminal=Terminal(number) if has_terminal else above.terminal if above else None,
            ignores=frozenset(ignores),
            ports=frozenset(ports),
            memory=memory,
            delay=delay,
            owner=owner,
        )
        self._starts[number] = one.ticks
        self.processes[number] = one
        self._rows = None
        return number

    def fork(self, pid: int, *, owner: str | None = None) -> int:
        """It makes a child that is like itself, with the same sockets."""
        one = self.processes[pid]
        child = self.spawn(
            one.argv,
            parent=pid,
            uids=one.uids,
            ignores=one.ignores,
            ports=one.ports,
            memory=one.memory,
            delay=one.delay,
            owner=one.owner if owner is None else owner,
        )
        # Its working directory may have been removed.
        self.processes[child].directory = one.directory
        return child

    def run(self, pid: int, argv: Sequence[str], *, environ: Mapping[str, str] | None = None) -> None:
        """It runs another program (exec) and stays the same process."""
        one = self.processes[pid]
        one.argv, one.name = tuple(argv), _name(argv)
        one.origin = one.origin if environ is None else _origin(environ)
        self.changed(one)

    def set_session(self, pid: int) -> None:
        """It leaves its terminal and its group (setsid)."""
        one = self.processes[pid]
        one.group = one.leader = pid
        one.terminal = None
        self.changed(one)

    def set_group(self, pid: int, *, foreground: bool = True) -> None:
        """It leads a process group of its own, as a job of a shell does, in the foreground of its terminal or not."""
        one = self.processes[pid]
        one.group = pid
        if one.terminal is not None and foreground:
            one.terminal.foreground = pid
            for peer in self.processes.values():
                if peer.terminal is one.terminal:
                    self.changed(peer)
        self.changed(one)

    def recycle(self, pid: int, argv: Sequence[str] = ("sleep",), **options: Any) -> int:
        """It ends, and another process gets its pid, with another start time."""
        if pid in self.processes:
            self.exit(pid, collected=True)
        if pid in self.processes:
            self.collect(pid)
        return self.spawn(argv, pid=pid, **options)

    def work(self, pid: int, seconds: float) -> None:
        """It uses so much CPU time."""
        one = self.processes[pid]
        one.cpu += seconds
        self.changed(one)

    def wait_for_cpu(self, pid: int, seconds: float) -> None:
        """It has waited for a CPU for so long, and got one."""
        self.processes[pid].waited += seconds

    def starve(self, pid: int, *, on: bool = True) -> None:
        """It waits for a CPU and gets none, or runs."""
        self.processes[pid].is_runnable = on

    def hide(self, pid: int, *, on: bool = True) -> None:
        """It is in no table that this user sees (``hidepid``), and the kernel knows it."""
        self.processes[pid].is_hidden = on
        self._rows = None

    def change_directory(self, pid: int, path: str) -> None:
        self.processes[pid].directory = self.tree.resolve(path)

    def connect(self, client: int, *servers: int) -> None:
        """It is connected to a Unix socket on which these listen or which they have accepted."""
        for server in servers:
            self.processes[server].clients.add(self.processes[client])


def _name(argv: Sequence[str]) -> str:
    return argv[0].rpartition("/")[2][:15]


def _origin(environ: Mapping[str, str]) -> Origin | None:
    return read_origin(environ.get(TMUX, ""), environ.get(PANE, ""))

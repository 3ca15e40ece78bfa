"""What a test does with processes, to real ones and to those of the simulation: both hold the same contract."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import pytest

from tests.simulation.memory.machine import MemoryMachine
from tests.simulation.memory.processes import MemoryProcesses
from tests.tools.clocks import VirtualClock
from tests.tools.real_processes import BOTH, Started
from workspace_reaper.model.machine_ports import Processes
from workspace_reaper.model.process import Port, ProcessKey
from workspace_reaper.processes.processes import SystemProcesses

__all__ = ["LINUX_OR_MEMORY", "MACHINES", "Child", "Machine", "RealMachine", "SimulatedChild", "SimulatedMachine", "machine_of"]

COMMANDS = """
import signal, socket
print('ready', flush=True)
for line in sys.stdin:
    exec(eval(line))
"""
FORK = """
end, held = os.pipe()
if not (pid := os.fork()):
    os.close(held)
    os.read(end, 1)
    os._exit(0)
print(pid, flush=True)
"""
DAEMON = """
end, held = os.pipe()
if not os.fork():
    os.setsid()
    if not os.fork():
        os.close(held)
        print(os.getpid(), flush=True)
        os.read(end, 1)
    os._exit(0)
os.wait()
"""
BURN = """
import subprocess
subprocess.run([sys.executable, '-S', '-c', 'import time\\nwhile time.process_time() < %s: pass'])
print('done', flush=True)
"""
LISTEN = """
server = socket.socket(type=socket.SOCK_STREAM if %r == 'tcp' else socket.SOCK_DGRAM)
server.bind(('127.0.0.1', 0))
if %r == 'tcp': server.listen()
print(server.getsockname()[1], flush=True)
"""


class Child(Protocol):
    """A process of the test. It ends with the test at the latest, and so do those that it has started."""

    pid: int

    @property
    def key(self) -> ProcessKey: ...
    def __enter__(self) -> Child: ...
    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...
    def end(self) -> object: ...
    def become_zombie(self) -> None: ...
    def fork(self) -> int: ...
    def start_daemon(self) -> int: ...
    def run(self, environ: Mapping[str, str]) -> None: ...
    def change_directory(self, path: str | Path) -> None: ...
    def stop(self) -> None: ...
    def wait_for_a_busy_child(self, seconds: float) -> None: ...
    def listen(self, protocol: str) -> Port: ...


class Machine(Protocol):
    """A machine with the processes of the test."""

    own: int
    own_parent: int
    uid: int

    @property
    def processes(self) -> Processes: ...
    def spawn(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        ignores: Collection[int] = (),
        memory: int = 0,
    ) -> Child: ...
    def program(self, argv: Sequence[str]) -> Child: ...


class RealChild(Started):
    """A real process that runs what it is sent."""

    def __init__(self, code: str, **options: Any) -> None:
        super().__init__(code + COMMANDS, **options)

    def do(self, code: str) -> str:
        """Let it run Python that prints one line, and return that."""
        self.say(repr(code))
        return self.line()

    def fork(self) -> int:
        return int(self.do(FORK))

    def start_daemon(self) -> int:
        return int(self.do(DAEMON))

    def run(self, environ: Mapping[str, str]) -> None:
        assert self.do(f"os.execve('/bin/sh', ['sh', '-c', 'echo runs; read line'], {dict(environ)!r})") == "runs"

    def change_directory(self, path: str | Path) -> None:
        self.do(f"os.chdir({str(path)!r})\nprint('done', flush=True)")

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def wait_for_a_busy_child(self, seconds: float) -> None:
        self.do(BURN % seconds)

    def listen(self, protocol: str) -> Port:
        return Port(protocol, int(self.do(LISTEN % (protocol, protocol))))


class RealMachine:
    """This machine, by one of the readers."""

    def __init__(self, reader: type, home: Path | None = None) -> None:
        self.own, self.own_parent, self.uid = os.getpid(), os.getppid(), os.geteuid()
        self.processes: Processes = SystemProcesses(None if home is None else {"HOME": str(home)}, reader=reader())

    def spawn(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        ignores: Collection[int] = (),
        memory: int = 0,
    ) -> Child:
        code = f"import signal\nballast = bytearray({memory})\n"
        code += "".join(f"signal.signal({int(number)}, signal.SIG_IGN)\n" for number in ignores)
        return RealChild(code, environ=dict(environ or {}), cwd=cwd)

    def program(self, argv: Sequence[str]) -> Child:
        return RealChild.program(argv)  # type: ignore[return-value]


class SimulatedChild:
    """A process of a `MemoryMachine`."""

    def __init__(self, machine: MemoryMachine, pid: int) -> None:
        self.machine = machine
        self.pid = pid
        self.key = machine.processes[pid].key
        self._started = [pid]

    def __enter__(self) -> SimulatedChild:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self._started[1:]:
            if pid in self.machine.processes:
                self.machine.exit(pid)
        self.end()

    def end(self) -> None:
        if self._is_there():
            self.machine.exit(self.pid, collected=True)
        if self._is_there():
            self.machine.collect(self.pid)

    def become_zombie(self) -> None:
        self.machine.exit(self.pid, collected=False)

    def fork(self) -> int:
        self._started.append(self.machine.fork(self.pid))
        return self._started[-1]

    def start_daemon(self) -> int:
        middle = self.machine.fork(self.pid)
        self.machine.set_session(middle)
        self._started.append(self.machine.fork(middle))
        self.machine.exit(middle)
        return self._started[-1]

    def run(self, environ: Mapping[str, str]) -> None:
        self.machine.run(self.pid, ["sh"], environ=environ)

    def change_directory(self, path: str | Path) -> None:
        self.machine.change_directory(self.pid, str(path))

    def stop(self) -> None:
        self.machine.send(self.machine.processes[self.pid], signal.SIGSTOP, "user")

    def wait_for_a_busy_child(self, seconds: float) -> None:
        child = self.machine.fork(self.pid)
        self.machine.work(child, seconds)
        self.machine.exit(child)

    def listen(self, protocol: str) -> Port:
        port = Port(protocol, 3000 + self.pid)
        self.machine.processes[self.pid].ports |= {port}
        return port

    def _is_there(self) -> bool:
        one = self.machine.processes.get(self.pid)
        return one is not None and one.key == self.key


class SimulatedMachine:
    """A machine of the simulation, on which the reaper runs below init."""

    def __init__(self, home: str = "/home/me") -> None:
        self.machine = MemoryMachine(VirtualClock(1_780_000_000.0, 5000.0, 5000.0), homes=[home])
        self.own_parent = 1
        self.own = self.machine.spawn(["workspace-reaper"], cwd="/")
        self.uid = self.machine.uid
        self.processes: Processes = MemoryProcesses(self.machine, self.own)

    def spawn(
        self,
        *,
        environ: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        ignores: Collection[int] = (),
        memory: int = 0,
    ) -> SimulatedChild:
        where = None if cwd is None else str(cwd)
        pid = self.machine.spawn(parent=self.own, environ=environ or {}, cwd=where, ignores=ignores, memory=memory)
        return SimulatedChild(self.machine, pid)

    def program(self, argv: Sequence[str]) -> SimulatedChild:
        return SimulatedChild(self.machine, self.machine.spawn(argv, parent=self.own))


MACHINES = [*BOTH, pytest.param(None, id="memory")]
"""The readers of this machine, and the simulation, for ``params``."""

LINUX_OR_MEMORY = [MACHINES[0], MACHINES[-1]]
"""Without the reader that uses psutil, which reads less."""


def machine_of(reader: type | None) -> Machine:
    """The machine of one of the ``MACHINES``."""
    return SimulatedMachine() if reader is None else RealMachine(reader)

"""Any system that psutil supports. On Linux only the tests use it, to compare it with the reader of ``/proc``."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import psutil

from workspace_reaper.model.process import Details, Origin, Port, Process, ProcessKey, ProcessTable, Scheduling, SignalResult
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.processes.details import command_text
from workspace_reaper.processes.origin import PANE, TMUX, read_origin
from workspace_reaper.processes.proc_files import OUT_OF_RESOURCES
from workspace_reaper.processes.reader import Absence, absence, send_by_pid
from workspace_reaper.processes.working_directory import inside_of

_SHORT_NAME = 15
# psutil's own, and those that it raises for an invalid pid or a missing /proc.
_ERRORS = (psutil.Error, OSError, ValueError, OverflowError, RuntimeError, LookupError)


class PortableReader:
    """Reads with psutil. Without pidfds a signal is sent right after its check, and not in one step with it."""

    __slots__ = ()

    def boot(self) -> str:
        """Return the time of the boot. A step of the wall clock may change it."""
        with suppress(*_ERRORS):
            return str(int(psutil.boot_time()))
        return ""

    def started(self, pid: int) -> float | Absence:
        """See the protocol. On Linux Unix seconds would change with each step of the wall clock: psutil adds the boot time."""
        try:
            process = psutil.Process(pid)
            return Absence.ZOMBIE if _is_zombie(process) else _started(process)
        except psutil.ZombieProcess:
            return Absence.ZOMBIE
        except psutil.NoSuchProcess:
            return absence(pid)
        except _ERRORS:
            return Absence.UNREADABLE if 0 < pid < 2**31 else Absence.GONE

    def parent(self, pid: int) -> int | None:
        try:
            return psutil.Process(pid).ppid()
        except _ERRORS:
            return None

    def table(self, _known: Mapping[ProcessKey, Origin], /) -> ProcessTable | Unknown:
        """Read all processes. The foreground group of a terminal is not available: it is -1 for all. All origins are read."""
        at = time.time()
        try:
            pids = psutil.pids()
        except _ERRORS as error:
            return Unknown(Source.PROCESSES, f"the processes cannot be listed: {error}")
        processes = {}
        for pid in pids:
            try:
                processes[pid] = _process(psutil.Process(pid))
            except _ERRORS as error:
                if isinstance(error, OSError) and error.errno in OUT_OF_RESOURCES:
                    return Unknown(Source.PROCESSES, f"the processes cannot be read: {error}")
                # Otherwise it has ended meanwhile, or is hidden from this user.
        if os.getpid() not in processes:
            return Unknown(Source.PROCESSES, "the list of processes does not show this one")
        return ProcessTable(at, processes)

    def details(self, pids: Collection[int]) -> Iterator[Details | None]:
        return map(_details, pids)

    def scheduling(self, pid: int) -> Scheduling | None:
        """Return None: no other system reports for how long a process has waited."""
        del pid
        return None

    def listening(self) -> frozenset[Port]:
        """Return all listening ports, or, on systems that list them for root only, those of this user's processes."""
        try:
            return _ports(psutil.net_connections("inet"))
        except _ERRORS:
            with suppress(*_ERRORS):
                return frozenset().union(*(_held_ports(process) for process in psutil.process_iter()))
            return frozenset()

    def is_inside(self, pid: int, directory: str, homes: Collection[str]) -> bool:
        """Start at the path that the system reports."""
        cwd = self.working_directory(pid)
        if cwd is None:
            return False
        return inside_of(directory, homes, cwd, lambda: None if not cwd or os.path.lexists(cwd) else cwd)

    def needed(self, pids: Collection[int]) -> Mapping[int, str]:
        """Return nothing: psutil does not report who is connected to a Unix socket."""
        del pids
        return {}

    def working_directory(self, pid: int) -> str | None:
        try:
            return psutil.Process(pid).cwd()
        except _ERRORS:
            return None

    def send(self, key: ProcessKey, number: int) -> SignalResult:
        return send_by_pid(self, key, number)


def _started(process: psutil.Process) -> float:
    return round(process.create_time() - (psutil.boot_time() if psutil.LINUX else 0.0), 3)


def _is_zombie(process: psutil.Process) -> bool:
    """Return whether it is a zombie. Linux also reports one where only the main thread has ended."""
    if process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
        return False
    with suppress(*_ERRORS):
        return process.num_threads() <= 1
    return True


def _process(process: psutil.Process) -> Process:
    """Return the row of this process. Raise what psutil raises."""
    with process.oneshot():
        times, name = process.cpu_times(), process.name()
        return Process(
            ProcessKey(process.pid, _started(process)),
            process.ppid(),
            # psutil completes the kernel's short name from the command line.
            os.fsencode(name)[:_SHORT_NAME].decode("utf-8", "replace"),
            _is_zombie(process),
            _group(process.pid),
            -1,
            times.user + times.system + times.children_user + times.children_system,
            _origin(process),
        )


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def _origin(process: psutil.Process) -> Origin | None:
    try:
        environ = process.environ()
    except _ERRORS:
        return None
    return read_origin(environ.get(TMUX, ""), environ.get(PANE, ""))


def _details(pid: int) -> Details | None:
    argv: tuple[str, ...] = ()
    uids = None
    try:
        process = psutil.Process(pid)
        name = process.name()
    except _ERRORS:
        return None
    with suppress(*_ERRORS):
        argv = tuple(process.cmdline())
    with suppress(*_ERRORS):
        uids = frozenset(process.uids())
    return Details(command_text(argv, name), argv, uids, _memory(process), _held_ports(process))


def _memory(process: psutil.Process) -> int:
    if psutil.LINUX:
        with suppress(*_ERRORS):
            return int(process.memory_full_info()._asdict()["pss"])
    with suppress(*_ERRORS):
        return int(process.memory_info().rss)
    return 0


def _held_ports(process: psutil.Process) -> frozenset[Port]:
    with suppress(*_ERRORS):
        # Renamed in psutil 6.
        ask = process.net_connections if hasattr(process, "net_connections") else process.connections
        return _ports(ask("inet"))
    return frozenset()


def _ports(connections: Iterable[Any]) -> frozenset[Port]:
    """Return TCP sockets that listen, and UDP sockets that are bound and not connected: a connected one is a client's."""
    found = set()
    for connection in connections:
        if connection.type == socket.SOCK_STREAM and connection.status == psutil.CONN_LISTEN:
            found.add(Port("tcp", connection.laddr.port))
        elif connection.type == socket.SOCK_DGRAM and connection.laddr and not connection.raddr:
            found.add(Port("udp", connection.laddr.port))
    return frozenset(found)

"""Any system that psutil knows. On Linux as well, where it serves as the yardstick for our own reader."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

import psutil

from workspace_reaper.model.process import Details, Origin, Port, Process, ProcessKey, ProcessTable, SignalResult
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.processes.details import command_text
from workspace_reaper.processes.origin import PANE, TMUX, read_origin
from workspace_reaper.processes.proc_files import out_of_resources
from workspace_reaper.processes.reader import Absence, absence, send_by_pid
from workspace_reaper.processes.working_directory import inside_of

__all__ = ["PortableReader"]

_SHORT_NAME = 15
_ERRORS = (psutil.Error, OSError, ValueError, OverflowError, RuntimeError, LookupError)
"""psutil's own, and what it lets through: for a pid that is none, or a ``/proc`` that is not there."""


class PortableReader:
    """Reads by means of psutil. It has no pidfd, so that a signal is sent right after its check, but not in one with it."""

    __slots__ = ()

    def boot(self) -> str:
        """When the machine was started. Setting the wall clock may move it."""
        with suppress(*_ERRORS):
            return str(int(psutil.boot_time()))
        return ""

    def started(self, pid: int) -> float | Absence:
        """On Linux in seconds since the machine's start, else in Unix seconds. (Unix seconds would not stay the same on Linux:
        psutil adds the time of the machine's start, which moves when the wall clock is set.)"""
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
        """The parent's pid."""
        try:
            return psutil.Process(pid).ppid()
        except _ERRORS:
            return None

    def table(self, known: Mapping[ProcessKey, Origin] | None = None) -> ProcessTable | Unknown:  # noqa: ARG002
        """The foreground group of a terminal is not to be had: it is -1 for all. What is ``known`` is read again."""
        at = time.time()
        try:
            pids = psutil.pids()
        except _ERRORS as error:
            return Unknown(Source.PROCESSES, f"the processes can't be listed: {error}")
        processes = {}
        for pid in pids:
            try:
                processes[pid] = _process(psutil.Process(pid))
            except _ERRORS as error:
                if isinstance(error, OSError) and out_of_resources(error):
                    return Unknown(Source.PROCESSES, f"the processes can't be read: {error}")
                # Else it is gone meanwhile, or none that this user may see.
        if os.getpid() not in processes:
            return Unknown(Source.PROCESSES, "the list of processes does not show this one")
        return ProcessTable(at, processes)

    def details(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, Details]:
        """As on Linux: what was read counts only if it is this process afterwards."""
        found = {}
        for key in keys:
            details = _details(key.pid)
            if details is not None and self.started(key.pid) == key.started:
                found[key] = details
        return found

    def listening(self) -> frozenset[Port]:
        """Where the system tells the whole list to root only, the ports of the processes that this user may ask."""
        try:
            return _ports(psutil.net_connections("inet"))
        except _ERRORS:
            with suppress(*_ERRORS):
                return frozenset().union(*(_held_ports(process) for process in psutil.process_iter()))
            return frozenset()

    def is_inside(self, pid: int, directory: str, homes: Collection[str]) -> bool:
        """Goes up from the path that the system tells."""
        try:
            cwd = psutil.Process(pid).cwd()
        except _ERRORS:
            return False
        return inside_of(directory, homes, cwd, lambda: None if not cwd or os.path.lexists(cwd) else cwd)

    def send(self, key: ProcessKey, number: int) -> SignalResult:
        """Verify, then send."""
        return send_by_pid(self, key, number)


def _started(process: psutil.Process) -> float:
    return round(process.create_time() - (psutil.boot_time() if psutil.LINUX else 0.0), 3)


def _is_zombie(process: psutil.Process) -> bool:
    """Linux says so as well where only the main thread has ended."""
    if process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
        return False
    with suppress(*_ERRORS):
        return process.num_threads() <= 1
    return True


def _process(process: psutil.Process) -> Process:
    """Raises what psutil raises."""
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
        # psutil 6 gave it another name.
        ask = process.net_connections if hasattr(process, "net_connections") else process.connections
        return _ports(ask("inet"))
    return frozenset()


def _ports(connections: Iterable[Any]) -> frozenset[Port]:
    """TCP sockets that listen, and UDP sockets that are bound and not connected: a connected one is a client's."""
    found = set()
    for connection in connections:
        if connection.type == socket.SOCK_STREAM and connection.status == psutil.CONN_LISTEN:
            found.add(Port("tcp", connection.laddr.port))
        elif connection.type == socket.SOCK_DGRAM and connection.laddr and not connection.raddr:
            found.add(Port("udp", connection.laddr.port))
    return frozenset(found)

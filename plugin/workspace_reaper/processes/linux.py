"""Linux: a reader of ``/proc``. psutil needs about four times as long for the same scan."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from workspace_reaper.model.process import Details, Origin, Port, Process, ProcessKey, ProcessTable, Scheduling, SignalResult
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.processes import proc_stat
from workspace_reaper.processes.dependents import needed
from workspace_reaper.processes.details import listening_sockets, read_details
from workspace_reaper.processes.origin import OriginReader
from workspace_reaper.processes.proc_files import FORBIDDEN, OUT_OF_RESOURCES, PROC, VANISHED, link, names, read
from workspace_reaper.processes.proc_sched import scheduling_of
from workspace_reaper.processes.reader import Absence, absence, send_by_pid, verify
from workspace_reaper.processes.working_directory import DELETED, inside_of

# The errors of pidfd_open on a kernel before 5.3, or in a sandbox that does not allow the call.
_NO_SUCH_CALL = frozenset({errno.ENOSYS, errno.EPERM})
_ENVIRON_SIZE = 65536


class LinuxReader:
    """Reads ``/proc`` with plain system calls, and sends signals through pidfds (Linux 5.3)."""

    __slots__ = ()

    def boot(self) -> str:
        """Return the kernel's random id of this boot."""
        try:
            return read(f"{PROC}/sys/kernel/random/boot_id").decode("ascii", "replace").strip()
        except OSError:
            return ""

    def started(self, pid: int) -> float | Absence:
        line = _line(pid)
        if isinstance(line, Absence):
            return line
        return Absence.ZOMBIE if proc_stat.is_zombie(line) else proc_stat.started(line)

    def parent(self, pid: int) -> int | None:
        line = _line(pid)
        return None if isinstance(line, Absence) else proc_stat.parent(line)

    def table(self, known: Mapping[ProcessKey, Origin], /) -> ProcessTable | Unknown:
        """Read the ``stat`` of each process, and the ``environ`` of each that has one and is not ``known``."""
        at = time.time()
        try:
            own = link(f"{PROC}/self")
            processes = _pass(names(PROC), known)
        except (OSError, ValueError) as error:
            return Unknown(Source.PROCESSES, f"{PROC} cannot be read ({error}): check that it is mounted")
        if own != str(os.getpid()) or os.getpid() not in processes:
            return Unknown(Source.PROCESSES, f"{PROC} does not show this process: it belongs to another pid namespace")
        return ProcessTable(at, processes)

    def details(self, pids: Collection[int]) -> Iterator[Details | None]:
        """Ports are those of the reaper's own network namespace: a port in another one blocks no process here."""
        sockets = dict(listening_sockets()) if pids else {}
        return (read_details(pid, sockets) for pid in pids)

    def scheduling(self, pid: int) -> Scheduling | None:
        """Read ``schedstat`` and the state of each thread: those of the process are its first thread's alone."""
        return scheduling_of(pid)

    def listening(self) -> frozenset[Port]:
        """Return the ports in the reaper's own network namespace."""
        return frozenset(port for _, port in listening_sockets())

    def is_inside(self, pid: int, directory: str, homes: Collection[str]) -> bool:
        """Start at ``/proc/PID/cwd``, which is the directory itself and not a text."""
        cwd = f"{PROC}/{pid}/cwd"
        return inside_of(directory, homes, cwd, lambda: _path_before_deletion(pid, cwd))

    def needed(self, pids: Collection[int]) -> Mapping[int, str]:
        """Look at their open files."""
        return needed(pids)

    def working_directory(self, pid: int) -> str | None:
        try:
            return link(f"{PROC}/{pid}/cwd").removesuffix(DELETED)
        except OSError:
            return None

    def send(self, key: ProcessKey, number: int) -> SignalResult:
        """Open the pidfd, verify, send: a pidfd never refers to another process, even if the pid is reused in between."""
        if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
            return send_by_pid(self, key, number)
        try:
            descriptor = os.pidfd_open(key.pid)
        except (OSError, OverflowError) as error:
            if isinstance(error, OSError) and error.errno in _NO_SUCH_CALL:
                return send_by_pid(self, key, number)
            return SignalResult.GONE if absence(key.pid) is Absence.GONE else SignalResult.REFUSED
        try:
            refusal = verify(self, key)
            if refusal is None:
                signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            return SignalResult.GONE
        except OSError as error:
            return send_by_pid(self, key, number) if error.errno == errno.ENOSYS else SignalResult.REFUSED
        finally:
            os.close(descriptor)
        return refusal or SignalResult.SENT


def _line(pid: int) -> proc_stat.Line | Absence:
    try:
        return proc_stat.split(read(f"{PROC}/{pid}/stat"))[1]
    except OSError as error:
        return absence(pid) if error.errno in VANISHED else Absence.UNREADABLE
    except ValueError:
        return Absence.UNREADABLE


def _pass(entries: Collection[str], known: Mapping[ProcessKey, Origin]) -> dict[int, Process]:
    """Return all processes by pid.

    Raises ``OSError`` if this process is out of resources, and ``ValueError`` for an invalid line: to leave such processes out
    would report them as gone.
    """
    origins = OriginReader()
    processes = (_process(name, origins, known) for name in entries if name.isdigit())
    return {process.key.pid: process for process in processes if process is not None}


def _process(name: str, origins: OriginReader, known: Mapping[ProcessKey, Origin]) -> Process | None:
    """Return the process; None if it does not exist any more or is hidden from this user.

    The environment is read after the start time, never before it: if the pid is reused in between, the process that has ended
    gets the origin of the new one, and not the new one that of the other.
    """
    base = f"{PROC}/{name}"
    try:
        data = read(base + "/stat")
    except OSError as error:
        if error.errno in VANISHED or error.errno in FORBIDDEN:
            return None
        raise
    short, line = proc_stat.split(data)
    origin = known.get(ProcessKey(int(name), proc_stat.started(line))) if known else None
    if origin is None and proc_stat.has_memory(line):
        try:
            origin = origins.read(read(base + "/environ", _ENVIRON_SIZE))
        except OSError as error:
            if error.errno in OUT_OF_RESOURCES:
                raise
            if error.errno in VANISHED:
                return _ending(name)
    return proc_stat.process(int(name), short, line, origin)


def _ending(pid: str) -> Process | None:
    """Return a process that was ending when it was read: a zombie by now, or gone."""
    try:
        data = read(f"{PROC}/{pid}/stat")
    except OSError:
        return None
    return proc_stat.process(int(pid), *proc_stat.split(data), None)


def _path_before_deletion(pid: int, cwd: str) -> str | None:
    """Return the path of the process's working directory before it was deleted; None if it exists, or that is unknown."""
    text = link(cwd)
    if not text.endswith(DELETED) or not Path(f"{PROC}/{pid}/ns/mnt").samefile(f"{PROC}/self/ns/mnt"):
        return None  # in another mount namespace a path means another directory
    with suppress(FileNotFoundError, NotADirectoryError):
        if Path(text).samefile(cwd):
            return None  # it exists, and its name ends so
    return text.removesuffix(DELETED)

"""Linux: a small reader of ``/proc``. psutil needs about four times as long for the same pass."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from workspace_reaper.model.process import Details, Origin, Port, Process, ProcessKey, ProcessTable, SignalResult
from workspace_reaper.model.unknown import Source, Unknown
from workspace_reaper.processes import proc_stat as statline
from workspace_reaper.processes.details import listening_sockets, read_details
from workspace_reaper.processes.origin import OriginReader
from workspace_reaper.processes.proc_files import PROC, forbidden, link, names, out_of_resources, read, vanished
from workspace_reaper.processes.reader import Absence, absence, send_by_pid, verify
from workspace_reaper.processes.working_directory import DELETED, inside_of

__all__ = ["LinuxReader"]

_NO_SUCH_CALL = frozenset({errno.ENOSYS, errno.EPERM})
"""What a kernel before 5.3, or a sandbox that does not know the call, says to ``pidfd_open``."""
_ENVIRON_SIZE = 65536


class LinuxReader:
    """Reads ``/proc`` with nothing but system calls, and signals through pidfds (Linux 5.3)."""

    __slots__ = ()

    def boot(self) -> str:
        """The kernel's random id of this start of the machine."""
        try:
            return read(f"{PROC}/sys/kernel/random/boot_id").decode("ascii", "replace").strip()
        except OSError:
            return ""

    def started(self, pid: int) -> float | Absence:
        """Seconds since the machine's start."""
        line = _line(pid)
        if isinstance(line, Absence):
            return line
        return Absence.ZOMBIE if statline.is_zombie(line) else statline.started(line)

    def parent(self, pid: int) -> int | None:
        """The parent's pid; None where the process is not to be seen."""
        line = _line(pid)
        return None if isinstance(line, Absence) else statline.parent(line)

    def table(self, known: Mapping[ProcessKey, Origin] | None = None) -> ProcessTable | Unknown:
        """One pass: the ``stat`` of each process, and the ``environ`` of each that has one and is not ``known``."""
        at = time.time()
        try:
            own = link(f"{PROC}/self")
            processes = _pass(names(PROC), known or {})
        except (OSError, ValueError) as error:
            return Unknown(Source.PROCESSES, f"{PROC} can't be read ({error}): is it mounted?")
        if own != str(os.getpid()) or os.getpid() not in processes:
            return Unknown(Source.PROCESSES, f"{PROC} does not show this process: it belongs to another pid namespace")
        return ProcessTable(at, processes)

    def details(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, Details]:
        """Ports are those of the reaper's own network namespace: one that a process holds in another is in nobody's way."""
        sockets = dict(listening_sockets()) if keys else {}
        found = {}
        for key in keys:
            # What was read counts only if it is this process afterwards: then it was this one all the time.
            details = read_details(key.pid, sockets)
            if details is not None and self.started(key.pid) == key.started:
                found[key] = details
        return found

    def listening(self) -> frozenset[Port]:
        """The ports of the reaper's own network namespace."""
        return frozenset(port for _, port in listening_sockets())

    def is_inside(self, pid: int, directory: str, homes: Collection[str]) -> bool:
        """Goes up from ``/proc/PID/cwd``, which is the directory itself and no text."""
        cwd = f"{PROC}/{pid}/cwd"
        return inside_of(directory, homes, cwd, lambda: _deleted_text(pid, cwd))

    def send(self, key: ProcessKey, number: int) -> SignalResult:
        """Open the pidfd, verify, send: what the pidfd holds can't be exchanged for another process in between."""
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


def _line(pid: int) -> statline.Line | Absence:
    try:
        return statline.split(read(f"{PROC}/{pid}/stat"))[1]
    except OSError as error:
        return absence(pid) if vanished(error) else Absence.UNREADABLE
    except ValueError:
        return Absence.UNREADABLE


def _pass(entries: Collection[str], known: Mapping[ProcessKey, Origin]) -> dict[int, Process]:
    """All processes, by pid. Raises ``OSError`` for trouble of our own, and ``ValueError`` for a line that is none: to leave
    such processes out would make them gone."""
    processes = {}
    origins = OriginReader()
    for name in entries:
        if name.isdigit():
            process = _process(name, origins, known)
            if process is not None:
                processes[process.key.pid] = process
    return processes


def _process(name: str, origins: OriginReader, known: Mapping[ProcessKey, Origin]) -> Process | None:
    """The process, or None if it is gone, or none that this user may see.

    The environment is read after the start time, never before it: should the pid be handed out again in between, the dead
    gets the stranger's origin, and not the stranger the dead one's.
    """
    base = f"{PROC}/{name}"
    try:
        data = read(base + "/stat")
    except OSError as error:
        if vanished(error) or forbidden(error):
            return None
        raise
    short, line = statline.split(data)
    origin = known.get(ProcessKey(int(name), statline.started(line))) if known else None
    if origin is None and statline.has_memory(line):
        try:
            origin = origins.read(read(base + "/environ", _ENVIRON_SIZE))
        except OSError as error:
            if out_of_resources(error):
                raise
            if vanished(error):
                return _ending(base)
    return statline.process(int(name), short, line, origin)


def _ending(base: str) -> Process | None:
    """A process that was ending when it was read: a zombie by now, or gone."""
    try:
        data = read(base + "/stat")
    except OSError:
        return None
    return statline.process(int(base[len(PROC) + 1 :]), *statline.split(data), None)


def _deleted_text(pid: int, cwd: str) -> str | None:
    """Where the process's working directory was before it was deleted; None if it is there, or that can't be told."""
    text = link(cwd)
    if not text.endswith(DELETED) or not Path(f"{PROC}/{pid}/ns/mnt").samefile(f"{PROC}/self/ns/mnt"):
        return None  # a path means another place in another mount namespace
    with suppress(FileNotFoundError, NotADirectoryError):
        if Path(text).samefile(cwd):
            return None  # it is there, and its name ends so
    return text.removesuffix(DELETED)

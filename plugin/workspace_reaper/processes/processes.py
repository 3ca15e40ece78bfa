"""The processes of this machine: the port ``Processes``."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress

from workspace_reaper.model.process import (
    Details,
    Origin,
    OwnLocation,
    Port,
    ProcessKey,
    ProcessTable,
    Scheduling,
    SignalResult,
)
from workspace_reaper.model.unknown import Unknown
from workspace_reaper.processes.linux import LinuxReader
from workspace_reaper.processes.origin import PANE, TMUX, read_origin
from workspace_reaper.processes.reader import Absence, Reader


class SystemProcesses:
    """The processes of this machine that this user can see.

    Args:
        environ: The environment to look for ``HOME`` and the own pane. The default is that of this process.
        reader: The default is the one for this system.
    """

    __slots__ = ("_environ", "_origins", "_reader")

    def __init__(self, environ: Mapping[str, str] | None = None, reader: Reader | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._reader = _reader_of_this_system() if reader is None else reader
        self._origins: Mapping[ProcessKey, Origin] = {}

    @property
    def boot(self) -> str:
        return self._reader.boot()

    def start_time(self, pid: int) -> float | None:
        """Return when that process started; None if it does not exist (or is a zombie) or cannot be read. Never raises.

        On Linux in seconds since boot, else in Unix seconds. The number never changes during the life of the process.
        """
        started = self._reader.started(pid)
        return None if isinstance(started, Absence) else started

    def may_live(self, pid: int, started: float | None) -> bool:
        """Return whether that process may still exist. True also if it cannot be read, or if ``started`` is unknown."""
        now = self._reader.started(pid)
        if isinstance(now, Absence):
            return now is Absence.UNREADABLE
        return started is None or now == started

    def own_location(self) -> OwnLocation:
        """Return where the reaper runs now: a fork changes it. Ancestors that it cannot see are missing."""
        pids = {os.getpid()}
        pid: int | None = os.getppid()
        while pid and pid not in pids:
            pids.add(pid)
            pid = self._reader.parent(pid)
        origin = read_origin(self._environ.get(TMUX, ""), self._environ.get(PANE, ""))
        return OwnLocation(frozenset(pids), None if origin is None else (origin.server_pid, origin.pane))

    def table(self) -> ProcessTable | Unknown:
        """Return one scan of all processes. A process that ends during the scan is left out."""
        return self._scan({})

    def glance(self) -> ProcessTable | Unknown:
        """Return one scan that reuses the origins of the last one. It costs about half."""
        return self._scan(self._origins)

    def _scan(self, known: Mapping[ProcessKey, Origin]) -> ProcessTable | Unknown:
        table = self._reader.table(known)
        if isinstance(table, ProcessTable):
            self._origins = {one.key: one.origin for one in table.processes.values() if one.origin is not None}
        return table

    def details(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, Details]:
        found = {}
        for key, details in zip(keys, self._reader.details([key.pid for key in keys]), strict=True):
            # The pid may have been reused before the details were read: they count only if this is the process afterwards.
            if details is not None and self._reader.started(key.pid) == key.started:
                found[key] = details
        return found

    def scheduling(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, Scheduling]:
        found = {key: self._reader.scheduling(key.pid) for key in keys}
        # The pid may have been reused before it was read.
        return {key: one for key, one in found.items() if one is not None and self._reader.started(key.pid) == key.started}

    def living(self, keys: Collection[ProcessKey]) -> frozenset[ProcessKey]:
        return frozenset(key for key in keys if self.may_live(key.pid, key.started))

    def is_inside(self, key: ProcessKey, directory: str) -> bool:
        """Return whether the process's working directory is this one or below it, by inode. False if unknown.

        Never True for the root, for a home of this user (``HOME``, and the one in the system's list of users) or a directory
        that contains one, and for a relative path: every process would be inside. Where the directory does not exist, those
        processes are inside whose own directory was deleted at or below that very path.
        """
        if not self._reader.is_inside(key.pid, directory, homes_of(self._environ)):
            return False
        # The pid may have been reused before its directory was read.
        return self._reader.started(key.pid) == key.started

    def needed(self, keys: Collection[ProcessKey]) -> Mapping[ProcessKey, str]:
        found = self._reader.needed([key.pid for key in keys])
        return {key: found[key.pid] for key in keys if key.pid in found}

    def working_directory(self, key: ProcessKey) -> str | None:
        path = self._reader.working_directory(key.pid)
        # The pid may have been reused before its directory was read.
        return path if self._reader.started(key.pid) == key.started else None

    def listening(self) -> frozenset[Port]:
        return self._reader.listening()

    def signal(self, key: ProcessKey, number: int) -> SignalResult:
        """Send a signal to the process if it certainly is the one with that start time.

        Never to the first process of the system, to the reaper itself, or to 0 and below, which would reach a process group.
        """
        if key.pid <= 1 or key.pid == os.getpid():
            return SignalResult.REFUSED
        return self._reader.send(key, number)


def homes_of(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the absolute home directories of this user: ``HOME``, and the one in the system's list of users."""
    homes = {environ.get("HOME", "")}
    with suppress(KeyError):  # a user without an entry, as in containers
        homes.add(pwd.getpwuid(os.geteuid()).pw_dir)
    return frozenset(home for home in homes if home.startswith("/"))


def _reader_of_this_system() -> Reader:
    if sys.platform == "linux":
        return LinuxReader()
    from workspace_reaper.processes.portable import PortableReader  # psutil is not installed on Linux

    return PortableReader()
